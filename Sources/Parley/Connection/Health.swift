/// Decides whether a connection is alive, from what was received and sent and from its link's status. A
/// value without a clock or I/O. All times are milliseconds of one clock.
///
/// ``check(_:_:)`` is called at intervals, not for each message. It looks back at what has happened since.
///
/// | judged | it ends when | what counts as progress |
/// |---|---|---|
/// | handshake | handshake and `onPeer` take too long | nothing |
/// | idle | nothing came and nothing went | bytes except heartbeats; new bytes in a paused socket |
/// | heartbeat | too many were not answered | any arrival; acknowledged bytes (see below) |
/// | write stall | too little of what was sent is acknowledged | ``TimeLimits/leastBytesPerSecond`` |
/// | frame | too little of an unfinished frame arrives | ``TimeLimits/leastBytesPerSecond`` |
/// | stream | its reader reads nothing | a byte that is read |
/// | death | the link has failed while it is not read | |
///
/// A side that has read nothing for ``pausedInterval`` got no pings, so it says by itself that it lives while
/// more bytes arrive in its socket.
///
/// For a heartbeat, acknowledged bytes count while the ping itself is not acknowledged. Once it is, its
/// acknowledgement counts while the link is not read. ``TimeLimits/leastBytesPerSecond`` is measured since
/// the last progress.
struct Health {
    /// The time-outs; nil is for ever.
    struct TimeLimits: Sendable {
        var handshake: UInt64 = .max
        var idle: UInt64?
        var write: UInt64?
        var writeStall: UInt64?
        var streamIdle: UInt64?
        var frame: UInt64?
        /// The least progress of a frame, and of what is sent.
        var leastBytesPerSecond: UInt64 = 128
        var heartbeat: UInt64?
        var maxMissedHeartbeats = 1
    }

    /// What is known of a connection at one moment.
    struct Snapshot {
        var now: UInt64
        /// Whether handshake or `onPeer` still run.
        var isStarting = false
        /// Whether the link is read.
        var isReading = true
        /// When bytes last arrived, and when bytes other than heartbeats last arrived.
        var lastArrival: UInt64 = 0
        var lastActivity: UInt64 = 0
        /// When something other than heartbeats was last handed to the link.
        var lastHanded: UInt64 = 0
        /// Bytes that were handed to the link, in all.
        var handedBytes: UInt64 = 0
        /// Whether the acknowledgement watch runs.
        var isWatched = false
        /// Since when senders find no room; `.max` while there is room.
        var blockedSince = UInt64.max
        /// When a byte of the open stream was last read.
        var streamReadAt: UInt64?
        /// The unfinished frame: which one, and how many bytes of it are there.
        var frame: Frame?
        var link = LinkStatus()

        struct Frame {
            var number: UInt64
            var receivedBytes: Int
        }
    }

    /// The state of a socket, or of a pipe in memory.
    struct LinkStatus {
        /// Handed over, and not acknowledged by the other side's kernel.
        var unacknowledgedBytes = 0
        /// Arrived in the socket and not read.
        var socketUnreadBytes = 0
        /// Whether the socket has no room for more, so that the other side cannot send.
        var isFull = false
        /// Whether it has failed or was reset.
        var isDead = false
        /// Whether it is read even while its owner does not read, so that a pong always arrives.
        var isReadAlways = false
    }

    /// Why a connection has to end.
    enum Failure: Equatable {
        case handshake
        case idle
        case heartbeat
        case writeStall(unacknowledgedBytes: Int)
        case stream
        case frame(receivedBytes: Int)
    }

    struct Verdict: Equatable {
        var failure: Failure?
        /// Senders found no room for too long. They check the clock themselves.
        var wakesSenders = false
        /// A heartbeat is due. Call ``heartbeatSent(endingAt:)`` when it is queued.
        var isHeartbeatDue = false
        /// A sign of life is due: pings of the other side may be among what is not read.
        var isSignOfLifeDue = false
        /// The link is dead and is not read.
        var hasLinkDied = false
        /// Everything handed over is acknowledged, so the watch ends.
        var endsWatch = false
        /// When to check again; `.max` when there is nothing to wait for.
        var next = UInt64.max
    }

    /// How often a link that is not read is checked, and the shortest time between two checks.
    static let pausedInterval: UInt64 = 1_000
    static let shortestInterval: UInt64 = 10

