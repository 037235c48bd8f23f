// From the link's bytes to RPCs in the inbox. The loop's thread only.
//
// linkDidRead -> PeerState and its decoder, under the receiving half's lock -> Node.deliver -> the inbox.
//
// Whole messages, which most reads are, go this way at once: deliver, or deliverInPlace to an observer. What
// they leave, and everything else, is queued and decoded by receive.

extension Connection: LinkOwner {
    // MARK: What the link reports

    func linkWillRead() -> ReadTarget {
        switch upcoming {
        case .raw: return .shared
        case .messages: return expectsMuch ? .block(room: ReadBlock.capacityBytes) : .shared
        case .stream: return .block(room: inbound.withLock { $0.state.readAheadRoom })
        case .largeFrame:
            guard let frame = inbound.withLock({ $0.state.takeLargeFrame() }) else { return .shared }
            return .frame(frame)
        }
    }

    func linkDidRead(_ bytes: Span<UInt8>) {
        arrivedSinceDirectWrite.store(true, ordering: .relaxed)
        expectsMuch = bytes.count == ReadSlab.byteCount && !node.takesRPCs
        let used = node.takesRPCs ? deliverInPlace(bytes) : deliver(bytes)
        guard used < bytes.count else { return }
        let block = bytes.extracting(used...).copied
        receive(.bytes(block[...]), bytes: block.count)
    }

    func linkDidRead(_ block: ArraySlice<UInt8>) {
        arrivedSinceDirectWrite.store(true, ordering: .relaxed)
        let used = node.takesRPCs ? deliverInPlace(block.span) : 0
        guard used < block.count else { return }
        receive(.bytes(block.dropFirst(used)), bytes: block.count &- used)
    }

    func linkDidRead(into frame: consuming PeerState.LargeFrame) {
        let bytes = frame.newBytes
        if bytes > 0 { arrivedSinceDirectWrite.store(true, ordering: .relaxed) }
        receive(.largeFrame(frame), bytes: bytes)
    }

    func linkDidEnd(_ reason: ParleyError) {
        if reason.code == .endOfStream {
            switch outbound.withLock({ $0.lifecycle.state }) {
            case .handshake, .inOnPeer, .afterOnPeer, .open, .closeRequested:
                return receive(.end(reason))
            // The other side still reads: what was accepted is still written, or has to arrive.
            case .flushing, .awaitingAck(_, cutsStream: true): return
            case .awaitingAck(_, cutsStream: false):
                // A closed link's bytes are still sent by the kernel. A reset would drop them.
                guard outbound.withLock({ $0.queue.isCutOff }) else { break }
                checkAcknowledged()
                return
            case .halfClosed, .readingRest, .failed, .closingLink, .ended: break
            }
        }
        apply(.fail(reason))
    }

    // MARK: Decoding

    /// Delivers the whole messages at the front of what was read to an observer, without a copy.
    ///
    /// - Returns: the number of bytes that were used.
    private func deliverInPlace(_ bytes: Span<UInt8>) -> Int {
        guard case .messages = upcoming else { return 0 }
        var found = context.local.value.takeSpareBounds()
        defer { context.local.value.returnSpareBounds(&found) }
        do throws(ParleyError) {
            let used = try inbound.withLock { inbound throws(ParleyError) in
                guard inbound.closed == nil, !inbound.intake.isDiscarding else { return 0 }
                let used = try inbound.state.decodeInPlace(bytes, into: &found)
                inbound.count(bytes: used, messages: found.count, at: loop.milliseconds)
                return used
            }
            if used > 0, let observer = node.observer {
                cacheAsRecent()
                observer.didReceive(bytes, found, from: self)
            }
            return used
        } catch {
            fail(error)
            return bytes.count
        }
    }

    /// Delivers the whole messages at the front of what was read to the inbox, as far as it has room.
    ///
    /// - Returns: the number of bytes that were used.
    private func deliver(_ bytes: Span<UInt8>) -> Int {
        guard case .messages = upcoming, let share = node.inboxShare(for: self, isCalled: false) else {
            return 0
        }
        var decoded = context.local.value.takeSpareRuns()
        defer { context.local.value.returnSpareRuns(&decoded) }
        do throws(ParleyError) {
            let used = try inbound.withLock { inbound throws(ParleyError) in
                guard inbound.closed == nil, inbound.intake.state == .reading else { return 0 }
                let used = try inbound.state.decode(
                    bytes,
                    limit: share.rpcs,
                    byteLimit: share.bytes,
                    into: &decoded
                )
                inbound.count(bytes: used, messages: decoded.count, at: loop.milliseconds)
                return used
            }
            if used > 0, !node.deliver(&decoded, from: self) { inboxIsFull() }
            return used
        } catch {
            fail(error)
            return bytes.count
        }
    }

