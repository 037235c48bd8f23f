// Time-outs, heartbeats and deadlines. The loop's thread only, except for setting a deadline.
//
// Each connection has one entry in its loop's ConnectionTimers: the earliest time at which anything may be
// due. Messages set no timers; a check looks back at what has happened.

extension Connection {
    /// The state of the heartbeats, under the receiving half's lock.
    struct HeartbeatRecord: DefaultInitializable {
        /// The token of the last ping: nanoseconds of the monotonic clock. Nil when it was answered.
        var lastSent: UInt64?
        /// How many pings were not answered.
        var unanswered = 0
        var roundTripNanoseconds: UInt64?
    }

    /// Starts the time-out of handshake and `onPeer`.
    ///
    /// - Parameter milliseconds: another time-out than the node's; nil for that.
    func startHandshakeTimer(_ milliseconds: UInt64? = nil) {
        var limits = node.timeLimits
        if let milliseconds { limits.handshake = milliseconds }
        context.timers.check(self, by: health.handshakeBegins(at: loop.milliseconds, limits))
    }

    /// Starts the time-outs of an open connection.
    func startOpenTimers() {
        context.timers.check(self, by: health.opened(at: loop.milliseconds, node.timeLimits))
    }

    /// Starts the close time-out, of an orderly end or of a connection that cannot be written to.
    func startCloseTimer() {
        let due = loop.milliseconds &+ node.options.closeTimeout.inMilliseconds
        rareTimes.value.closeDeadline = due
        context.timers.check(self, by: due)
    }

    /// Starts to check whether what was handed to the link is acknowledged.
    func startAcknowledgementWatch() {
        guard link != nil else { return }
        // What the kernel knows is not asked: most of what is watched is acknowledged by the first check.
        let due = health.watchBegins(
            at: loop.milliseconds,
            acknowledgedBytes: outbound.withLock { $0.queue.acknowledgedBytes },
            node.timeLimits
        )
        context.timers.check(self, by: due)
    }

    /// Checks all time-outs, and ends the connection when one has passed.
    ///
    /// - Returns: when to check again, in milliseconds; `.max` when there is nothing to wait for.
    func checkTimeouts(at now: UInt64) -> UInt64 {
        let state = outbound.withLock { $0.lifecycle.state }
        let next: UInt64
        switch state {
        case .handshake, .inOnPeer, .afterOnPeer, .open:
            let ofLink = link?.checkTimeouts(at: now) ?? .max
            next = min(checkHealth(at: now), checkDeadlines(at: now), checkRequests(at: now), ofLink)
        case .halfClosed: next = min(checkHealth(at: now), checkDeadlines(at: now), checkHalfClose(at: now))
        case .readingRest: next = min(checkHealth(at: now), checkDeadlines(at: now), checkCloseTime(at: now))
        case .flushing: next = checkCloseTime(at: now)
        case .awaitingAck: next = checkCloseTime(at: now) == .max ? .max : checkAcknowledged()
        case .closeRequested, .failed, .closingLink, .ended: next = .max
        }
        return next == .max ? .max : max(next, now &+ 1)
    }

    private func checkCloseTime(at now: UInt64) -> UInt64 {
        let due = rareTimes.value.closeDeadline
        if now < due { return due }
        apply(.timeIsUp)
        return .max
    }

    // MARK: Health

    private func checkHealth(at now: UInt64) -> UInt64 {
        guard let link else { return .max }
        let snapshot = snapshot(at: now, link)
        let verdict = health.check(snapshot, node.timeLimits)
        if let failure = verdict.failure {
            fail(error(for: failure))
            return .max
        }
        if verdict.endsWatch, !outbound.withLock({ $0.queue.endWatch(of: snapshot.handedBytes) }) {
            // A sender's thread has written since this snapshot.
            startAcknowledgementWatch()
        }
        if verdict.wakesSenders { outbound.withLock { $0.sendWaiters.wakeAll() }.resume() }
        if verdict.isHeartbeatDue { sendHeartbeat() }
        if verdict.isSignOfLifeDue { sendSignOfLife() }
        if verdict.hasLinkDied { readToEnd() }
        return verdict.next
    }

    /// Collects what ``Health`` judges by.
    private func snapshot(at now: UInt64, _ link: any Link) -> Health.Snapshot {
        var snapshot = Health.Snapshot(now: now)
        inbound.withLock { inbound in
            snapshot.isReading = inbound.intake.isReading
            snapshot.lastArrival = inbound.lastArrival
            snapshot.lastActivity = inbound.lastActivity
            if inbound.state.phase == .stream { snapshot.streamReadAt = inbound.streamReadAt }
            let isOfMessage = inbound.state.partialFrameBytes > 0
            let partialBytes = inbound.state.partialFrameBytes &+ inbound.linkBytes
            if partialBytes > 0 {
                // A frame is identified by its position: that of a message among the bytes of messages, since
                // others may arrive meanwhile. Never zero, which is none.
                let otherBytes = isOfMessage ? multiplexed?.heardBytes ?? 0 : 0
                let position = inbound.counters.bytes &- otherBytes &- UInt64(inbound.state.bufferedBytes)
                snapshot.frame = .init(
                    number: position &+ 1,
                    receivedBytes: partialBytes
                )
            }
        }
        outbound.withLock { outbound in
            snapshot.isStarting = outbound.lifecycle.isStarting
            snapshot.lastHanded = outbound.queue.lastHanded
            snapshot.handedBytes = outbound.queue.handedBytes
            snapshot.isWatched = outbound.queue.isWatched
            snapshot.blockedSince = outbound.queue.blockedSince
        }
        snapshot.link = link.status
        return snapshot
    }

