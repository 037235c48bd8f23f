// The end of a connection: orderly, by failure, or because the greeting failed.

extension Connection {
    /// See ``Peer/close()``.
    public func close() async {
        close(because: ParleyError(.closed, "this side closed the connection to \(remoteAddress)"))
        while !outbound.withLock({ $0.isEnded }) {
            guard await outbound.wait(in: \.lifeWaiters, unless: { $0.isEnded }) else { return }
        }
    }

    /// See ``Peer/untilClosed()``.
    public func untilClosed() async throws(ParleyError) -> ParleyError {
        while true {
            if let reason = outbound.withLock({ $0.isEnded ? $0.life.reason : nil }) { return reason }
            guard await outbound.wait(in: \.lifeWaiters, unless: { $0.isEnded }) else {
                throw .cancelled("waiting for the end of \(remoteAddress)")
            }
        }
    }

    /// Begins an orderly end: no more sends, no more deliveries; what was sent is written out.
    /// The first reason wins. Any thread.
    ///
    /// - Parameter handshakeFailure: what a dial rethrows, when it is not the reason itself.
    func close(because reason: ParleyError, handshakeFailure: (any Error)? = nil) {
        let woken: [WaitQueue.Woken]? = outbound.withLock { outbound in
            guard outbound.life.reason == nil else { return nil }
            if case .handshake = outbound.life, handshakeFailure != nil {
                outbound.end.value.handshakeFailure = handshakeFailure
            }
            outbound.life = .closing(reason)
            return outbound.wakeEverybody()
        }
        guard let woken else { return }
        let readers = inbound.withLock { inbound in
            inbound.closed = reason.code == .endOfStream ? nil : reason
            return inbound.readers.wakeAll()
        }
        for waiters in woken + [readers] { waiters.resume() }
        loop.perform { [self] in beginEnding() }
    }

    /// Ends at once, with `reason` for everyone who waits. What was received whole is still delivered.
    /// The first reason wins. Any thread.
    func fail(_ reason: ParleyError) {
        let change: (woken: [WaitQueue.Woken], isCutOff: Bool)? = outbound.withLock { outbound in
            guard !outbound.isEnded else { return nil }
            // An orderly end that gets stuck keeps the reason for which it began.
            outbound.life = .ended(outbound.life.reason ?? reason)
            return (outbound.wakeEverybody(), outbound.isCutOff)
        }
        guard let (woken, isCutOff) = change else { return }
        let readers = inbound.withLock { inbound in
            inbound.state.endInput(reason)
            return inbound.readers.wakeAll()
        }
        for waiters in woken + [readers] { waiters.resume() }
        loop.perform { [self] in closeLink(abortively: isCutOff) }
    }

    /// Whether its end has not begun yet.
    var isLive: Bool { outbound.withLock { $0.life.reason == nil } }

    /// The greeting went well.
    ///
    /// - Returns: who waits for that, to be told when the node knows too; nil when the connection has ended meanwhile.
    func open() -> WaitQueue.Woken? {
        outbound.withLock { outbound in
            guard case .handshake = outbound.life else { return nil }
            outbound.life = .open
            outbound.isOpened = true
            return outbound.lifeWaiters.wakeAll()
        }
    }

    /// Waits for the end of the greeting.
    ///
    /// - Throws: why it failed; ``ParleyError`` `cancelled` when the task was cancelled.
    func waitUntilOpen() async throws {
        let isInTime = await outbound.wait(in: \.lifeWaiters) { outbound in
            if case .handshake = outbound.life { false } else { true }
        }
        guard isInTime else {
            let reason = ParleyError.cancelled("dialing \(remoteAddress)")
            fail(reason)
            throw reason
        }
        try throwHandshakeFailure()
    }

    /// Calls `completion` once, on the loop's thread, when the greeting has ended.
    func whenOpen(_ completion: @escaping @Sendable () -> Void) {
        let finish: @Sendable () -> Void = { [loop] in loop.execute(completion) }
        let isUnderWay = outbound.notify(
            in: \.lifeWaiters,
            unless: { if case .handshake = $0.life { false } else { true } },
            finish
        )
        if !isUnderWay { finish() }
    }

    /// Fails, if it is not greeted yet.
    func giveUpHandshake(_ reason: ParleyError) {
        let isUnderWay = outbound.withLock { if case .handshake = $0.life { true } else { false } }
        if isUnderWay { fail(reason) }
    }

