// From the link's bytes to RPCs in the inbox. Everything here happens on the loop's thread.

extension Connection: LinkOwner {
    func linkDidRead(_ bytes: Span<UInt8>) {
        guard ending == .no || ending == .draining else { return }
        hasReceived.store(true, ordering: .relaxed)
        let used = node.takesRPCs ? deliverInPlace(bytes) : 0
        guard used < bytes.count else { return }
        let block = bytes.extracting(used...).copied
        receive(bytes: block.count) { $0.receive(block[...]) }
    }

    /// Delivers the whole messages at the front of what was read, without a copy: for an observer, who takes them now.
    ///
    /// - Returns: how many bytes that were.
    private func deliverInPlace(_ bytes: Span<UInt8>) -> Int {
        var decoded = context.takeScratch()
        defer { context.returnScratch(&decoded) }
        do throws(ParleyError) {
            let used = try inbound.withLock { inbound throws(ParleyError) in
                guard inbound.closed == nil else { return 0 }
                let used = try inbound.state.decodeInPlace(bytes, into: &decoded.found)
                inbound.count(bytes: used, messages: decoded.found.count, at: loop.milliseconds)
                return used
            }
            if used > 0, let observer = node.observer {
                isMostRecent()
                observer.didReceive(bytes, decoded.found, from: self)
            }
            return used
        } catch {
            fail(error)
            return bytes.count
        }
    }

    /// An observer is about to hear of this connection, and most often answers it.
    @inline(__always)
    func isMostRecent() {
        // What is delivered behind its end is not looked up again: nobody would see to it that it is forgotten.
        if link != nil { loop.turn.pointee.recent = Unmanaged.passUnretained(self) }
    }

    func linkDidRead(_ block: [UInt8]) {
        guard ending == .no || ending == .draining else { return }
        hasReceived.store(true, ordering: .relaxed)
        receive(bytes: block.count) { $0.receive(block[...]) }
    }

    func linkWillRead() -> ReadTarget {
        switch upcoming {
        case .anything: return .shared
        case .stream: return .block(room: inbound.withLock { $0.state.readAheadRoom })
        case .largeFrame:
            guard let frame = inbound.withLock({ $0.state.takeLargeFrame() }) else { return .shared }
            lentFrameBytes = frame.bytes.count
            return .frame(frame)
        }
    }

    func linkDidRead(into frame: consuming PeerState.LargeFrame) {
        let bytes = frame.bytes.count &- lentFrameBytes
        receive(bytes: bytes) { [frame] in $0.returnLargeFrame(frame) }
    }

    func linkDidEnd(_ reason: ParleyError) {
        switch ending {
        case .no where reason.code == .endOfStream:
            receive { $0.endInput(reason) }
        case .no:
            fail(reason)
        case .flushing where reason.code == .endOfStream:
            break  // The other side reads on: what was sent to it still goes out.
        case .draining, .flushing, .lingering, .over:
            closeLink()
        }
    }

    /// Changes the state by `input`, delivers what can be decoded of it, and decides whether to read on.
    func receive(
        bytes: Int = 0,
        isCalledByInbox: Bool = false,
        _ input: (inout PeerState) -> Void = { _ in }
    ) {
        loop.assertIsCurrent()
        guard let space = node.space(for: self, isCalled: isCalledByInbox) else { return }
        var decoded = context.takeScratch()
        var failure: ParleyError?
        var hasHeartbeats = false
        let (readers, finalReason, isStream, isSettled) = inbound.withLock { inbound in
            input(&inbound.state)
            if inbound.closed != nil { inbound.state.dropInput() }
            let phase = inbound.state.phase
            do throws(ParleyError) {
                try inbound.state.decode(limit: space.rpcs, byteLimit: space.bytes, into: &decoded)
            } catch { failure = error }
            let isStream = inbound.state.phase == .stream && phase != .stream
            if isStream { inbound.streamActivity = .now }
            inbound.count(
                bytes: bytes,
                messages: decoded.count &- (isStream ? 1 : 0),
                at: loop.milliseconds
            )
            hasHeartbeats = inbound.state.hasHeartbeats
            if isStream { inbound.counters.streams &+= 1 }
            // Whoever reads raw looks again: there may be bytes, a stream, or the end.
            let canRead = inbound.state.phase != .messages || inbound.state.inputEnd != nil
            let readers = canRead ? inbound.readers.wakeAll() : WaitQueue.Woken()
            upcoming = inbound.state.upcoming
            let isSettled = inbound.isSettled(keeping: bufferedBytes)
            return (readers, inbound.state.finalReason, isStream, isSettled)
        }
        let isFilling = !decoded.isEmpty && node.deliver(decoded, from: self) == 0
        context.returnScratch(&decoded)
        readers.resume()
        if isStream { watchStream() }
        if hasHeartbeats { handleHeartbeats() }
        if let failure { return fail(failure) }
        if let finalReason { return close(because: finalReason) }
        if isSettled, !isFilling { return }
        settleReading(isFillingInbox: isFilling)
    }

    /// Reads on, or stops: whatever the state wants, unless the inbox has no room.
    func settleReading(isFillingInbox: Bool = false) {
        loop.assertIsCurrent()
        let isLive = ending == .no || ending == .draining
        let isInboxFull = isFillingInbox || node.inboxQueue(of: self)?.space == 0
        let (wants, isBlocked, buffered) = inbound.withLock { inbound in
            let isBlocked = isFillingInbox || inbound.state.hasUndecodedMessages
            let wants = inbound.state.wantsInput(isReading: inbound.isReading)
            if isLive { inbound.isReading = watch.isDead || wants && !isBlocked && !isWaitingForInbox }
            if isBlocked, isInboxFull, !isWaitingForInbox {
                inbound.isPausedForInbox = true
                inbound.counters.pauses &+= 1
            }
            return (inbound.isReading, isBlocked, inbound.state.bufferedBytes)
        }
        guard isWithinReceiveBuffer(buffered) else { return }
        if isLive {
            link?.setReading(wants)
            if !wants { watchPaused() }
        }
        guard isBlocked, !isWaitingForInbox else { return }
        isWaitingForInbox = true
        node.inboxQueue(of: self)?.whenSpace { [self] in goOnDelivering() }
    }

    /// What was kept for want of room has its turn. Any thread.
    private func goOnDelivering() {
        loop.execute { [self] in
            isWaitingForInbox = false
            inbound.withLock { $0.isPausedForInbox = false }
            receive(isCalledByInbox: true)
        }
    }

    /// The greeting is over: what has arrived behind the handshake goes to the decoder.
    func finishHandshake() {
        watch.handshakeDeadline = .max
        beginWatching()
        receive { $0.finishHandshake() }
    }
}

extension Connection.Inbound {
    /// Whether nothing follows for reading: it goes on, and no more is kept than before.
    fileprivate func isSettled(keeping bytes: Int) -> Bool {
        isReading && state.wantsInput(isReading: true) && !state.hasUndecodedMessages
            && state.bufferedBytes == bytes
    }

    fileprivate mutating func count(bytes: Int, messages: Int, at now: UInt64) {
        counters.bytes &+= UInt64(bytes)
        counters.messages &+= UInt64(messages)
        guard bytes > 0 else { return }
        lastArrival = now
        if !state.isOnlyHeartbeats(bytes) { lastActivity = now }
    }
}
