/// Whether a connection is still alive, judged by what went in and out and by a look at its link: a value without clock
/// or I/O. All times are milliseconds of one clock.
///
/// ``check(_:)`` is called now and then, not for each message: it looks back at what has happened since.
///
/// | judged | it ends when | what counts as progress |
/// |---|---|---|
/// | handshake | handshake and `onPeer` take too long | nothing |
/// | idle | nothing came and nothing went | bytes other than heartbeats; new bytes in a socket that is not read |
/// | heartbeat | too many were not answered | anything that arrives; acknowledged bytes while the ping is on its way, or while nothing is read |
/// | write stall | too little of what was sent is acknowledged | ``Limits/leastBytesPerSecond`` since the last progress |
/// | frame | too little of an unfinished frame comes | ``Limits/leastBytesPerSecond`` since the last progress |
/// | stream | its reader takes nothing | a byte that is read |
/// | death | the link has failed while nothing is read from it | |
struct Health {
    /// How long things may take; nil is for ever.
    struct Limits: Sendable {
        var handshake: UInt64 = .max
        var idle: UInt64?
        var write: UInt64?
        var writeStall: UInt64?
        var streamIdle: UInt64?
        var frame: UInt64?
        /// What a frame, and what is sent, has to move at least.
        var leastBytesPerSecond: UInt64 = 128
        var heartbeat: UInt64?
        var maxMissedHeartbeats = 1
    }

    /// What is to be seen of a connection at one moment.
    struct Look {
        var now: UInt64
        /// Handshake and `onPeer` are not over.
        var isStarting = false
        /// The link is read.
        var isReading = true
        /// When bytes last came, and when such that were no heartbeats came.
        var lastArrival: UInt64 = 0
        var lastActivity: UInt64 = 0
        /// When something other than heartbeats was last written.
        var lastHanded: UInt64 = 0
        /// Bytes that were handed to the link, in all.
        var handedBytes: UInt64 = 0
        /// Somebody wants to know when they are acknowledged.
        var isWatched = false
        /// Since when senders find no room; `.max` while there is.
        var blockedSince = UInt64.max
        /// When a byte of the open stream was last read.
        var streamReadAt: UInt64?
        /// An unfinished frame: how many bytes of it are there, and which one it is.
        var frame: Frame?
        var link = Link()

        struct Frame {
            var number: UInt64
            var receivedBytes: Int
        }

        /// What the link says of itself.
        struct Link {
            /// Handed over, and not yet acknowledged by the other side's kernel.
            var unacknowledgedBytes = 0
            /// Arrived, and not read.
            var unreadBytes = 0
            /// The socket has no room for more: the other side cannot send.
            var isFull = false
            /// It has failed or was reset.
            var isDead = false
        }
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
        /// Senders have found no room for too long: they look at the clock themselves.
        var wakesSenders = false
        /// It is time for a heartbeat: call ``heartbeatSent(endingAt:)`` when it is on its way.
        var isHeartbeatDue = false
        /// The link is dead, and nobody reads it.
        var hasLinkDied = false
        /// Everything handed over is acknowledged: the watch ends.
        var endsWatch = false
        /// When to look again; `.max` when there is nothing to wait for.
        var next = UInt64.max
    }

    /// How often a link that is not read is looked at, and the shortest time between two looks.
    static let pausedInterval: UInt64 = 1_000
    static let shortestInterval: UInt64 = 10

    /// When handshake and `onPeer` have to be over; `.max` when they are.
    private var handshakeDeadline = UInt64.max
    /// When the idle time began, as far as time itself is concerned.
    private var openedAt: UInt64 = 0
    /// What was acknowledged when there was last enough progress, and when that was, while a watch runs.
    private var acknowledged = Progress.none
    private var nextHeartbeat = UInt64.max
    private var rare = LazyBox<Rare>()

    private struct Progress {
        var bytes: UInt64 = 0
        var at: UInt64 = 0

        /// Nothing is measured.
        static let none = Progress(at: .max)
        var isNone: Bool { at == .max }

        /// Whether so many bytes in all are enough since the last progress; it begins anew then.
        mutating func reaches(_ total: UInt64, at now: UInt64, bytesPerSecond rate: UInt64) -> Bool {
            let elapsed = now &- min(now, at)
            let (product, overflow) = rate.multipliedReportingOverflow(by: elapsed)
            let least = overflow ? .max : max(1, product / 1_000)
            guard total >= bytes, total &- bytes >= least else { return false }
            self = Progress(bytes: total, at: now)
            return true
        }
    }