    /// When handshake and `onPeer` have to be over; `.max` once they are.
    private var handshakeDeadline = UInt64.max
    /// When the connection opened. The idle time starts then.
    private var openedAt: UInt64 = 0
    /// How much was acknowledged at the last sufficient progress, and when. None while no watch runs.
    private var acknowledged = Progress.none
    private var nextHeartbeat = UInt64.max
    private var rare = LazyBox<Rare>()

    /// How far something has come that must go on.
    struct Progress {
        var bytes: UInt64 = 0
        var at: UInt64 = 0

        /// Nothing is measured.
        static let none = Progress(at: .max)
        var isNone: Bool { at == .max }

        /// Whether `total` bytes are enough progress since the last one. If so, the measurement starts again.
        ///
        /// When the total has fallen, progress is measured from there. It falls on a secured link, which
        /// counts the bytes that it adds as not acknowledged until everything is.
        mutating func reaches(_ total: UInt64, at now: UInt64, bytesPerSecond rate: UInt64) -> Bool {
            bytes = min(bytes, total)
            let elapsed = now.since(at)
            let (product, overflow) = rate.multipliedReportingOverflow(by: elapsed)
            let least = overflow ? .max : max(1, product / 1_000)
            guard total &- bytes >= least else { return false }
            self = Progress(bytes: total, at: now)
            return true
        }
    }

    /// State that most connections do not need. Boxed on first write.
    private struct Rare: DefaultInitializable {
        /// The number of the unfinished frame that is watched, and its progress.
        var frame: UInt64 = 0
        var frameProgress = Progress()
        /// How many bytes were in a socket that is not read, and since when.
        var unreadBytes = 0
        var unreadSince: UInt64 = 0
        /// Heartbeats that were not answered.
        var missed = 0
        /// The position of the last ping's end; zero when it was answered.
        var pingEnd: UInt64 = 0
        /// How much was acknowledged at the last heartbeat.
        var acknowledgedBytes: UInt64 = 0
        /// When the other side last got a sign of life, and how many bytes were unread then.
        var signOfLifeAt: UInt64 = 0
        var signOfLifeBytes = 0
    }

    // MARK: Events

    mutating func handshakeBegins(at now: UInt64, _ limits: TimeLimits) -> UInt64 {
        handshakeDeadline = now &+ min(limits.handshake, 1 << 44)
        return handshakeDeadline
    }

    /// Starts the time-outs after handshake and `onPeer`. Returns the time of the first check.
    mutating func opened(at now: UInt64, _ limits: TimeLimits) -> UInt64 {
        handshakeDeadline = .max
        openedAt = now
        if let interval = limits.heartbeat { nextHeartbeat = now &+ interval }
        return min(nextHeartbeat, limits.idle.map { now &+ $0 } ?? .max)
    }

    /// Starts the acknowledgement watch; `acknowledgedBytes` are acknowledged already. Returns the time of
    /// the first check.
    mutating func watchBegins(at now: UInt64, acknowledgedBytes: UInt64, _ limits: TimeLimits) -> UInt64 {
        acknowledged = Progress(bytes: acknowledgedBytes, at: now)
        return limits.writeStall.map { now &+ Self.stallInterval($0) } ?? .max
    }

    /// A ping was queued; `end` is its end's position among all bytes that are handed over.
    mutating func heartbeatSent(endingAt end: UInt64) { rare.value.pingEnd = end }

    /// There was no room for a ping. Acknowledged bytes count for the peer until there is.
    mutating func heartbeatBlocked() { rare.value.pingEnd = .max }

    /// The last ping was answered.
    mutating func heartbeatAnswered() {
        guard !rare.isDefault else { return }
        rare.value.missed = 0
        rare.value.pingEnd = 0
    }

    /// Stops heartbeats: the wire form has none.
    mutating func stopHeartbeats() { nextHeartbeat = .max }

    /// How many heartbeats were not answered.
    var missedHeartbeats: Int { rare.isDefault ? 0 : rare.value.missed }

    /// Whether it keeps the state that most connections do not need, for tests.
    var keepsRareState: Bool { !rare.isDefault }

    // MARK: Verdict

