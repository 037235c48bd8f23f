/// A snapshot of one connection's counters and buffers; see ``Peer/statistics``.
public struct PeerStatistics: Sendable, Hashable {
    /// The traffic in each direction.
    public var traffic = Traffic()
    /// How long the connection has existed, until now or until its end.
    public var uptime: Duration = .zero
    /// The time since something arrived last.
    public var silence: Duration = .zero
    /// Bytes that were accepted for sending and are not written yet. At
    /// ``TransportOptions/sendHighWaterBytes``, sends begin to wait.
    public var unsentBytes = 0
    /// Bytes that have arrived and are neither decoded nor read: parts of frames, and a stream's read-ahead.
    public var unreadBytes = 0
    /// Whether reading from this peer is paused because the inbox is full.
    public var isReadingPaused = false
    /// The last heartbeat's round trip; nil before the first. See ``Timeouts/heartbeat``.
    public var roundTripTime: Duration?
    /// Heartbeats that this side sent and that are not answered yet.
    public var unansweredHeartbeats = 0

    /// All zero; for peers of your own.
    public init() {}
}

extension Connection {
    /// See ``Peer/statistics``.
    public var statistics: PeerStatistics {
        var statistics = PeerStatistics()
        let received = inbound.withLock { inbound in
            statistics.unreadBytes = inbound.state.bufferedBytes
            statistics.isReadingPaused = inbound.intake.awaitsInbox
            statistics.unansweredHeartbeats = inbound.heartbeats.value.unanswered
            statistics.roundTripTime = inbound.heartbeats.value.roundTripNanoseconds.map { .nanoseconds($0) }
            let now = MonotonicTime.millisecondsNow
            statistics.silence = .milliseconds(now > inbound.lastArrival ? now - inbound.lastArrival : 0)
            return inbound.counters
        }
        let (sent, ended) = outbound.withLock { outbound in
            statistics.unsentBytes = outbound.queue.unwrittenBytes
            return (outbound.queue.counters, outbound.ended)
        }
        statistics.traffic = Traffic(received, sent)
        statistics.uptime = began.duration(to: min(ended, .now))
        return statistics
    }
}
