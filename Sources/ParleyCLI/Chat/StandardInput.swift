import Dispatch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Standard input, line by line.
enum StandardInput {
    private static let blockBytes = 65_536

    /// Calls `body` with each line, until the end of the input or until the task is cancelled.
    ///
    /// Reading blocks, so it has a queue, and thereby a thread, of its own; that reads the next block when `body` is
    /// done with the last, so a fast input waits for a slow peer. A thread that still waits for input goes with the
    /// process.
    static func forEachLine(maxBytes: Int, _ body: (InputLine) async -> Void) async {
        let (blocks, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        // Not created with 1: a semaphore must not be let go below the value it was created with.
        let permits = DispatchSemaphore(value: 0)
        permits.signal()
        DispatchQueue(label: "parley.standard-input").async {
            while true {
                permits.wait()
                // Input that cannot be read is at its end.
                guard let block = try? readSome(blockBytes, from: STDIN_FILENO), !block.isEmpty else { break }
                continuation.yield(block)
            }
            continuation.finish()
        }
        var splitter = LineSplitter(maxBytes: maxBytes)
        for await block in blocks {
            for line in splitter.feed(block) where !Task.isCancelled { await body(line) }
            permits.signal()
        }
        if !Task.isCancelled, let line = splitter.finish() { await body(line) }
    }
}