    mutating func check(_ snapshot: Snapshot, _ limits: TimeLimits) -> Verdict {
        var verdict = Verdict()
        checkHandshake(snapshot, &verdict)
        checkRoom(snapshot, limits, &verdict)
        checkDeath(snapshot, &verdict)
        checkSignOfLife(snapshot, &verdict)
        checkAcknowledgements(snapshot, limits, &verdict)
        checkStream(snapshot, limits, &verdict)
        checkFrame(snapshot, limits, &verdict)
        noteUnread(snapshot)
        checkHeartbeat(snapshot, limits, &verdict)
        checkActivity(snapshot, limits, &verdict)
        if verdict.failure != nil { verdict.next = .max }
        return verdict
    }

    private func checkHandshake(_ snapshot: Snapshot, _ verdict: inout Verdict) {
        // The connection may be open already, before ``opened(at:_:)`` was called.
        guard snapshot.isStarting else { return }
        guard snapshot.now < handshakeDeadline else { return verdict.fail(.handshake) }
        verdict.check(at: handshakeDeadline)
    }

    private func checkRoom(_ snapshot: Snapshot, _ limits: TimeLimits, _ verdict: inout Verdict) {
        guard let timeout = limits.write, snapshot.blockedSince != .max else { return }
        let due = snapshot.blockedSince &+ timeout
        verdict.wakesSenders = snapshot.now >= due
        verdict.check(at: due > snapshot.now ? due : snapshot.now &+ max(Self.shortestInterval, timeout / 4))
    }

    private func checkDeath(_ snapshot: Snapshot, _ verdict: inout Verdict) {
        guard !snapshot.isReading else { return }
        verdict.hasLinkDied = snapshot.link.isDead
        if !snapshot.link.isDead { verdict.check(at: snapshot.now &+ Self.pausedInterval) }
    }

    private mutating func checkSignOfLife(_ snapshot: Snapshot, _ verdict: inout Verdict) {
        let link = snapshot.link
        // Bytes that are on their way already are such a sign.
        guard !snapshot.isReading, !snapshot.isStarting, !link.isReadAlways, !link.isDead,
            link.unacknowledgedBytes == 0,
            link.socketUnreadBytes > rare.value.signOfLifeBytes || link.isFull,
            snapshot.now.since(max(snapshot.lastArrival, rare.value.signOfLifeAt)) >= Self.pausedInterval
        else { return }
        rare.value.signOfLifeAt = snapshot.now
        rare.value.signOfLifeBytes = link.socketUnreadBytes
        verdict.isSignOfLifeDue = true
    }

    private mutating func checkAcknowledgements(
        _ snapshot: Snapshot,
        _ limits: TimeLimits,
        _ verdict: inout Verdict
    ) {
        guard let stall = limits.writeStall else { return }
        guard snapshot.isWatched, snapshot.link.unacknowledgedBytes > 0 else {
            verdict.endsWatch = snapshot.isWatched
            acknowledged = .none
            return
        }
        // A sender's thread has requested a watch that has not started yet.
        guard !acknowledged.isNone else { return }
        let isEnough = acknowledged.reaches(
            snapshot.acknowledgedBytes,
            at: snapshot.now,
            bytesPerSecond: limits.leastBytesPerSecond
        )
        guard isEnough || snapshot.now.since(acknowledged.at) < stall else {
            return verdict.fail(.writeStall(unacknowledgedBytes: snapshot.link.unacknowledgedBytes))
        }
        verdict.check(at: snapshot.now &+ Self.stallInterval(stall))
    }

    private static func stallInterval(_ stall: UInt64) -> UInt64 { max(shortestInterval, stall / 4) }

    private func checkStream(_ snapshot: Snapshot, _ limits: TimeLimits, _ verdict: inout Verdict) {
        guard let timeout = limits.streamIdle, let readAt = snapshot.streamReadAt else { return }
        guard snapshot.now < readAt &+ timeout else { return verdict.fail(.stream) }
        verdict.check(at: readAt &+ timeout)
    }

