// How a multiplexed link reads: what the link below has received, and its end. The loop's thread.

extension MultiplexedLink: SecuredLinkOwner {
    /// How much may arrive before the connection is open.
    private static let mostEarlyBytes = 64 * 1024
    /// The most frames of a link at once, about. A small one costs as much as a large one, and a read may
    /// bring thousands. Peers that behave mostly send fewer, which then wait for no other link.
    private static let framesAtOnce = 32
    /// The most frames in a turn of the loop, about, of all links that have received more than that.
    static let framesPerTurn = 256

    func linkWillRead() -> ReadTarget { expectsMuch ? .block(room: ReadBlock.capacityBytes) : .shared }

    func linkDidRead(into frame: consuming PeerState.LargeFrame) {
        preconditionFailure("a multiplexed link reads to no frame of its owner")
    }

    func linkDidRead(_ bytes: Span<UInt8>) { linkDidRead(bytes.copied[...]) }

    func linkDidRead(_ block: ArraySlice<UInt8>) {
        guard !isOver, inputEnd == nil else { return }
        expectsMuch = block.count >= ReadSlab.byteCount / 2
        let isBehind = !input.isEmpty
        input.append(block)
        if !isBehind { handleInput(atMost: Self.framesAtOnce) }
    }

    /// Handles at most `frames` frames, about, of the oldest block that was read. The link then stops
    /// reading until the rest is handled: it shares the loop's turns with other links.
    ///
    /// - Returns: about how many frames were handled.
    @discardableResult
    private func handleInput(atMost frames: Int) -> Int {
        guard let block = input.popFirst() else { return 0 }
        var effects = Channels.Effects()
        let (rest, used, hasMessages, holds) = change(&effects) { channels, now, effects in
            let rest = channels.receive(block, atMost: frames, at: now, &effects)
            let used = max(1, frames &- channels.session.framesLeft)
            return (rest, used, channels.hasMessages, channels.heldBytes > 0)
        }
        input.prepend(rest)
        let otherBytes = block.count - rest.count - effects.messageBytes
        heardBytes &+= UInt64(otherBytes)
        owner?.linkDidHear(otherBytes, isActivity: effects.isActivity)
        perform(effects)
        hand(out: effects)
        if effects.isActivity, let owner {
            context.timers.check(owner, by: loop.milliseconds &+ timeLimits.shortest)
        }
        if hasMessages { passOn() }
        if let failure = effects.failure {
            fail(failure)
            return used
        }
        reportHeld()
        if holds, node.heldBytes.load(ordering: .relaxed) > node.options.limits.receiveBufferBytes {
            node.dropLargestHolder()
        }
        if !input.isEmpty || isFullEarly { lower.stopReading() }
        if !input.isEmpty { context.receiving.add(self) }
        return used
    }

    /// Handles more of what was read. Returns about how many frames were handled.
    func handleMore() -> Int {
        guard !isOver, inputEnd == nil else { return 0 }
        let used = handleInput(atMost: Self.framesAtOnce)
        if input.isEmpty, !isOver, !isFullEarly { lower.startReading() }
        return used
    }

    /// Whether no more may arrive before the connection is open.
    private var isFullEarly: Bool { isStarting && heldBytes + early.waitingBytes > Self.mostEarlyBytes }

    /// Tells the owner what waits here and below.
    private func reportHeld() {
        let held = lowerHeldBytes + input.count
        guard held != reportedHeldBytes else { return }
        reportedHeldBytes = held
        owner?.linkDidHold(held)
    }

    /// Does what follows from what has arrived, or keeps it until the connection is open.
    func hand(out effects: borrowing Channels.Effects) {
        // Once for each reason: a read may bring thousands.
        for refusal in Set(effects.refused) { node.streamWasRefused(refusal, by: owner) }
        if isStarting {
            early.accepted += effects.accepted
            early.announced += effects.announced
        } else if !effects.accepted.isEmpty || !effects.announced.isEmpty {
            begin(effects.accepted, effects.announced)
        }
        if let roundTrip = effects.roundTrip {
            if probesLeft > 0, sendPing() { probesLeft -= 1 }
            owner?.linkWasAnswered(after: roundTrip)
            checkAcknowledgedSoon()
        }
        if let reason = effects.messagesRefused {
            owner?.messagesWereRefused(reason)
            // None are left: the flush reports them as written.
            loop.atEndOfTurn(self)
        }
    }

