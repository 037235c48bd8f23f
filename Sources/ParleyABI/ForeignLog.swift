import CParley
import Logging
import Parley

/// Passes swift-log's lines to the program's log callback.
final class ForeignLog: Sendable {
    private let call:
        Foreign<
            (
                @convention(c) (parley_log_level, UnsafePointer<CChar>?, UnsafeMutableRawPointer?) -> Void,
                UnsafeMutableRawPointer?
            )
        >
    private let level: Logger.Level
    private let state = Lock(State())

    private struct State {
        var isSilent = false
        /// How many lines are being passed now.
        var running = 0
        /// Those who wait until none is.
        var waiting: [ThreadParker] = []
    }

    /// Nil when the program has no log callback.
    init?(_ options: parley_options) {
        guard let function = options.on_log else { return nil }
        call = Foreign((function, options.userdata))
        level = Logger.Level(options.log_level)
    }

    func makeLogger() -> Logger {
        var logger = Logger(label: "parley") { _ in Handler(log: self) }
        logger.logLevel = level
        return logger
    }

    /// Drops all further lines, and waits until the callback has returned from those that it has. Not on a
    /// loop's thread.
    func silence() {
        let parker = state.withLock { state -> ThreadParker? in
            state.isSilent = true
            guard state.running > 0 else { return nil }
            let parker = ThreadParker.take()
            state.waiting.append(parker)
            return parker
        }
        guard let parker else { return }
        _ = parker.wait(until: nil)
        ThreadParker.keep(parker)
    }

    fileprivate func emit(_ level: Logger.Level, _ line: String) {
        let isHeard = state.withLock { state in
            if !state.isSilent { state.running += 1 }
            return !state.isSilent
        }
        guard isHeard else { return }
        let (function, userdata) = call.value
        line.withCString { function(parley_log_level(level), $0, userdata) }
        let waiting = state.withLock { state -> [ThreadParker] in
            state.running -= 1
            guard state.running == 0 else { return [] }
            defer { state.waiting = [] }
            return state.waiting
        }
        for parker in waiting { parker.wake() }
    }

    private struct Handler: LogHandler {
        let log: ForeignLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            log.emit(event.level, event.text(with: metadata).printable)
        }
    }
}

extension Logger.Level {
    fileprivate init(_ level: parley_log_level) {
        self =
            switch level {
            case PARLEY_LOG_TRACE: .trace
            case PARLEY_LOG_DEBUG: .debug
            case PARLEY_LOG_INFO: .info
            case PARLEY_LOG_NOTICE: .notice
            case PARLEY_LOG_WARNING: .warning
            case PARLEY_LOG_ERROR: .error
            default: .critical
            }
    }
}

extension parley_log_level {
    fileprivate init(_ level: Logger.Level) {
        self =
            switch level {
            case .trace: PARLEY_LOG_TRACE
            case .debug: PARLEY_LOG_DEBUG
            case .info: PARLEY_LOG_INFO
            case .notice: PARLEY_LOG_NOTICE
            case .warning: PARLEY_LOG_WARNING
            case .error: PARLEY_LOG_ERROR
            case .critical: PARLEY_LOG_CRITICAL
            }
    }
}
