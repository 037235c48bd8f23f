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

    /// Runs `body` in a task that SIGINT and SIGTERM cancel.
    ///
    /// - Throws: what `body` throws; after a signal, the exit code 128 + its number, as shells do.
    static func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let task = Task { try await body() }
        state.withLock { $0.cancel = { task.cancel() } }
        // A write to a closed pipe must fail instead of killing the process: there may be files to remove.
        signal(SIGPIPE, SIG_IGN)
        let sources = [SIGINT, SIGTERM].map(watch)
        let result = await task.result
        withExtendedLifetime(sources) {}
        if let exitCode = state.withLock({ $0.exitCode }) { throw ExitCode(exitCode) }
        try result.get()
    }

    /// Cancels the command because standard output is closed. The exit code is that of SIGPIPE.
    static func standardOutputClosed() { _ = cancelOnce(exitCode: 128 + SIGPIPE) }

    private static func watch(_ number: Int32) -> any DispatchSourceSignal {
        // The default action would end the process before the source sees the signal.
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
            if !cancelOnce(exitCode: 128 + number) { _exit(128 + number) }
        }
        source.resume()
        return source
    }

    /// - Returns: whether this was the first call.
    private static func cancelOnce(exitCode: Int32) -> Bool {
        let cancel: (@Sendable () -> Void)? = state.withLock { state in
            guard state.exitCode == nil else { return nil }
            state.exitCode = exitCode
            return state.cancel
        }
        cancel?()
        return cancel != nil
    }
}

/// A subcommand that cleans up after SIGINT and SIGTERM.
protocol InterruptibleCommand: AsyncParsableCommand, Sendable {
    /// Does the subcommand's work. SIGINT and SIGTERM cancel it.
    func work() async throws
}

extension InterruptibleCommand {
    mutating func run() async throws {
        let command = self
        try await Interruption.run { try await command.work() }
    }
}
