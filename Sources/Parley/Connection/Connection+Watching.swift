// Time-outs that look back: one entry in its context's timer queue for each connection that has something to wait for, and
// nothing for each message. They ask the kernel too, so they work while nothing is read. The loop's thread only.

extension Connection {
    /// Times are ``EventLoop/milliseconds``.
    struct Watch {
        /// When this connection is looked at next.
        var nextLook = UInt64.max
        /// When handshake and `onPeer` have to be over; `.max` when they are.
        var handshakeDeadline = UInt64.max
        /// When something other than heartbeats was last written.
        var lastWrite: UInt64 = 0
        /// What the link was given in all, and how much of that the other side had when there was last more of it.
        var handedBytes = 0
        var acknowledgedBytes = 0
        var acknowledgedAt: UInt64 = 0
        /// Bytes of heartbeats among what is to be written.
        var heartbeatBytes = 0
        var nextHeartbeat = UInt64.max
        /// Whether something may be unacknowledged.
        var isWriteWatched = false
        /// The link was found dead while nothing was read from it: what is left is read to its end.
        var isDead = false
    }

    /// How often a connection that is not read is looked at, and the shortest time between two looks.
    private static let pausedLook: UInt64 = 1_000
    private static let shortestLook: UInt64 = 10

    /// The greeting is over: what is watched of an open peer begins.
    func beginWatching() {
        let now = loop.milliseconds
        watch.lastWrite = now
        if let idle = node.options.timeouts.idle {
            context.timers.look(at: self, by: now &+ idle.inMilliseconds)
        }
        if let heartbeat = node.options.timeouts.heartbeat {
            watch.nextHeartbeat = now &+ heartbeat.intervalMilliseconds
            context.timers.look(at: self, by: watch.nextHeartbeat)
        }
    }

    /// Looks back at what has happened, and drops the peer when that was not enough.
    ///
    /// - Returns: when to look again; `.max` when there is nothing to wait for.
    func look(at now: UInt64) -> UInt64 {
        var next = UInt64.max
        for look in [
            lookForHandshake, lookForRoom, lookForDeath, lookForAcknowledgements, lookForHeartbeats,
            lookForActivity,
        ] {
            guard ending == .no || ending == .draining, link != nil else { return .max }
            next = min(next, look(now))
        }
        return max(next, now &+ 1)
    }

    // MARK: Greeting

    /// Handshake and `onPeer` begin.
    func beginHandshake() {
        watch.handshakeDeadline = loop.milliseconds &+ node.options.handshakeTimeout.inMilliseconds
        context.timers.look(at: self, by: watch.handshakeDeadline)
    }

    private func lookForHandshake(_ now: UInt64) -> UInt64 {
        guard now >= watch.handshakeDeadline else { return watch.handshakeDeadline }
        fail(
            ParleyError(
                .timedOut,
                "greeting \(remoteAddress) took longer than \(node.options.handshakeTimeout)"
            )
        )
        return .max
    }

    // MARK: Idle

    private func lookForActivity(_ now: UInt64) -> UInt64 {
        guard let idle = node.options.timeouts.idle?.inMilliseconds, isOpen else { return .max }
        var last = max(watch.lastWrite, inbound.withLock { $0.lastActivity })
        // Bytes that nobody has read yet are no silence.
        if link?.hasUnreadBytes == true, !isReadingNow { last = now }
        if now &- min(now, last) < idle { return last &+ idle }
        fail(
            ParleyError(.idle, "nothing came from \(remoteAddress), and nothing went there, for \(idle) ms")
        )
        return .max
    }

    private var isOpen: Bool { outbound.withLock { $0.isOpened } }
    private var isReadingNow: Bool { inbound.withLock { $0.isReading } }

    // MARK: Writes

    /// Something was handed to the link.
    func noteWrite(_ count: Int) {
        let now = loop.milliseconds
        if count > watch.heartbeatBytes { watch.lastWrite = now }
        watch.heartbeatBytes = 0
        if !watch.isWriteWatched, node.options.timeouts.writeStall != nil {
            watch.isWriteWatched = true
            watch.acknowledgedBytes = watch.handedBytes
            watch.acknowledgedAt = now
            context.timers.look(at: self, by: now &+ stallLook)
        }
        watch.handedBytes &+= count
    }

    private var stallLook: UInt64 {
        max(Self.shortestLook, (node.options.timeouts.writeStall?.inMilliseconds ?? 0) / 4)
    }

    private func lookForAcknowledgements(_ now: UInt64) -> UInt64 {
        guard watch.isWriteWatched, let link, let stall = node.options.timeouts.writeStall else {
            return .max
        }
        let left = link.unacknowledgedBytes
        guard left > 0 else {
            watch.isWriteWatched = false
            return .max
        }
        let acknowledged = watch.handedBytes &- left
        if acknowledged > watch.acknowledgedBytes {
            watch.acknowledgedBytes = acknowledged
            watch.acknowledgedAt = now
        }
        guard now &- watch.acknowledgedAt >= stall.inMilliseconds else { return now &+ stallLook }
        fail(
            ParleyError(
                .writeStalled,
                "\(remoteAddress) took nothing of \(left) bytes that were sent to it for \(stall)"
            )
        )
        return .max
    }

    /// Wakes senders that have found no room for too long: they look at the clock themselves.
    private func lookForRoom(_ now: UInt64) -> UInt64 {
        guard let timeout = node.options.timeouts.write?.inMilliseconds else { return .max }
        let (since, woken) = outbound.withLock { outbound in
            let since = outbound.blockedSince
            return (since, now &- min(now, since) >= timeout ? outbound.senders.wakeAll() : WaitQueue.Woken())
        }
        woken.resume()
        guard since != .max else { return .max }
        let due = since &+ timeout
        return due > now ? due : now &+ max(Self.shortestLook, timeout / 4)
    }

    // MARK: Death while nothing is read

    /// Reading has stopped: libuv does not watch the socket now.
    func watchPaused() { context.timers.look(at: self, by: loop.milliseconds &+ Self.pausedLook) }

    private func lookForDeath(_ now: UInt64) -> UInt64 {
        guard !isReadingNow, let link else { return .max }
        guard link.isDead else { return now &+ Self.pausedLook }
        // Nothing more can come, so what the kernel still has is taken, whether or not there is room for it: behind it
        // comes the reason, and what was complete is delivered.
        watch.isDead = true
        inbound.withLock { $0.isReading = true }
        link.setReading(true)
        return .max
    }
}

extension Heartbeat {
    var intervalMilliseconds: UInt64 { max(10, interval.inMilliseconds) }
}
