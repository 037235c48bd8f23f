/// What one connection has done and holds, at one moment; see ``Peer/statistics``.
public struct PeerStatistics: Sendable, Hashable {
    /// What has gone each way.
    public var traffic = Traffic()
    /// How long the connection has existed; it stops growing when the connection has ended.
    public var uptime: Duration = .zero
    /// How long nothing has arrived.
    public var silence: Duration = .zero
    /// Bytes that were accepted for sending and are not written yet; above
    /// ``TransportOptions/sendHighWaterBytes`` sends wait.
    public var unsentBytes = 0
    /// Bytes that have arrived and are neither decoded nor read: parts of frames, and a stream's read-ahead.
    public var unreadBytes = 0
    /// Whether nothing is read from this peer now, because the inbox is full.
    public var isReadingPaused = false
    /// The last heartbeat's round trip; nil before the first. See ``Timeouts/heartbeat``.
    public var roundTripTime: Duration?
    /// Heartbeats that this side sent and that have not been answered.
    public var unansweredHeartbeats = 0

    /// Nothing yet; for peers of your own.
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