    /// The last delivery filled the inbox: from now on this connection waits its turn. Otherwise it would
    /// read ahead of connections that already wait.
    private func inboxIsFull() {
        changeReading { inbound in
            if inbound.intake.apply(.inboxIsFull) { inbound.counters.countPause() }
        }
    }

    /// Caches this connection as the loop's most recent one. An observer that is called about it usually
    /// answers it.
    @inline(__always)
    func cacheAsRecent() {
        // Do not cache after close: the cache was cleared already.
        if link != nil { context.local.value.recent = Unmanaged.passUnretained(self) }
    }

    /// What a decoding pass begins with.
    enum Input {
        case bytes(ArraySlice<UInt8>)
        /// A large frame that was read into.
        case largeFrame(PeerState.LargeFrame)
        case end(ParleyError)
        case handshakeIsOver
        /// A stream was opened beside the messages.
        case announced(PeerState.Announcement)
        /// The inbox, which was full, has called.
        case inboxHasRoom
        /// None: somebody may want more of what is there.
        case nothing
    }

    /// Takes `input`, delivers what can be decoded, and decides whether to read on.
    ///
    /// - Parameter bytes: how many bytes have arrived.
    func receive(_ input: consuming Input, bytes: Int = 0) {
        loop.assertIsCurrent()
        // A variable, so that a large frame is moved and not copied.
        var input = Optional(input)
        var isCalled = false
        if case .inboxHasRoom = input { isCalled = true }
        guard let share = node.inboxShare(for: self, isCalled: isCalled) else { return }
        // A connection is counted among those that have ended on this thread, so not during this pass.
        let isCounted = link == nil && node.hasCounted(self)
        var decoded = context.local.value.takeSpareRuns()
        var outcome = Outcome()
        inbound.withLock { inbound in
            inbound.take(&input)
            if inbound.closed != nil || inbound.intake.isDiscarding || inbound.state.violation != nil {
                inbound.state.dropInput()
            }
            let phase = inbound.state.phase
            do throws(ParleyError) {
                try inbound.state.decode(limit: share.rpcs, byteLimit: share.bytes, into: &decoded)
            } catch { outcome.failure = error }
            outcome.isStream = inbound.state.phase == .stream && phase != .stream
            inbound.count(bytes: bytes, messages: decoded.messages, at: loop.milliseconds)
            inbound.counters.count(requests: decoded.requests)
            if outcome.isStream {
                inbound.counters.countStream()
                decoded.numberStream(inbound.numberOfStream)
                inbound.streamReadAt = loop.milliseconds
            }
            outcome.hasHeartbeats = inbound.state.hasHeartbeats
            // Raw readers check again: there may be bytes, a stream, or the end.
            if inbound.state.phase != .messages || inbound.state.inputEnd != nil {
                outcome.readers = inbound.readWaiters.wakeAll()
            }
            upcoming = inbound.state.upcoming
            outcome.finalReason = inbound.state.finalReason
            outcome.hasPartialFrame = inbound.state.partialFrameBytes > 0
            outcome.changesReading = changesReading(&inbound) { inbound in
                outcome.asksInbox = inbound.decoded()
            }
            if isCounted {
                node.countLate(decoded, opensStream: outcome.isStream, pausesReading: outcome.asksInbox)
            }
            if case .over(awaitsInbox: false) = inbound.intake.state {
                outcome.isAllDelivered = true
                inbound.linkBytes = 0
            }
            outcome.isOverLimit = account(&inbound, hasProgress: !decoded.isEmpty || !decoded.answers.isEmpty)
        }
        let hasFilledInbox = !decoded.isEmpty && !node.deliver(&decoded, from: self)
        // Behind what came before them.
        if !decoded.answers.isEmpty { tellCallers(decoded.answers) }
        context.local.value.returnSpareRuns(&decoded)
        finish(outcome)
        if hasFilledInbox { inboxIsFull() }
    }