    /// Throws why the greeting failed, if it did.
    func throwHandshakeFailure() throws {
        try outbound.withLock { outbound in
            // A peer that was greeted and has gone since is returned all the same: it may have sent something.
            guard !outbound.isOpened else { return }
            if let failure = outbound.end.value.handshakeFailure { throw failure }
            if let reason = outbound.life.reason { throw reason }
        }
    }
}

// MARK: - The loop's side

extension Connection {
    /// How long to wait before looking again whether the other side's kernel has everything.
    private static let firstLook = Duration.milliseconds(1)
    private static let longestLook = Duration.milliseconds(100)

    private func beginEnding() {
        guard ending == .no || ending == .draining, let link else { return }
        ending = .flushing
        if isSettled(link) { return closeLink() }
        timers.value.closeDeadline = .now + node.options.closeTimeout
        timers.value.stream?.stop()
        // What still arrives is dropped: bytes left in the socket would turn the close into a reset, and that
        // could take what was sent with it.
        inbound.withLock { $0.isReading = true }
        link.setReading(true)
        flush()
        guard ending == .flushing else { return }
        timer(\.ending).start(after: node.options.closeTimeout) { [self] in
            // What is unwritten is lost: the other side shall see a reset, not an orderly end.
            closeLink(abortively: outbound.withLock { $0.isCutOff })
        }
    }

    /// Whether the other side's kernel has all that was sent, and nothing has come that closing would answer with a reset.
    private func isSettled(_ link: any Link) -> Bool {
        guard writingBytes == 0, outbound.withLock({ $0.isEmpty && $0.openStream == 0 }),
            link.isAcknowledged
        else {
            return false
        }
        return inbound.withLock { $0.state.inputEnd != nil } || !link.hasUnreadBytes
    }

    /// Everything is written: says so, and waits until it has arrived.
    func linger() {
        ending = .lingering
        link?.shutdown()
        waitForAcknowledgement(look: Self.firstLook)
    }

    private func waitForAcknowledgement(look: Duration) {
        guard let link, !link.isAcknowledged, .now < timers.value.closeDeadline else { return closeLink() }
        timer(\.ending).start(after: look) { [self] in
            waitForAcknowledgement(look: min(look * 2, Self.longestLook))
        }
    }

    /// The link does not take any more. What it still has to deliver is read before the end.
    func writeFailed(_ error: ParleyError) {
        writingBytes = 0
        let (woken, isReading) = (
            outbound.withLock { outbound in
                if outbound.life.reason == nil { outbound.life = .closing(error) }
                outbound.buffer = WireBuffer()
                outbound.queue = []
                return outbound.wakeEverybody()
            }, inbound.withLock { $0.isReading }
        )
        for waiters in woken { waiters.resume() }
        // A file that cannot be read says nothing about the socket: the other side waits for the rest of a frame.
        guard error.code == .connectionReset, ending == .no, isReading || isWaitingForInbox else {
            return fail(error)
        }
        ending = .draining
        timer(\.ending).start(after: node.options.closeTimeout) { [self] in fail(error) }
    }

    func closeLink(abortively: Bool = false) {
        loop.assertIsCurrent()
        guard let link, ending != .over else { return }
        ending = .over
        let made = timers.value
        for timer in [made.stream, made.deadline, made.ending] { timer?.close() }
        timers.clear()
        outbound.withLock { $0.socket = nil }
        link.close(abortively: abortively)
    }

    func linkDidClose() {
        link = nil
        let (reason, woken, released) = outbound.withLock { outbound in
            let reason = outbound.life.reason ?? ParleyError(.closed, "the connection is closed")
            outbound.life = .ended(reason)
            outbound.end.value.moment = .now
            return (reason, outbound.wakeEverybody(), outbound.releaseAll())
        }
        for waiters in woken { waiters.resume() }
        node.sendBudget.forget(self)
        node.sendBudget.giveBack(released)
        context.addBufferedBytes(0 &- bufferedBytes)
        bufferedBytes = 0
        inbound.withLock { inbound in
            inbound.state.endInput(reason)
            return inbound.readers.wakeAll()
        }.resume()
        node.connectionEnded(self, reason)
    }
}

extension Connection.Outbound {
    var isEnded: Bool {
        if case .ended = life { true } else { false }
    }

    /// Takes out all who wait: to send, or for the connection to change.
    fileprivate mutating func wakeEverybody() -> [WaitQueue.Woken] {
        [senders.wakeAll(), lifeWaiters.wakeAll()]
    }

    /// Whether closing now loses something that was accepted, or leaves a stream without its end: the other side
    /// shall see a reset then, not an orderly end.
    fileprivate var isCutOff: Bool { unwrittenBytes > 0 || openStream != 0 }
}
