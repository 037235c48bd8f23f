/// A snapshot of one connection's counters and buffers; see ``Peer/statistics``.
public struct PeerStatistics: Sendable, Hashable {
    /// Whom the numbers are of: ``Peer/id``.
    public var id: PeerID?
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
    /// Requests of this side without an answer, including those that timed out or were cancelled. They count
    /// towards ``Limits/maxOpenRequests``.
    public var openRequests = 0
    /// Requests of the other side that this side has not answered. Some may wait in the inbox.
    public var unansweredRequests = 0
    /// Open streams of ``WireForm/multiplexed``, of both sides.
    public var openStreams = 0
    /// Streams of the other side that were reset because of a limit, or because nobody takes them, by reason.
    public var streamRefusals = StreamRefusals()
    /// The same for every reason together.
    public var refusedStreams: UInt64 { streamRefusals.total }
    /// The last heartbeat's round trip; nil before the first. See ``Timeouts/heartbeat``. Connections with
    /// many streams measure it without heartbeats too.
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
        if ForkedChild.isThisProcess { return statistics }
        inbound.withLock { inbound in
            statistics.unreadBytes = inbound.state.bufferedBytes
            statistics.unansweredRequests = inbound.state.unanswered.count
            statistics.isReadingPaused = inbound.intake.awaitsInbox
            statistics.unansweredHeartbeats = inbound.heartbeats.value.unanswered
            statistics.roundTripTime = inbound.heartbeats.value.roundTripNanoseconds.map { .nanoseconds($0) }
            let now = MonotonicTime.millisecondsNow
            statistics.silence = .milliseconds(now > inbound.lastArrival ? now - inbound.lastArrival : 0)
            statistics.traffic.set(inbound.counters)
        }
        let (ended, requests, proven) = outbound.withLock { outbound in
            statistics.unsentBytes = outbound.queue.unwrittenBytes
            let requests = outbound.openRequests
            statistics.openRequests = requests.count
            statistics.traffic.set(outbound.queue.counters)
            return (outbound.ended, (requests.sent, requests.lateAnswers), outbound.proven)
        }
        if let multiplexed { multiplexed.report(to: &statistics) }
        if let proven {
            statistics.id = proven.id
            statistics.traffic.wireBytesReceived = proven.wireBytesReceived.load(ordering: .relaxed)
            statistics.traffic.wireBytesSent = proven.wireBytesSent.load(ordering: .relaxed)
        }
        (statistics.traffic.requestsSent, statistics.traffic.lateAnswers) = requests
        statistics.uptime = began.duration(to: min(ended, .now))
        return statistics
    }
}

extension MultiplexedLink {
    fileprivate func report(to statistics: inout PeerStatistics) {
        channels.withLock { channels in
            statistics.unreadBytes += channels.heldBytes
            statistics.unsentBytes += channels.unsentStreamBytes
            statistics.openStreams = channels.openCount
            statistics.streamRefusals = channels.counters.refused
            statistics.traffic.streamsReceived &+= channels.counters.received
            statistics.traffic.streamsSent &+= channels.counters.sent
        }
    }
}
