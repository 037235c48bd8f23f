import ArgumentParser
import Dispatch
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Ends the tool on a signal. The first signal cancels the command, so that connections are closed and
/// partial files are removed. The second one ends the process at once.
enum Interruption {
    private struct State {
        var cancel: @Sendable () -> Void = {}
        var exitCode: Int32?
    }

    private static let state = Mutex(State())

    /// Runs `body` in a task that SIGINT, SIGTERM and SIGHUP cancel.
    ///
    /// - Throws: what `body` throws; after a signal, the exit code 128 + its number, as shells do.
    static func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        // A write to a closed pipe must fail instead of killing the process: there may be files to remove.
        signal(SIGPIPE, SIG_IGN)
        var sources: [Int32: any DispatchSourceSignal] = [:]
        for number in [SIGINT, SIGTERM, SIGHUP] { sources[number] = await watch(number) }
        let task = Task { try await body() }
        let isInterrupted = state.withLock { state in
            state.cancel = { task.cancel() }
            return state.exitCode != nil
        }
        if isInterrupted { task.cancel() }
        let result = await task.result
        // What was printed may still wait for its reader. From now on a signal ends the process.
        for (number, source) in sources {
            source.cancel()
            signal(number, SIG_DFL)
        }
        if let exitCode { throw ExitCode(exitCode) }
        try result.get()
    }

    private static let closedOutput = 128 + SIGPIPE

    /// Cancels the command because standard output takes nothing more. When nobody reads it, the exit code
    /// is that of SIGPIPE, and nothing is said, as with other programs.
    static func standardOutputFailed(_ error: SystemError) {
        guard error.code != EPIPE else { return _ = cancelOnce(exitCode: closedOutput) }
        if cancelOnce(exitCode: EXIT_FAILURE) {
            Console.error("standard output cannot be written: \(error.reason)")
        }
    }

    /// Whether the command was cancelled because nobody reads standard output.
    static var isByClosedOutput: Bool { exitCode == closedOutput }

    /// What the process is to end with since a signal has come or standard output has failed; nil otherwise.
    static var exitCode: Int32? { state.withLock { $0.exitCode } }

    /// Returns when the source sees the signal. Until then it would be lost, though the tool may have said
    /// that it is ready. Nil when the process was started with the signal ignored: it stays so.
    private static func watch(_ number: Int32) async -> (any DispatchSourceSignal)? {
        // The default action would end the process before the source sees the signal.
        let before = signal(number, SIG_IGN)
        guard !isIgnoring(before) else { return nil }
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
            if !cancelOnce(exitCode: 128 + number) { _exit(128 + number) }
        }
        await withCheckedContinuation { isRegistered in
            source.setRegistrationHandler { isRegistered.resume() }
            source.resume()
        }
        return source
    }

    private static func isIgnoring(_ handler: (@convention(c) (Int32) -> Void)?) -> Bool {
        unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// - Returns: whether this was the first call.
    private static func cancelOnce(exitCode: Int32) -> Bool {
        let cancel: (@Sendable () -> Void)? = state.withLock { state in
            guard state.exitCode == nil else { return nil }
            state.exitCode = exitCode
            return state.cancel
        }
        // What waits for a reader that takes nothing has to notice, too.
        if cancel != nil { Console.stopWaiting() }
        cancel?()
        return cancel != nil
    }
}

/// A subcommand that cleans up after SIGINT, SIGTERM and SIGHUP.
protocol InterruptibleCommand: AsyncParsableCommand, Sendable {
    /// Does the subcommand's work. SIGINT, SIGTERM and SIGHUP cancel it.
    func work() async throws
}

extension InterruptibleCommand {
    mutating func run() async throws {
        let command = self
        try await Interruption.run { try await command.work() }
    }
}