    /// Hands out new streams. None begins once this side has begun to close, or has refused the peer.
    private func begin(_ accepted: [Channel], _ announced: [PeerState.Announcement]) {
        guard let owner, owner.isDelivering else {
            let reason = ParleyError(.closed, "the connection is being closed")
            let unread = channels.withLock { channels in
                announced.compactMap { channels.channel(number: $0.stream) }
            }
            for channel in accepted + unread {
                (try? change { (channels, _) in channels.abort(channel, code: 0, reason) })?.resume()
            }
            return
        }
        for channel in accepted { accept(channel) }
        for announcement in announced { announce(announcement) }
    }

    private func announce(_ stream: PeerState.Announcement) {
        guard let owner, !owner.linkDidAnnounce(stream) else { return }
        (try? change { (channels, _) in channels.refuse(stream) })?.resume()
        node.streamWasRefused(.tooManyStreams, by: owner)
    }

    private func accept(_ channel: Channel) {
        guard let owner else { return }
        let stream = PeerStream(channel, of: owner, over: self)
        guard let acceptor = node.acceptor(of: channel.name) else {
            // It was removed since.
            return stream.refuse()
        }
        acceptor(stream)
    }

    /// Passes messages on, as long as the owner reads.
    func passOn() {
        guard !isPassingOn else { return }
        isPassingOn = true
        defer { isPassingOn = false }
        while isReading, !isOver, let owner {
            var effects = Channels.Effects()
            let block = change(&effects) { channels, now, _ in channels.takeMessages(at: now) }
            perform(effects)
            guard let block else { return reportEnd() }
            owner.take(block.span) { !isOver }
        }
    }

    /// Reports that nothing more arrives, once all messages are passed on.
    private func reportEnd() {
        guard let reason = inputEnd, isReading else { return }
        isReading = false
        guard reason.code == .endOfStream, channels.withLock(\.isCutOff) else {
            return owner?.linkDidEnd(reason) ?? ()
        }
        owner?.linkDidEnd(ParleyError(.truncated, "the connection ended in the middle of a yamux frame"))
    }

    func linkDidEnd(_ reason: ParleyError) {
        guard !isOver, inputEnd == nil else { return }
        while !input.isEmpty, !isOver { handleInput(atMost: .max) }
        guard !isOver else { return }
        // A socket that was closed right behind the goodbye may have been reset by what this side wrote.
        let isOrderly = channels.withLock(\.hasRemoteSaidGoodbye)
        let reason = isOrderly ? .remoteClosed : reason
        if case .failed(let failure) = output {
            var none = WireBuffer()
            owner?.linkDidWrite(isOrderly ? nil : failure, returning: &none)
        }
        inputEnd = reason
        channels.withLock { $0.endInput(reason) }.resume()
        passOn()
        flush()
        checkAcknowledgedSoon()
    }

    func linkDidClose() {
        phase = .over
        channels.withLock { $0.linkIsClosed() }
        owner?.linkDidClose()
        owner = nil
    }

    /// Ends the connection. What the session has to say about it is written first.
    private func fail(_ reason: ParleyError) {
        if mayWrite { writeOnce() }
        phase = .over
        lower.stopReading()
        owner?.linkDidFail(reason)
    }

    // MARK: What the secured link reports

    func linkIsSecured(with proven: Connection.Proven) { owner?.linkIsSecured(with: proven) }

    func linkDidHold(_ bytes: Int) {
        lowerHeldBytes = bytes
        reportHeld()
    }

    func linkDidFail(_ reason: ParleyError) { owner?.linkDidFail(reason) }
}
