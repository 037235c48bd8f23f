// The end of a connection: orderly, by failure, or after a failed handshake. Lifecycle decides; this file
// performs its actions.

extension Connection {
    /// See ``Peer/close()``.
    public func close() async {
        if ForkedChild.isThisProcess { return }
        close(because: ParleyError(closedHere: remoteAddress))
        while !outbound.withLock({ $0.lifecycle.hasEnded }) {
            guard await outbound.wait(at: OpenOrEnd(), unless: { $0.lifecycle.hasEnded }) else {
                return
            }
        }
    }

    /// See ``Peer/untilClosed()``.
    public func untilClosed() async throws(ParleyError) -> ParleyError {
        try ForkedChild.check()
        while true {
            if let reason = outbound.withLock({ $0.lifecycle.hasEnded ? $0.lifecycle.end?.reason : nil }) {
                return reason
            }
            guard await outbound.wait(at: OpenOrEnd(), unless: { $0.lifecycle.hasEnded }) else {
                throw .cancelled("waiting for the end of \(remoteAddress)")
            }
        }
    }

    /// Starts an orderly end: no more sends or deliveries; what was accepted is written. Any thread.
    ///
    /// - Parameter handshakeFailure: the error that a dial throws, when it differs from the reason.
    func close(because reason: ParleyError, handshakeFailure: (any Error)? = nil) {
        // Once everything that the other side sent is delivered, its end was first. A reader may know it
        // before the loop's thread has applied it.
        let reason = reason.code == .closed ? inbound.withLock { $0.state.finalReason } ?? reason : reason
        apply(.close(reason, handshakeFailure: handshakeFailure))
        dropUndelivered()
    }

    /// Ends at once. All waits end with `reason`. Complete messages are still delivered. Any thread.
    func fail(_ reason: ParleyError) { apply(.fail(reason)) }

    /// Opens the connection after handshake and `onPeer`. ``wakeDialers()`` follows.
    ///
    /// - Returns: false when the connection has ended meanwhile.
    func open() -> Bool { outbound.withLock { !$0.lifecycle.apply(.open).isEmpty } }

    /// Wakes those who wait for the connection to open: the decoder gets what arrives. Any thread.
    func wakeDialers() {
        let woken = outbound.withLock { outbound in
            outbound.isDecoding = true
            return outbound.openOrEndWaiters.wakeAll()
        }
        woken.resume()
    }

    /// Records that `onPeer` begins: an end that begins from here on calls `onDisconnect` when that has
    /// returned. Any thread.
    ///
    /// - Returns: false when the end has begun; `onPeer` must not be called then.
    func onPeerBegins() -> Bool {
        outbound.withLock { outbound in
            _ = outbound.lifecycle.apply(.onPeerBegins)
            return outbound.lifecycle.isInOnPeer
        }
    }

    /// Records that `onPeer` has returned or thrown. An end that waited for that calls `onDisconnect` now.
    /// Any thread.
    func onPeerReturned() { apply(.onPeerReturned) }

    // MARK: A handshake's callback on another thread

    /// Records that the callback begins. From here on the end waits for ``handshakeReturned()``: the callback
    /// may use what the observer frees at the end. Any thread.
    ///
    /// - Returns: false when the end has begun; the callback must not be called then.
    package func handshakeBegins() -> Bool {
        outbound.withLock { outbound in
            outbound.isInHandshakeCallback = outbound.lifecycle.isHandshaking
            return outbound.isInHandshakeCallback
        }
    }

    /// Records that the callback has returned, or was not called. A connection whose link has closed
    /// meanwhile ends now. Any thread.
    package func handshakeReturned() {
        loop.perform { [self] in
            outbound.withLock { $0.isInHandshakeCallback = false }
            if link == nil { finishEnding() }
        }
    }

    /// Whether the handshake's callback runs on another thread. Any thread.
    package var isInHandshakeCallback: Bool { outbound.withLock { $0.isInHandshakeCallback } }

    // MARK: Waiting for the handshake, and for the end

