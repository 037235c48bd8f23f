/// Limits the rate of log lines. A value without a clock, under a lock. Times are in milliseconds, and never
/// go back.
package struct LogThrottle {
    private struct Entry {
        var tokens = LogThrottle.lines
        var filledAt: UInt64
        var lastLine: UInt64?
        var lastEvent: UInt64?
        var suppressed = 0
    }

    /// The most lines at once.
    private static let lines = 10.0
    /// How long it takes until another line is allowed, once those are used up.
    private static let millisecondsPerLine = 1_000.0
    /// How long no event comes before a burst counts as over, in milliseconds.
    private static let quiet: UInt64 = 10_000
    /// How long a burst lasts before it has another line, in milliseconds.
    private static let reminder: UInt64 = 60_000

    /// Bounded: the library chooses the keys.
    private var entries: [String: Entry] = [:]
    private var bursts: [String: UInt64] = [:]

    package init() {}

    /// How many lines were suppressed since the last one; nil when this one is suppressed.
    package mutating func permit(_ key: String, at now: UInt64) -> Int? {
        var entry = entries[key] ?? Entry(filledAt: now)
        defer { entries[key] = entry }
        entry.tokens = min(
            Self.lines,
            entry.tokens + Double(now &- entry.filledAt) / Self.millisecondsPerLine
        )
        entry.filledAt = now
        guard entry.tokens >= 1 else {
            entry.suppressed += 1
            return nil
        }
        entry.tokens -= 1
        defer { entry.suppressed = 0 }
        return entry.suppressed
    }

    /// The same with one line per burst.
    mutating func permitBurst(_ key: String, at now: UInt64) -> Int? {
        var entry = entries[key] ?? Entry(filledAt: now)
        defer { entries[key] = entry }
        let isNew = entry.lastEvent.map { now &- $0 > Self.quiet } ?? true
        entry.lastEvent = now
        guard isNew || entry.lastLine.map({ now &- $0 > Self.reminder }) ?? true else {
            entry.suppressed += 1
            return nil
        }
        entry.lastLine = now
        defer { entry.suppressed = 0 }
        return entry.suppressed
    }

    /// Whether this event starts a burst.
    mutating func beginsBurst(_ key: String, at now: UInt64) -> Bool {
        defer { bursts[key] = now }
        return bursts[key].map { now &- $0 > Self.quiet } ?? true
    }
}
