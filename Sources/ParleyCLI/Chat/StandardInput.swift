import Dispatch

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Reads standard input line by line.
enum StandardInput {
    private static let blockBytes = 65_536

    /// Calls `body` with each line, until the end of the input or until the task is cancelled.
    ///
    /// Reading blocks, so it has a queue of its own, and with it a thread. The thread reads the next block
    /// when `body` has returned for all lines of the last one, so a fast input waits for a slow peer. A
    /// thread that still waits for input ends with the process.
    static func forEachLine(maxBytes: Int, _ body: (InputLine) async -> Void) async {
        let (blocks, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        // Created with 0 and signalled once: releasing a semaphore traps when its value is below the initial
        // one.
        let permits = DispatchSemaphore(value: 0)
        permits.signal()
        DispatchQueue(label: "parley.standard-input").async {
            while true {
                permits.wait()
                // A read error counts as the end of the input.
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