    /// Waits until handshake and `onPeer` are over.
    ///
    /// - Throws: the error that ended them; ``ParleyError`` `cancelled` when the task was cancelled.
    func waitUntilOpen() async throws {
        let isInTime = await outbound.wait(at: OpenOrEnd(), unless: \.isOpenOrEnded)
        guard isInTime else {
            let reason = ParleyError.cancelled("dialing \(remoteAddress)")
            fail(reason)
            throw reason
        }
        try throwHandshakeFailure()
    }

    /// Calls `completion` once, on the loop's thread, when handshake and `onPeer` are over.
    func whenOpen(_ completion: @escaping @Sendable () -> Void) {
        if !whenWoken(unless: \.isOpenOrEnded, completion) { loop.execute(completion) }
    }

    /// Calls `completion` once, on the loop's thread, when the connection has ended and the observer was
    /// told. The loop's thread only: it tells the observer in the same call in which the connection ends.
    func whenEnded(_ completion: @escaping @Sendable () -> Void) {
        loop.assertIsCurrent()
        let waits = whenWoken(unless: { $0.lifecycle.hasEnded }) { [self] in whenEnded(completion) }
        if !waits { completion() }
    }

    /// Calls `function` once, on the loop's thread, when those are woken who wait for the connection to open
    /// or to end. Returns false, and does not call it, when `isReady` holds.
    @inline(__always)
    private func whenWoken(
        unless isReady: (inout Outbound) -> Bool,
        _ function: @escaping @Sendable () -> Void
    ) -> Bool {
        let waits = outbound.notify(at: OpenOrEnd(), unless: isReady, loop.promise(function))
        if !waits { loop.breakPromise() }
        return waits
    }

    /// Throws the error of a failed handshake or `onPeer`, if one failed.
    func throwHandshakeFailure() throws {
        // A peer that was open and has ended since is still returned: it may have sent something.
        guard let end = outbound.withLock({ $0.lifecycle.end }), !end.wasOpen else { return }
        let failure = end.handshakeFailure ?? end.reason
        let code = (failure as? ParleyError)?.code
        let isOtherSides = code == .endOfStream || code == .connectionReset
        guard isOtherSides, id != nil, node.losesToOlder(self) else { throw failure }
        // The other side was first to find that, and whoever is refused hears the end alone.
        throw ParleyError(.duplicate, "there is another connection with \(remoteAddress), which stays")
    }
}

// MARK: - The lifecycle's actions

extension Connection {
    /// Applies an event and performs the actions. Any thread, except for events of the loop.
    func apply(_ event: Lifecycle.Event) {
        let outcome = outbound.withLock { $0.apply(event) }
        let (actions, end) = (outcome.actions, outcome.end)
        guard !actions.isEmpty else { return }
        if let end { changeIntake(actions, end) }
        if let end, let multiplexed { endStreams(of: multiplexed, actions, end) }
        // Before the loop's thread hears of the end: what they call comes before `onDisconnect`.
        if let (callers, reason) = outcome.unanswerable {
            for caller in callers { tell(caller, .failure(reason)) }
        }
        let isOver = actions.contains(.tellNode)
        if !isOver { outcome.woken.resume() }
        if actions.contains(.beginClosing) { loop.perform { [self] in beginClosing() } }
        if actions.contains(.beginAbort) { loop.perform { [self] in apply(.beginAbort) } }
        if actions.contains(.startCloseTimer) { startCloseTimer() }
        if actions.contains(.flush) { flush() }
        if actions.contains(.shutDown) { link?.shutdown() }
        if actions.contains(.checkAcknowledged) { checkAcknowledged() }
        if actions.contains(.closeLink) { beginAbort(resetsIfCutOff: actions.contains(.resetIfCutOff)) }
        if actions.contains(.tellNode), let end { node.connectionEnded(self, end) }
        // Last: the connection's place is free before those who wait for its end are woken.
        if isOver { outcome.woken.resume() }
        if actions.contains(.tellDisconnect), let end { node.tellDisconnect(self, end.reason) }
    }

