import Dispatch
import Synchronization

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

    /// Calls `body` with each line, until the end of the input or until the task is cancelled. The next block
    /// is read when `body` has returned for all lines of the last one, so a fast input waits for a slow peer.
    ///
    /// - Parameter mayRead: called before each read; nothing is read until it returns.
    /// - Returns: false when the task was cancelled and `body` has not seen all the input that was there.
    ///   What nobody has typed yet, or written to a pipe, does not count.
    /// - Throws: why the input cannot be read to its end, after what came before.
    @discardableResult
    static func forEachLine(
        maxBytes: Int,
        readingAfter mayRead: () async -> Void = {},
        _ body: (InputLine) async -> Void
    ) async throws(SystemError) -> Bool {
        let blocks = blocks()
        var splitter = LineSplitter(maxBytes: maxBytes)
        var failure: SystemError?
        var isWhole = true
        while failure == nil, !Task.isCancelled {
            await mayRead()
            blocks.allowNext()
            guard let next = await blocks.next() else { break }
            switch next {
            case .success(let block):
                for line in splitter.feed(block) {
                    if Task.isCancelled { isWhole = false } else { await body(line) }
                }
            case .failure(let error): failure = error
            }
        }
        if let line = splitter.finish() {
            if Task.isCancelled { isWhole = false } else { await body(line) }
        }
        if let failure { throw failure }
        return isWhole && !(Task.isCancelled && hasUnreadBytes)
    }

    /// Whether bytes can be read without waiting. What is typed at a terminal may be for somebody else.
    private static var hasUnreadBytes: Bool {
        #if canImport(Darwin)
            // A macro that Swift does not import: _IOR('f', 127, int).
            let request: UInt = 0x4004_667F
        #else
            let request = UInt(FIONREAD)
        #endif
        guard isatty(STDIN_FILENO) != 1 else { return false }
        var byteCount: Int32 = 0
        return ioctl(STDIN_FILENO, request, &byteCount) == 0 && byteCount > 0
    }

    /// Starts to read standard input, block by block.
    ///
    /// - Parameter interval: how often an empty block comes in between, for those who must not fall silent;
    ///   nil for never.
    static func blocks(withEmptyOnesEach interval: Duration? = nil) -> Blocks { Blocks(interval) }

    /// How often a process in the background tries to read.
    private static let backgroundMilliseconds: Int32 = 500

    /// Reads a block; none at the end of the input.
    ///
    /// A read in the background of a terminal would stop the process, but Dispatch blocks SIGTTIN in its
    /// threads, and then the read fails. What is typed is for others until the process is in the foreground
    /// again.
    private static func readBlock() throws(SystemError) -> [UInt8] {
        while true {
            do throws(SystemError) { return try readSome(blockBytes, from: STDIN_FILENO) } catch {
                // A terminal that is gone has no foreground. A process whose shell is gone stays behind it.
                guard error.code == EIO, tcgetpgrp(STDIN_FILENO) >= 0, getsid(getppid()) == getsid(0) else {
                    throw error
                }
                _ = poll(nil, 0, backgroundMilliseconds)
            }
        }
    }

    /// Blocks of standard input.
    ///
    /// Reading blocks, so it has a queue of its own, and with it a thread. A thread that still waits for
    /// input ends with the process.
    final class Blocks: Sendable {
        typealias Block = Result<[UInt8], SystemError>

        // Created with 0: releasing a semaphore traps when its value is below the initial one.
        private let permits = DispatchSemaphore(value: 0)
        private let isReading = Mutex(false)
        private let blocks: AsyncStream<Block>
        private let clock: Task<Void, Never>?

        fileprivate init(_ interval: Duration?) {
            let (blocks, continuation) = AsyncStream.makeStream(of: Block.self)
            self.blocks = blocks
            clock = interval.map { interval in
                Task {
                    while (try? await Task.sleep(for: interval)) != nil { continuation.yield(.success([])) }
                }
            }
            DispatchQueue(label: "parley.standard-input").async { [permits] in
                while true {
                    permits.wait()
                    let block = Block { () throws(SystemError) in try readBlock() }
                    guard (try? block.get())?.isEmpty != true else { break }
                    continuation.yield(block)
                    if case .failure = block { break }
                }
                continuation.finish()
            }
        }

        deinit { clock?.cancel() }

        /// Lets the next block be read, if that is not so already.
        func allowNext() {
            let isAllowed = isReading.withLock { isReading in
                defer { isReading = true }
                return isReading
            }
            if !isAllowed { permits.signal() }
        }

        /// The next block; nil at the end of the input, or when the task is cancelled.
        func next() async -> Block? {
            let block = await blocks.first { _ in true }
            if let block, (try? block.get())?.isEmpty != true { isReading.withLock { $0 = false } }
            return block
        }
    }
}