    /// What most connections do not need.
    private struct Rare: DefaultInitializable {
        /// The unfinished frame that is watched, and what had come of it.
        var frame: UInt64 = 0
        var frameProgress = Progress()
        /// How many bytes lay in a socket that is not read, and since when.
        var unreadBytes = 0
        var unreadSince: UInt64 = 0
        /// Heartbeats that were sent and not answered.
        var missed = 0
        /// Which byte the last one ends with; zero when it was answered.
        var pingEnd: UInt64 = 0
        /// What was acknowledged at the last heartbeat.
        var acknowledgedBytes: UInt64 = 0
    }

    // MARK: What happens

    mutating func handshakeBegins(at now: UInt64, _ limits: Limits) -> UInt64 {
        handshakeDeadline = now &+ min(limits.handshake, 1 << 44)
        return handshakeDeadline
    }

    /// Handshake and `onPeer` are over; returns when to look first.
    mutating func opened(at now: UInt64, _ limits: Limits) -> UInt64 {
        handshakeDeadline = .max
        openedAt = now
        if let interval = limits.heartbeat { nextHeartbeat = now &+ interval }
        return min(nextHeartbeat, limits.idle.map { now &+ $0 } ?? .max)
    }

    /// A watch of what is acknowledged begins, behind so many bytes that were; returns when to look first.
    mutating func watchBegins(at now: UInt64, acknowledgedBytes: UInt64, _ limits: Limits) -> UInt64 {
        acknowledged = Progress(bytes: acknowledgedBytes, at: now)
        return limits.writeStall.map { now &+ Self.stallInterval($0) } ?? .max
    }

    /// A heartbeat was accepted, and ends with that byte of what is handed over.
    mutating func heartbeatSent(endingAt end: UInt64) { rare.value.pingEnd = end }

    /// There was no room for a heartbeat: what is acknowledged meanwhile speaks for the peer.
    mutating func heartbeatBlocked() { rare.value.pingEnd = .max }

    /// The last heartbeat was answered.
    mutating func heartbeatAnswered() {
        guard !rare.isDefault else { return }
        rare.value.missed = 0
        rare.value.pingEnd = 0
    }

    /// The wire form has no heartbeats.
    mutating func stopHeartbeats() { nextHeartbeat = .max }

    /// How many heartbeats were not answered.
    var missedHeartbeats: Int { rare.isDefault ? 0 : rare.value.missed }

    // MARK: The judgement

    mutating func check(_ look: Look, _ limits: Limits) -> Verdict {
        var verdict = Verdict()
        checkHandshake(look, &verdict)
        checkRoom(look, limits, &verdict)
        checkDeath(look, &verdict)
        checkAcknowledgements(look, limits, &verdict)
        checkStream(look, limits, &verdict)
        checkFrame(look, limits, &verdict)
        noteUnread(look)
        checkHeartbeat(look, limits, &verdict)
        checkActivity(look, limits, &verdict)
        if verdict.failure != nil { verdict.next = .max }
        return verdict
    }

    private func checkHandshake(_ look: Look, _ verdict: inout Verdict) {
        // It may be open already, and not have said so here.
        guard look.isStarting else { return }
        guard look.now < handshakeDeadline else { return verdict.fail(.handshake) }
        verdict.check(at: handshakeDeadline)
    }

    private func checkRoom(_ look: Look, _ limits: Limits, _ verdict: inout Verdict) {
        guard let timeout = limits.write, look.blockedSince != .max else { return }
        let due = look.blockedSince &+ timeout
        verdict.wakesSenders = look.now >= due
        verdict.check(at: due > look.now ? due : look.now &+ max(Self.shortestInterval, timeout / 4))
    }

    private func checkDeath(_ look: Look, _ verdict: inout Verdict) {
        guard !look.isReading else { return }
        verdict.hasLinkDied = look.link.isDead
        if !look.link.isDead { verdict.check(at: look.now &+ Self.pausedInterval) }
    }

    private mutating func checkAcknowledgements(_ look: Look, _ limits: Limits, _ verdict: inout Verdict) {
        guard let stall = limits.writeStall else { return }
        guard look.isWatched, look.link.unacknowledgedBytes > 0 else {
            verdict.endsWatch = look.isWatched
            acknowledged = .none
            return
        }
        // A sender's thread has asked for a watch that is yet to begin here. What an earlier one saw says nothing.
        guard !acknowledged.isNone else { return }
        let isEnough = acknowledged.reaches(
            look.acknowledgedBytes,
            at: look.now,
            bytesPerSecond: limits.leastBytesPerSecond
        )
        guard isEnough || look.now &- min(look.now, acknowledged.at) < stall else {
            return verdict.fail(.writeStall(unacknowledgedBytes: look.link.unacknowledgedBytes))
        }
        verdict.check(at: look.now &+ Self.stallInterval(stall))
    }