    /// Performs the actions that concern the receiving half.
    private func changeIntake(_ actions: Lifecycle.Actions, _ end: Lifecycle.End) {
        guard !actions.isDisjoint(with: [.stopDelivering, .endInput, .discardInput]) else { return }
        let (readers, readsOn) = inbound.withLock { inbound in
            let wasReading = inbound.intake.isReading
            // After an orderly end by the other side, reads return the end, not an error.
            if actions.contains(.stopDelivering), end.reason.code != .endOfStream {
                inbound.closed = end.reason
            }
            if actions.contains(.endInput) { inbound.state.endInput(end.reason) }
            if actions.contains(.discardInput) {
                _ = inbound.intake.apply(.discard)
                dropHeld(&inbound)
            }
            return (inbound.readWaiters.wakeAll(), inbound.intake.isReading && !wasReading)
        }
        readers.resume()
        if readsOn { link?.startReading() }
    }

    /// Ends what the streams can no longer do.
    private func endStreams(
        of link: MultiplexedLink,
        _ actions: Lifecycle.Actions,
        _ end: Lifecycle.End
    ) {
        if actions.contains(.stopDelivering) {
            // After an orderly end by the other side, what had arrived is still read.
            link.end(end.reason, end.reason.code == .endOfStream ? .both : .bothAtOnce)
        } else if actions.contains(.endInput) {
            link.end(end.reason, .both)
        } else if actions.contains(.wakeWaiters) {
            link.end(end.reason, .output)
        }
    }

    private func beginClosing() {
        guard let link else { return }
        let canCloseNow = canCloseNow(link)
        apply(.beginClosing(canCloseNow: canCloseNow))
    }

    /// Whether the other side has everything that was sent, and no unread input would turn the close
    /// into a reset.
    private func canCloseNow(_ link: any Link) -> Bool {
        guard !isWriting, outbound.withLock({ $0.queue.isEmpty && !$0.queue.isCutOff }),
            link.isAcknowledged
        else { return false }
        return inbound.withLock { $0.state.inputEnd != nil } || !link.hasUnread
    }

    /// Closes the link when everything has arrived. Returns the time of the next check, in milliseconds.
    @discardableResult
    func checkAcknowledged() -> UInt64 {
        guard let link, !link.isAcknowledged else {
            apply(.allAcknowledged)
            return .max
        }
        let interval = rareTimes.value.acknowledgementInterval
        rareTimes.value.acknowledgementInterval = min(interval * 2, 100)
        let due = min(loop.milliseconds &+ interval, rareTimes.value.closeDeadline)
        context.timers.check(self, by: due)
        return due
    }

    private func beginAbort(resetsIfCutOff: Bool) {
        loop.assertIsCurrent()
        nextCheck = .max
        link?.close(abortively: resetsIfCutOff && outbound.withLock { $0.queue.isCutOff })
    }

    func linkDidClose() {
        link = nil
        let (released, isInHandshake) = outbound.withLock { outbound in
            outbound.ended = .now
            outbound.awaitsBudget = false
            return (outbound.queue.releaseAll(), outbound.isInHandshakeCallback)
        }
        node.sendBudget.forget(number)
        node.sendBudget.giveBack(released)
        let (hasUndelivered, heldBytes) = inbound.withLock { inbound in
            _ = inbound.intake.apply(.linkClosed)
            inbound.linkBytes = inbound.intake.awaitsInbox ? Self.undeliveredBytes : 0
            _ = account(&inbound, hasProgress: false)
            return (inbound.intake.awaitsInbox, inbound.held.bytes)
        }
        let isKept = hasUndelivered && node.keepUndelivered(of: self)
        if heldBytes > 0 || multiplexed.map({ $0.heldBytes > 0 }) == true { node.keepHolder(self) }
        // Otherwise handshakeReturned() does it. Whoever waits in the handshake was woken when the end began.
        guard !isInHandshake else { return }
        // Behind what those were told who waited: `onDisconnect` is the last that is called about a
        // connection, unless another thread asks for something just now.
        let finish: @Sendable () -> Void = { [self] in
            finishEnding()
            // The node is closing: these messages have nowhere to go, and the event of this end is not to
            // wait for them.
            if hasUndelivered, !isKept { dropUndelivered() }
        }
        if !loop.hasSubmissions || !loop.execute(finish) { finish() }
    }

