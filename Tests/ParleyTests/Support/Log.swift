import Logging

@testable import Parley

/// Records log lines for a test.
final class Log: Sendable {
    struct Line: Sendable {
        let level: Logger.Level
        let event: String
        let metadata: Logger.Metadata
    }

    private let kept = Lock<[Line]>([])

    var lines: [Line] { kept.withLock { $0 } }

    func lines(_ event: String) -> [Line] { lines.filter { $0.event == event } }

    /// Waits for the first such line: its event may be visible elsewhere (for example in statistics) before
    /// it is logged.
    func first(_ event: String) async throws -> Line {
        try await eventually { !lines(event).isEmpty }
        return lines(event)[0]
    }

    var logger: Logger { Logger(label: "test") { [kept] _ in Handler(kept: kept) } }

    private struct Handler: LogHandler {
        let kept: Lock<[Line]>
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            kept.withLock {
                $0.append(
                    Line(level: event.level, event: "\(event.message)", metadata: event.metadata ?? [:])
                )
            }
        }
    }
}

/// A log that takes long for each line, so that the thread that logs goes on late.
struct SlowLog: LogHandler {
    static var logger: Logger { Logger(label: "slow") { _ in SlowLog() } }

    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let end = ContinuousClock.now + .milliseconds(100)
        while ContinuousClock.now < end {}
    }
}