    /// What follows from a decoding pass, done after the lock is released.
    private struct Outcome {
        var failure: ParleyError?
        var finalReason: ParleyError?
        var readers = WaitQueue.Woken()
        var isStream = false
        var hasHeartbeats = false
        var hasPartialFrame = false
        var changesReading = false
        var asksInbox = false
        var isOverLimit = false
        var isAllDelivered = false
    }

    @inline(__always)
    private func finish(_ outcome: borrowing Outcome) {
        outcome.readers.resume()
        if outcome.hasHeartbeats { handleHeartbeats() }
        if outcome.isAllDelivered {
            node.forgetUndelivered(of: self)
            endDelivery()
        }
        if let failure = outcome.failure {
            fail(failure)
            return dropUndelivered()
        }
        if let finalReason = outcome.finalReason { return inputIsOver(finalReason) }
        if outcome.changesReading { tellLink() }
        if outcome.asksInbox { askInbox() }
        if outcome.isOverLimit { node.dropLargestHolder() }
        if outcome.isStream, let timeout = node.timeLimits.streamIdle {
            context.timers.check(self, by: loop.milliseconds &+ timeout)
        }
        if outcome.hasPartialFrame, let timeout = node.timeLimits.frame {
            context.timers.check(self, by: loop.milliseconds &+ max(Health.shortestInterval, timeout / 4))
        }
    }

    // MARK: Reading on, or not

    /// Changes the intake, and informs the link and the inbox.
    func changeReading(_ body: (inout Inbound) -> Void) {
        loop.assertIsCurrent()
        let (changes, asksInbox) = inbound.withLock { inbound in
            let awaited = inbound.intake.awaitsInbox
            let changes = changesReading(&inbound, body)
            return (changes, inbound.intake.awaitsInbox && !awaited)
        }
        if changes { tellLink() }
        if asksInbox { askInbox() }
    }

    /// Changes the intake with `body`. Returns whether that starts or stops reading; ``tellLink()`` follows
    /// then.
    @inline(__always)
    private func changesReading(_ inbound: inout Inbound, _ body: (inout Inbound) -> Void) -> Bool {
        let wasReading = inbound.intake.isReading
        body(&inbound)
        return inbound.intake.isReading != wasReading
    }

    /// Lets the link do what the intake says now. A callback in between may have changed it again.
    private func tellLink() {
        guard let link else { return }
        if inbound.withLock({ $0.intake.isReading }) { return link.startReading() }
        link.stopReading()
        // libuv does not watch a socket that is not read, so its failure has to be polled for.
        context.timers.check(self, by: loop.milliseconds &+ Health.pausedInterval)
    }

    /// Asks the inbox to call when it has room.
    private func askInbox() {
        node.reportFullInbox()
        node.inboxQueue(of: self)?.whenSpace(for: self) { [self] in
            loop.execute { [self] in receive(.inboxHasRoom) }
        }
    }

    /// Starts to read, for the handshake. Nothing is decoded before that is over.
    func readForHandshake() { changeReading { _ = $0.decoded() } }

    /// Starts the open connection after handshake and `onPeer`. The input after the handshake goes to the
    /// decoder.
    func finishHandshake() {
        startOpenTimers()
        receive(.handshakeIsOver)
        multiplexed?.connectionIsOpen()
    }
}

extension Connection.Inbound {
    fileprivate mutating func take(_ input: inout Connection.Input?) {
        switch input.take() {
        case .bytes(let block): state.receive(block)
        case .largeFrame(let frame): state.returnLargeFrame(frame)
        case .end(let reason): state.endInput(reason)
        case .handshakeIsOver: state.finishHandshake()
        case .announced(let stream): state.announce(stream)
        case .inboxHasRoom: _ = intake.apply(.inboxHasRoom)
        case .nothing, nil: break
        }
    }

    /// Decides whether to read on. Returns whether to ask the inbox to call.
    @inline(__always)
    mutating func decoded() -> Bool {
        let isHeldBack = state.hasUndecodedMessages
        let asksInbox = intake.apply(
            .decoded(wantsInput: state.wantsInput(isReading: intake.isReading), isHeldBack: isHeldBack)
        )
        if asksInbox { counters.countPause() }
        return asksInbox
    }

    fileprivate mutating func count(bytes: Int, messages: Int, at now: UInt64) {
        counters.bytes &+= UInt64(bytes)
        counters.messages &+= UInt64(messages)
        guard bytes > 0 else { return }
        lastArrival = now
        if !state.isOnlyHeartbeats(bytes) { lastActivity = now }
    }
}