    private func error(for failure: Health.Failure) -> ParleyError {
        let timeouts = node.options.timeouts
        switch failure {
        case .handshake:
            return ParleyError(
                .timedOut,
                "the handshake with \(remoteAddress) took longer than \(timeouts.handshake)"
            )
        case .idle:
            let idle = node.timeLimits.idle ?? 0
            return ParleyError(
                .idle,
                "nothing was received from \(remoteAddress) and nothing was sent to it for \(idle) ms"
            )
        case .heartbeat:
            let heartbeat = timeouts.heartbeat ?? Heartbeat()
            return ParleyError(
                .heartbeatLost,
                "\(remoteAddress) did not answer \(heartbeat.maxMissed) heartbeats, one every "
                    + "\(heartbeat.interval)"
            )
        case .writeStall(let bytes):
            return ParleyError(
                .writeStalled,
                "\(remoteAddress) acknowledged too little of \(bytes) bytes that were sent to it for "
                    + "\(timeouts.writeStall ?? .zero); at least "
                    + "\(node.timeLimits.leastBytesPerSecond) bytes a second are expected"
            )
        case .stream:
            return ParleyError(
                .timedOut,
                "no byte of the stream from \(remoteAddress) was read for \(timeouts.streamIdle ?? .zero)"
            )
        case .frame(let bytes):
            return ParleyError(
                .timedOut,
                "\(remoteAddress) sent too little of a frame for \(timeouts.frame ?? .zero): \(bytes) bytes "
                    + "have arrived; at least \(node.timeLimits.leastBytesPerSecond) bytes a second are "
                    + "expected"
            )
        }
    }

    /// Reads the rest of a dead link at once, whether or not the inbox has room. The link's error follows the
    /// rest. Complete messages are delivered.
    func readToEnd() {
        changeReading { _ = $0.intake.apply(.linkDied) }
    }

    // MARK: Heartbeats

    /// Answers pings and evaluates pongs that have arrived.
    func handleHeartbeats() {
        loop.assertIsCurrent()
        let (ping, isAnswer): (UInt64?, Bool) = inbound.withLock { inbound in
            let found = inbound.state.takeHeartbeats()
            guard let pong = found.pong, let sent = inbound.heartbeats.value.lastSent, pong == sent else {
                return (found.ping, false)
            }
            let now = MonotonicTime.nanosecondsNow
            inbound.heartbeats.value.roundTripNanoseconds = now > sent ? now &- sent : 1
            inbound.heartbeats.value.unanswered = 0
            inbound.heartbeats.value.lastSent = nil
            return (found.ping, true)
        }
        if isAnswer { health.heartbeatAnswered() }
        guard let ping else { return }
        // A peer that pings and does not read gets only the pongs that there is room for.
        _ = appendHeartbeat { encoder, buffer in
            encoder.encodePong(ping, into: &buffer)
            return true
        }
    }

    private func sendHeartbeat() {
        guard let multiplexed else { return sendFramedHeartbeat() }
        // One that is not answered yet stands for this one.
        _ = multiplexed.sendPing()
        health.heartbeatSent(endingAt: outbound.withLock { $0.queue.handedBytes })
        inbound.withLock { $0.heartbeats.value.unanswered = health.missedHeartbeats + 1 }
    }

    private func sendFramedHeartbeat() {
        let token = MonotonicTime.nanosecondsNow
        switch appendHeartbeat({ encoder, buffer in encoder.encodePing(token, into: &buffer) }) {
        case .sent(let end):
            health.heartbeatSent(endingAt: end)
            inbound.withLock { inbound in
                inbound.heartbeats.value.lastSent = token
                inbound.heartbeats.value.unanswered = health.missedHeartbeats + 1
            }
        case .noRoom: health.heartbeatBlocked()
        case .unsupported: health.stopHeartbeats()
        }
    }

    /// Sends a pong that answers no ping: no answer comes back, which would wait unread. Only in the framed
    /// form, since a wire form of the program's own may not allow it.
    private func sendSignOfLife() {
        _ = appendHeartbeat { encoder, buffer in
            guard encoder is FramedDecoder else { return false }
            encoder.encodePong(PeerState.Heartbeats.noPing, into: &buffer)
            return true
        }
    }

