import CParley
import Logging
import Parley
import Synchronization

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
    private let isSilent = Atomic(false)

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

    /// Drops all further lines. Called before the program's userdata is destroyed.
    func silence() { isSilent.store(true, ordering: .sequentiallyConsistent) }

    fileprivate func emit(_ level: Logger.Level, _ line: String) {
        guard !isSilent.load(ordering: .sequentiallyConsistent) else { return }
        let (function, userdata) = call.value
        line.withCString { function(parley_log_level(level), $0, userdata) }
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