    private mutating func checkFrame(_ snapshot: Snapshot, _ limits: TimeLimits, _ verdict: inout Verdict) {
        guard let interval = limits.frame else { return }
        guard let frame = snapshot.frame else { return rare.isDefault ? () : (rare.value.frame = 0) }
        let received = UInt64(frame.receivedBytes)
        // While this side does not read, the other side cannot continue the frame.
        if rare.value.frame != frame.number || !snapshot.isReading {
            rare.value.frame = frame.number
            rare.value.frameProgress = Progress(bytes: received, at: snapshot.now)
        }
        let isEnough = rare.value.frameProgress.reaches(
            received,
            at: snapshot.now,
            bytesPerSecond: limits.leastBytesPerSecond
        )
        let since = rare.value.frameProgress.at
        guard isEnough || snapshot.now.since(since) < interval else {
            return verdict.fail(.frame(receivedBytes: frame.receivedBytes))
        }
        verdict.check(at: snapshot.now &+ Self.stallInterval(interval))
    }

    /// Records unread bytes in a socket that is not read. More of them than before are one sign of life.
    private mutating func noteUnread(_ snapshot: Snapshot) {
        let unread = snapshot.isReading ? 0 : snapshot.link.socketUnreadBytes
        guard unread > 0 || !rare.isDefault && rare.value.unreadBytes > 0 else { return }
        rare.value.signOfLifeBytes = min(rare.value.signOfLifeBytes, unread)
        // Bytes that were read since count as arrivals.
        if unread == 0 { rare.value.unreadSince = 0 }
        if unread > rare.value.unreadBytes || snapshot.link.isFull { rare.value.unreadSince = snapshot.now }
        rare.value.unreadBytes = unread
    }

    private var unreadSince: UInt64 { rare.isDefault ? 0 : rare.value.unreadSince }

    private mutating func checkHeartbeat(_ snapshot: Snapshot, _ limits: TimeLimits, _ verdict: inout Verdict)
    {
        guard let interval = limits.heartbeat, nextHeartbeat != .max, !snapshot.isStarting else { return }
        guard snapshot.now >= nextHeartbeat else { return verdict.check(at: nextHeartbeat) }
        let lastHeartbeat = nextHeartbeat &- interval
        nextHeartbeat = snapshot.now &+ interval
        verdict.check(at: nextHeartbeat)
        let acknowledged = snapshot.acknowledgedBytes
        let isProgress = acknowledged > rare.value.acknowledgedBytes
        rare.value.acknowledgedBytes = acknowledged
        let isPingUnderway = rare.value.pingEnd > acknowledged
        // Also in the same millisecond as the last heartbeat: both sides' clocks may beat in step. Unread
        // bytes are noted before a heartbeat of the same time.
        let hasArrived = snapshot.lastArrival >= lastHeartbeat && snapshot.lastArrival > 0
        if hasArrived || !snapshot.isReading && unreadSince > lastHeartbeat {
            // Any arrival is a sign of life and counts as the answer.
            rare.value.missed = 0
            rare.value.pingEnd = 0
        } else if rare.value.pingEnd > 0 {
            // A link that is not read delivers no pong, but the other side's kernel acknowledges what it
            // gets. While the ping waits behind other bytes, their acknowledgement is the sign of life.
            let isUnheard = !snapshot.isReading && !snapshot.link.isReadAlways
            let isAlive = isPingUnderway ? isProgress : isUnheard
            rare.value.missed = isAlive ? 0 : rare.value.missed + 1
        }
        guard rare.value.missed < limits.maxMissedHeartbeats else { return verdict.fail(.heartbeat) }
        // No second ping while one is queued.
        verdict.isHeartbeatDue = rare.value.pingEnd <= acknowledged || rare.value.pingEnd == .max
    }

    private func checkActivity(_ snapshot: Snapshot, _ limits: TimeLimits, _ verdict: inout Verdict) {
        guard let idle = limits.idle, !snapshot.isStarting else { return }
        let lastInput = max(snapshot.lastActivity, snapshot.isReading ? 0 : unreadSince)
        let last = max(max(openedAt, snapshot.lastHanded), lastInput)
        guard snapshot.now.since(last) < idle else { return verdict.fail(.idle) }
        verdict.check(at: last &+ idle)
    }
}

extension Health.Snapshot {
    /// How many of the bytes that were handed over the other side's kernel has.
    var acknowledgedBytes: UInt64 {
        handedBytes &- min(handedBytes, UInt64(max(0, link.unacknowledgedBytes)))
    }
}

extension Health.Verdict {
    fileprivate mutating func check(at time: UInt64) { next = min(next, time) }

    /// Sets the failure. The first one counts.
    fileprivate mutating func fail(_ failure: Health.Failure) {
        if self.failure == nil { self.failure = failure }
    }
}