    /// What an ended connection with undelivered messages costs beside these, roughly. It counts as held:
    /// there may be any number of them.
    private static let undeliveredBytes = 4_096

    /// Ends the connection, whose link is closed.
    private func finishEnding() {
        apply(.linkClosed)
        endDelivery()
    }

    /// Ends this peer's own consumer, if it has one, when the link is closed and nothing more can be
    /// delivered. The loop's thread only.
    func endDelivery() {
        loop.assertIsCurrent()
        guard let queue = node.inboxQueue(of: self), queue.hasLane(of: self) else { return }
        let (isOver, isStreamUnread) = inbound.withLock { inbound in
            guard case .over(awaitsInbox: false) = inbound.intake.state else { return (false, false) }
            if inbound.closed != nil || inbound.state.violation != nil { return (true, false) }
            let isStreamUnread = inbound.state.hasInputBehindStream
            return (!isStreamUnread && !inbound.state.hasUndecodedMessages, isStreamUnread)
        }
        if isOver { queue.finish(self) }
        if isStreamUnread { watchUnreadStream() }
    }

    /// Closes the stream of an ended connection when its reader has left it. Its consumer then goes on.
    private func watchUnreadStream() {
        guard let timeout = node.timeLimits.streamIdle, let queue = node.inboxQueue(of: self) else { return }
        Task.detached { [weak self, watchedSince = MonotonicTime.millisecondsNow] in
            var since = watchedSince
            while true {
                try? await Task.sleep(for: .milliseconds(timeout))
                guard let self else { return }
                let now = MonotonicTime.millisecondsNow
                // The consumer has not come to the stream yet.
                if queue.hasWaiting(of: self) { since = now }
                since = max(since, inbound.withLock { $0.streamReadAt })
                guard now.since(since) < timeout else { return closeStream() }
            }
        }
    }

    /// Ends this peer's own consumer if everything was delivered before it began. Any thread.
    func endDeliveryIfEnded() {
        guard outbound.withLock({ $0.lifecycle.hasEnded }) else { return }
        loop.executeIfStarted { [self] in endDelivery() }
    }

    /// Drops the undelivered messages of a connection that has ended. Any thread.
    func dropUndelivered() {
        let readers = inbound.withLock { inbound -> WaitQueue.Woken? in
            guard case .over = inbound.intake.state else { return nil }
            dropHeld(&inbound)
            return inbound.readWaiters.wakeAll()
        }
        guard let readers else { return }
        readers.resume()
        node.forgetUndelivered(of: self)
        loop.executeIfStarted { [self] in endDelivery() }
    }
}

extension Connection.Outbound {
    fileprivate var isOpenOrEnded: Bool { isDecoding || lifecycle.end != nil }

    /// What follows from an event, done after the lock is released.
    fileprivate struct Outcome: ~Copyable {
        let actions: Lifecycle.Actions
        var end: Lifecycle.End?
        var woken = WaitQueue.Woken()
        /// The callers of requests that get no answer any more, and why.
        var unanswerable: (callers: [RequestCaller], reason: ParleyError)?
    }

    fileprivate mutating func apply(_ event: Lifecycle.Event) -> Outcome {
        var outcome = Outcome(actions: lifecycle.apply(event))
        guard !outcome.actions.isEmpty else { return outcome }
        if outcome.actions.contains(.dropUnhanded) { queue.dropUnhanded() }
        if outcome.actions.contains(.closeLink) {
            socket = nil
            proven?.session = nil
        }
        if outcome.actions.contains(.wakeWaiters) {
            outcome.woken = sendWaiters.wakeAll()
            outcome.woken.append(openOrEndWaiters.wakeAll())
        }
        outcome.end = lifecycle.end
        outcome.unanswerable = takeUnanswerable()
        // Requests that wait for a place get no answer either.
        if outcome.unanswerable != nil { outcome.woken.append(sendWaiters.wakeAll()) }
        return outcome
    }
}