    private static func stallInterval(_ stall: UInt64) -> UInt64 { max(shortestInterval, stall / 4) }

    private func checkStream(_ look: Look, _ limits: Limits, _ verdict: inout Verdict) {
        guard let timeout = limits.streamIdle, let readAt = look.streamReadAt else { return }
        guard look.now < readAt &+ timeout else { return verdict.fail(.stream) }
        verdict.check(at: readAt &+ timeout)
    }

    private mutating func checkFrame(_ look: Look, _ limits: Limits, _ verdict: inout Verdict) {
        guard let interval = limits.frame else { return }
        guard let frame = look.frame else { return rare.isDefault ? () : (rare.value.frame = 0) }
        let received = UInt64(frame.receivedBytes)
        // While this side does not read, the other side cannot go on.
        if rare.value.frame != frame.number || !look.isReading {
            rare.value.frame = frame.number
            rare.value.frameProgress = Progress(bytes: received, at: look.now)
        }
        let isEnough = rare.value.frameProgress.reaches(
            received,
            at: look.now,
            bytesPerSecond: limits.leastBytesPerSecond
        )
        let since = rare.value.frameProgress.at
        guard isEnough || look.now &- min(look.now, since) < interval else {
            return verdict.fail(.frame(receivedBytes: frame.receivedBytes))
        }
        verdict.check(at: look.now &+ Self.stallInterval(interval))
    }

    /// Bytes in a socket that is not read are news once, when there are more of them than before.
    private mutating func noteUnread(_ look: Look) {
        let unread = look.isReading ? 0 : look.link.unreadBytes
        guard unread > 0 || !rare.isDefault && rare.value.unreadBytes > 0 else { return }
        // What was read counts as what it is: bytes that have arrived.
        if unread == 0 { rare.value.unreadSince = 0 }
        if unread > rare.value.unreadBytes || look.link.isFull { rare.value.unreadSince = look.now }
        rare.value.unreadBytes = unread
    }

    private var unreadSince: UInt64 { rare.isDefault ? 0 : rare.value.unreadSince }

    private mutating func checkHeartbeat(_ look: Look, _ limits: Limits, _ verdict: inout Verdict) {
        guard let interval = limits.heartbeat, nextHeartbeat != .max, !look.isStarting else { return }
        guard look.now >= nextHeartbeat else { return verdict.check(at: nextHeartbeat) }
        nextHeartbeat = look.now &+ interval
        verdict.check(at: nextHeartbeat)
        let acknowledged = look.acknowledgedBytes
        let isProgress = acknowledged > rare.value.acknowledgedBytes
        rare.value.acknowledgedBytes = acknowledged
        let isPingUnderway = rare.value.pingEnd > acknowledged
        let lastSign = max(look.lastArrival, look.isReading ? 0 : unreadSince)
        if look.now &- min(look.now, lastSign) < interval {
            // Whatever arrives is a sign of life, and answers for the last heartbeat.
            rare.value.missed = 0
            rare.value.pingEnd = 0
        } else if rare.value.pingEnd > 0 {
            // Of a peer that is not read no answer can be seen, but its kernel acknowledges what it gets; and while the
            // heartbeat waits behind other bytes, those that are acknowledged show that the peer is there.
            let isAlive = isPingUnderway ? isProgress : !look.isReading
            rare.value.missed = isAlive ? 0 : rare.value.missed + 1
        }
        guard rare.value.missed < limits.maxMissedHeartbeats else { return verdict.fail(.heartbeat) }
        // One that is still on its way needs no second one behind it.
        verdict.isHeartbeatDue = rare.value.pingEnd <= acknowledged || rare.value.pingEnd == .max
    }

    private func checkActivity(_ look: Look, _ limits: Limits, _ verdict: inout Verdict) {
        guard let idle = limits.idle, !look.isStarting else { return }
        let last = max(max(openedAt, look.lastHanded), max(look.lastActivity, look.isReading ? 0 : unreadSince))
        guard look.now &- min(look.now, last) < idle else { return verdict.fail(.idle) }
        verdict.check(at: last &+ idle)
    }
}

extension Health.Look {
    /// What the other side's kernel has of all that was handed over.
    var acknowledgedBytes: UInt64 { handedBytes &- min(handedBytes, UInt64(max(0, link.unacknowledgedBytes))) }
}

extension Health.Verdict {
    fileprivate mutating func check(at time: UInt64) { next = min(next, time) }

    /// The first failure is the reason.
    fileprivate mutating func fail(_ failure: Health.Failure) {
        if self.failure == nil { self.failure = failure }
    }
}