    private enum HeartbeatOutcome {
        /// The position of its end among all bytes that are handed over.
        case sent(endingAt: UInt64)
        case noRoom
        case unsupported
    }

    /// Appends a heartbeat after what was accepted, also inside a stream, if there is room.
    private func appendHeartbeat(
        _ encode: (inout any Decoder, inout WireBuffer) -> Bool
    ) -> HeartbeatOutcome {
        let (outcome, needsFlush): (HeartbeatOutcome, Bool) = outbound.withLock { outbound in
            guard case .open = outbound.lifecycle.state, hasRoom(&outbound) else { return (.noRoom, false) }
            let before = outbound.queue.unwrittenBytes
            // `append` rethrows the closure's errors, and this one throws none.
            let isEncoded =
                (try? outbound.append { (encoder, buffer) throws(ParleyError) in
                    encode(&encoder.form, &buffer)
                }) ?? false
            guard isEncoded else { return (.unsupported, false) }
            outbound.queue.noteHeartbeat(outbound.queue.unwrittenBytes &- before)
            let end = outbound.queue.handedBytes &+ UInt64(outbound.queue.unhandedBytes)
            return (.sent(endingAt: end), outbound.queue.requestFlush())
        }
        if needsFlush { loop.atEndOfTurn(self) }
        return outcome
    }
}

// MARK: - Deadlines

extension Connection {
    /// See ``Peer/setDeadline(_:)``.
    public func setDeadline(_ deadline: ContinuousClock.Instant?) {
        setReadDeadline(deadline)
        setWriteDeadline(deadline)
    }

    /// See ``Peer/setReadDeadline(_:)``.
    public func setReadDeadline(_ deadline: ContinuousClock.Instant?) {
        if ForkedChild.isThisProcess { return }
        let deadline = deadline.map { MonotonicTime($0) } ?? .never
        let readers = inbound.withLock { inbound in
            inbound.readDeadline = deadline
            return inbound.readWaiters.wakeAll()
        }
        readers.resume()
        loop.perform { [self] in startDeadline() }
    }

    /// See ``Peer/setWriteDeadline(_:)``.
    public func setWriteDeadline(_ deadline: ContinuousClock.Instant?) {
        if ForkedChild.isThisProcess { return }
        let deadline = deadline.map { MonotonicTime($0) } ?? .never
        let senders = outbound.withLock { outbound in
            outbound.writeDeadline = deadline
            return outbound.sendWaiters.wakeAll()
        }
        senders.resume()
        loop.perform { [self] in startDeadline() }
    }

    @inline(__always)
    func checkDeadline(_ deadline: MonotonicTime, _ what: StaticString) throws(ParleyError) {
        if deadline != .never, deadline <= .now { throw missed(deadlineFor: what) }
    }

    private func missed(deadlineFor what: StaticString) -> ParleyError {
        ParleyError(.timedOut, "the deadline for \(what) (\(remoteAddress)) has passed")
    }

    /// Sets the timer for the next deadline.
    private func startDeadline() {
        let deadlines = [inbound.withLock { $0.readDeadline }, outbound.withLock { $0.writeDeadline }]
        let now = MonotonicTime.now
        guard let next = deadlines.filter({ $0 > now && $0 != .never }).min() else {
            // Writing would allocate the box.
            if rareTimes.value.ioDeadline != .max { rareTimes.value.ioDeadline = .max }
            return
        }
        rareTimes.value.ioDeadline = MonotonicTime.millisecondsNow &+ now.duration(to: next).inMilliseconds
        context.timers.check(self, by: rareTimes.value.ioDeadline)
    }

    /// Wakes readers and senders when a deadline has passed. They check the clock themselves.
    private func checkDeadlines(at now: UInt64) -> UInt64 {
        guard !rareTimes.isDefault, now >= rareTimes.value.ioDeadline else {
            return rareTimes.isDefault ? .max : rareTimes.value.ioDeadline
        }
        rareTimes.value.ioDeadline = .max
        startDeadline()
        inbound.withLock { $0.readWaiters.wakeAll() }.resume()
        outbound.withLock { $0.sendWaiters.wakeAll() }.resume()
        return rareTimes.value.ioDeadline
    }
}

extension Health.TimeLimits {
    init(_ timeouts: Timeouts) {
        handshake = timeouts.handshake.inMilliseconds
        idle = timeouts.idle?.inMilliseconds
        write = timeouts.write?.inMilliseconds
        writeStall = timeouts.writeStall?.inMilliseconds
        streamIdle = timeouts.streamIdle?.inMilliseconds
        frame = timeouts.frame?.inMilliseconds
        leastBytesPerSecond = UInt64(max(0, timeouts.leastBytesPerSecond))
        heartbeat = timeouts.heartbeat.map { max(10, $0.interval.inMilliseconds) }
        maxMissedHeartbeats = max(1, timeouts.heartbeat?.maxMissed ?? 1)
    }
}
