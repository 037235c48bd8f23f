import Synchronization

/// Many streams over one link, by yamux: a ``Link`` for the connection above it, whose messages travel on a
/// stream of their own in each direction, and the ``LinkOwner`` of the link below it.
///
/// The link below is read always. A stream that nobody reads, and messages that the inbox has no room for,
/// use up their own windows and hold back nothing else.
///
/// `channels` has a lock: any thread may open, read and write streams. The rest belongs to the loop's thread.
/// ``Channels`` decides; this file acts.
///
/// `@unchecked Sendable`: the lock and the loop's thread guard all mutable state.
final class MultiplexedLink: @unchecked Sendable {
    let channels: Lock<Channels>
    let node: Node
    private let context: LoopContext
    let timeLimits: Channels.TimeLimits
    let introductions: Lock<Introductions>

    // From here on: the loop's thread only.

    private let lower: any Link
    /// Kept alive by the open link below, and released when that is closed.
    private var owner: Connection?
    private var phase = Phase.starting
    /// Whether the owner wants to be passed messages.
    private var isReading = false
    private var isPassingOn = false
    /// Whether the link below has a write that is not done, or takes no more.
    private var isWriting = false
    /// Why nothing can be written, while the other side's goodbye may still come.
    private var writeFailure: ParleyError?
    /// Whether the owner waits until its messages are taken.
    private var owesWritten = false
    /// Why nothing more arrives. It is reported behind all messages.
    private var inputEnd: ParleyError?
    /// Whether the last read filled a shared buffer: the next one gets a block of its own.
    private var expectsMuch = false
    /// What was read and waits for a later turn. Nothing more is read meanwhile.
    private var input = ByteQueue()
    /// How much the link below holds.
    private var lowerHeldBytes = 0
    private var reportedHeldBytes = 0
    /// What arrived before the connection was open.
    private var early = Channels.Effects()
    /// Bytes of messages that were taken and not yet counted as written by this link.
    private var uncountedMessageBytes = 0

    private enum Phase {
        /// The owner is in its handshake.
        case starting
        case open
        /// Everything is written, and then the link below is shut down.
        case shuttingDown
        case shutDown
        /// Closed, or failed: nothing is passed on any more.
        case over
    }

    /// How much may arrive before the connection is open.
    private static let mostEarlyBytes = 64 * 1024
    private static let writesPerTurn = 4
    /// The most frames of one turn, about. A small one costs as much as a large one, and a read may bring
    /// thousands.
    private static let framesPerTurn = 256
    /// How much is taken for one write. Streams wait for each other that long.
    private static let writeBytes = 128 * 1024

    init(over lower: any Link, isDialer: Bool, remote: SocketAddress, context: LoopContext) {
        self.lower = lower
        self.context = context
        node = context.node
        introductions = Lock(Introductions(told: node.protocolsEpoch.load(ordering: .relaxed)))
        let timeouts = node.options.timeouts
        timeLimits = Channels.TimeLimits(
            negotiation: timeouts.handshake.inMilliseconds,
            unread: timeouts.streamIdle?.inMilliseconds,
            write: timeouts.write?.inMilliseconds
        )
        channels = Lock(Channels(isDialer: isDialer, limits: node.muxLimits, rules: node.streamRules(remote)))
    }

    deinit {
        channels.withLock { channels in
            for channel in channels.all where !channel.isOutbound { channels.rules.removed() }
            node.heldBytes.subtract(channels.accounted.bytes, ordering: .relaxed)
        }
    }

    /// Sets the owner, which hears about messages and the end.
    func setOwner(_ owner: Connection) { self.owner = owner }

    private var loop: EventLoop { context.loop }

    /// The link below, if it is a secured one.
    var secured: SecuredLink? { lower as? SecuredLink }

    /// Counts what all streams hold. Under the lock.
    private func account(_ channels: inout Channels) {
        let held = channels.heldBytes
        guard held != channels.accounted.bytes else { return }
        // What is less was read.
        let hasProgress = held < channels.accounted.bytes
        let grown = channels.accounted.change(to: held, hasProgress, at: MonotonicTime.millisecondsNow)
        node.heldBytes.add(grown, ordering: .relaxed)
    }

    /// What all streams hold. Any thread.
    var held: HeldBytes { channels.withLock { $0.accounted } }
}

// MARK: - What streams call. Any thread.

extension MultiplexedLink {
    /// Calls `body` under the lock, and does what follows from it.
    func change<Result>(
        _ body: (inout Channels, _ now: UInt64) throws(ParleyError) -> Result
    ) throws(ParleyError) -> Result {
        try ForkedChild.check()
        var effects = Channels.Effects()
        defer { perform(effects) }
        return try change(&effects) { (channels, now, _) throws(ParleyError) in try body(&channels, now) }
    }

    /// Calls `body` under the lock, and settles and counts what it has changed. What follows is still to be
    /// performed.
    @inline(__always)
    private func change<Result, Thrown: Error>(
        _ effects: inout Channels.Effects,
        _ body: (inout Channels, _ now: UInt64, inout Channels.Effects) throws(Thrown) -> Result
    ) throws(Thrown) -> Result {
        try channels.withLock { channels throws(Thrown) in
            let now = MonotonicTime.nanosecondsNow
            defer {
                channels.settle(at: now, &effects)
                account(&channels)
            }
            return try body(&channels, now, &effects)
        }
    }

    /// Does what follows from a call, except for what only arrives.
    private func perform(_ effects: borrowing Channels.Effects) {
        effects.woken.resume()
        node.sendBudget.giveBack(effects.releasedBytes)
        if effects.needsFlush { loop.atEndOfTurn(self) }
        if effects.areMessagesWritten { loop.perform { [self] in messagesAreTaken() } }
    }

    /// Ends every stream: the connection ends with `reason`.
    func end(_ reason: ParleyError, _ what: Channels.Ending) {
        let (woken, released) = channels.withLock { channels in
            defer { account(&channels) }
            return (channels.end(reason, what), channels.releaseUnneeded())
        }
        woken.resume()
        node.sendBudget.giveBack(released)
    }

    /// Drops everything that was received and not read.
    func dropHeld() {
        channels.withLock { channels in
            channels.dropHeld()
            account(&channels)
        }
    }

    /// Has the time-outs checked by then, in milliseconds.
    func checkTimeouts(by due: UInt64) {
        loop.perform { [self] in if let owner { context.timers.check(owner, by: due) } }
    }
}

// MARK: - What the owner asks for

extension MultiplexedLink: Link {
    func startReading() {
        isReading = true
        guard !isOver else { return }
        readOn()
        // In a later turn: the owner must not be called from inside its own call.
        if inputEnd != nil || channels.withLock({ $0.hasMessages }) { loop.execute { [self] in passOn() } }
    }

    /// Reads the link below, unless what was read before has to be handled first.
    private func readOn() { if input.isEmpty { lower.startReading() } }

    /// The link below goes on: only the messages wait.
    func stopReading() { isReading = false }

    func write(_ buffer: WireBuffer) throws(ParleyError) -> Bool {
        guard !isOver else { throw ParleyError(.closed, "the multiplexed link is not open") }
        guard !buffer.isEmpty else { return true }
        uncountedMessageBytes += buffer.count
        let isTaken = try change { (channels, now) throws(ParleyError) in
            try channels.write(messages: buffer, at: now)
        }
        owesWritten = !isTaken
        return isTaken
    }

    /// A connection with many streams sends files on these, by reading them.
    func write(_ range: FileRange) throws(ParleyError) -> Bool {
        throw ParleyError(.unsupported, "messages of a multiplexed connection contain no files")
    }

    func shutdown() {
        guard !isOver else { return }
        phase = .shuttingDown
        channels.withLock { $0.sayGoodbye() }
        flush()
    }

    var status: Health.LinkStatus {
        var status = lower.status
        status.isReadAlways = true
        if let inputEnd, inputEnd.code != .endOfStream { status.isDead = true }
        return status
    }

    var isAcknowledged: Bool {
        switch phase {
        // An orderly end is said first.
        case .starting, .open, .shuttingDown: false
        case .shutDown, .over: lower.isAcknowledged
        }
    }

    func close(abortively: Bool) {
        phase = .over
        isReading = false
        lower.close(abortively: abortively)
    }

    private var isOver: Bool { if case .over = phase { true } else { false } }
    private var isStarting: Bool { if case .starting = phase { true } else { false } }

    /// The connection is open: streams that have arrived meanwhile are handed out.
    func connectionIsOpen() {
        loop.assertIsCurrent()
        guard isStarting else { return }
        phase = .open
        var effects = Channels.Effects()
        swap(&effects, &early)
        readOn()
        hand(out: effects)
        // Windows grow by what the round trip needs.
        _ = sendPing()
    }

    /// Asks the other side for a sign of life. Returns false while it owes one.
    func sendPing() -> Bool {
        let isSent = channels.withLock { $0.session.sendPing() }
        if isSent { loop.atEndOfTurn(self) }
        return isSent
    }

    /// Checks the time-outs of all streams. Returns when to check again, in milliseconds.
    func checkTimeouts(at now: UInt64) -> UInt64 {
        var effects = Channels.Effects()
        defer { perform(effects) }
        return change(&effects) { channels, _, effects in
            channels.checkTimeouts(at: now, timeLimits, &effects)
        }
    }
}

// MARK: - Writing. The loop's thread.

extension MultiplexedLink: EndOfTurn {
    func turnEnds() { flush() }

    /// Whether the link below takes a write. Nothing is written behind its end: not even a pong.
    private var mayWrite: Bool {
        switch phase {
        case .starting, .open, .shuttingDown: !isWriting
        case .shutDown, .over: false
        }
    }

    func flush() {
        loop.assertIsCurrent()
        var writes = 0
        while mayWrite {
            guard writes < Self.writesPerTurn else {
                loop.atEndOfTurn(self)
                return
            }
            writes += 1
            guard writeOnce() else { break }
        }
        shutDownIfDrained()
    }

    /// Writes what is next. Returns false when there was nothing, or the link has failed.
    private func writeOnce() -> Bool {
        var buffer = WireBuffer()
        context.exchangeSpare(&buffer)
        var effects = Channels.Effects()
        let isActivity = change(&effects) { channels, now, _ in
            channels.takeFrames(into: &buffer, upTo: Self.writeBytes, at: now)
        }
        perform(effects)
        let count = buffer.count
        guard count > 0 else {
            context.exchangeSpare(&buffer)
            return false
        }
        do throws(ParleyError) {
            if try lower.write(buffer) {
                buffer.removeAll(keeping: WireBuffer.busyBytes)
                context.exchangeSpare(&buffer)
            } else {
                isWriting = true
            }
        } catch {
            var none = WireBuffer()
            writeFailed(error, &none)
            return false
        }
        let ofMessages = min(count, uncountedMessageBytes)
        uncountedMessageBytes -= ofMessages
        owner?.linkDidHand(count - ofMessages, isActivity: isActivity)
        return true
    }

    private func shutDownIfDrained() {
        guard case .shuttingDown = phase, !isWriting, channels.withLock(\.isDrained) else { return }
        phase = .shutDown
        lower.shutdown()
    }

    func linkDidWrite(_ failure: ParleyError?, returning buffer: inout WireBuffer) {
        if let failure { return writeFailed(failure, &buffer) }
        isWriting = false
        context.returnSpare(&buffer)
        flush()
    }

    /// Writes nothing more, and reads on. When a goodbye is among what is still to be read, the other side
    /// has closed in order, and the failed write does not count.
    private func writeFailed(_ failure: ParleyError, _ buffer: inout WireBuffer) {
        isWriting = true
        if channels.withLock(\.hasRemoteSaidGoodbye) { return }
        if failure.code == .connectionReset, inputEnd == nil {
            writeFailure = failure
        } else {
            owner?.linkDidWrite(failure, returning: &buffer)
        }
    }

    private func messagesAreTaken() {
        guard owesWritten, !isOver else { return }
        owesWritten = false
        var none = WireBuffer()
        owner?.linkDidWrite(nil, returning: &none)
    }
}

// MARK: - Reading. The loop's thread.

extension MultiplexedLink: SecuredLinkOwner {
    func linkWillRead() -> ReadTarget { expectsMuch ? .block(room: ReadBlock.capacityBytes) : .shared }

    func linkDidRead(into frame: consuming PeerState.LargeFrame) {
        preconditionFailure("a multiplexed link reads to no frame of its owner")
    }

    func linkDidRead(_ bytes: Span<UInt8>) { receive(bytes.copied) }

    func linkDidRead(_ block: [UInt8]) { receive(block) }

    private func receive(_ block: [UInt8]) {
        guard !isOver, inputEnd == nil else { return }
        expectsMuch = block.count >= ReadSlab.byteCount / 2
        let isBehind = !input.isEmpty
        input.append(block[...])
        if !isBehind { handleInput(atMost: Self.framesPerTurn) }
    }

    /// Handles frames of the oldest block that was read. What exceeds `frames` waits for a later turn, and
    /// nothing more is read until then.
    private func handleInput(atMost frames: Int) {
        guard let block = input.popFirst() else { return }
        var effects = Channels.Effects()
        let (rest, hasMessages, holds) = change(&effects) { channels, now, effects in
            let rest = channels.receive(block, atMost: frames, at: now, &effects)
            return (rest, channels.hasMessages, channels.heldBytes > 0)
        }
        input.prepend(rest)
        owner?.linkDidHear(block.count - rest.count - effects.messageBytes, isActivity: effects.isActivity)
        perform(effects)
        hand(out: effects)
        if effects.isActivity, let owner {
            context.timers.check(owner, by: loop.milliseconds &+ timeLimits.shortest)
        }
        if hasMessages { passOn() }
        if let failure = effects.failure { return fail(failure) }
        reportHeld()
        if holds, node.heldBytes.load(ordering: .relaxed) > node.options.limits.receiveBufferBytes {
            node.dropLargestHolder()
        }
        if !input.isEmpty || isFullEarly { lower.stopReading() }
        if !input.isEmpty { loop.execute { [self] in handleMore() } }
    }

    private func handleMore() {
        guard !isOver, inputEnd == nil else { return }
        handleInput(atMost: Self.framesPerTurn)
        if input.isEmpty, !isOver, !isFullEarly { lower.startReading() }
    }

    /// Whether no more may arrive before the connection is open.
    private var isFullEarly: Bool { isStarting && held.bytes + early.waitingBytes > Self.mostEarlyBytes }

    /// Tells the owner what waits here and below.
    private func reportHeld() {
        let held = lowerHeldBytes + input.count
        guard held != reportedHeldBytes else { return }
        reportedHeldBytes = held
        owner?.linkDidHold(held)
    }

    /// Does what follows from what has arrived, or keeps it until the connection is open.
    private func hand(out effects: borrowing Channels.Effects) {
        // Once for each reason: a read may bring thousands.
        for refusal in Set(effects.refused) { node.streamWasRefused(refusal, by: owner) }
        if isStarting {
            early.accepted += effects.accepted
            early.announced += effects.announced
        } else {
            for channel in effects.accepted { accept(channel) }
            for announcement in effects.announced { announce(announcement) }
        }
        if let roundTrip = effects.roundTrip { owner?.linkWasAnswered(after: roundTrip) }
        if effects.messagesWereRefused { owner?.messagesWereRefused() }
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
            return stream.abort(code: 0)
        }
        acceptor(stream)
    }

    /// Passes messages on, as long as the owner reads.
    private func passOn() {
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
        let reason = isOrderly ? ParleyError(.endOfStream, "the remote side closed the connection") : reason
        if let writeFailure, !isOrderly {
            var none = WireBuffer()
            owner?.linkDidWrite(writeFailure, returning: &none)
        }
        inputEnd = reason
        channels.withLock { $0.endInput(reason) }.resume()
        passOn()
        shutDownIfDrained()
    }

    func linkDidClose() {
        phase = .over
        owner?.linkDidClose()
        owner = nil
    }

    /// Ends the connection. What the session has to say about it is written first.
    private func fail(_ reason: ParleyError) {
        if mayWrite { _ = writeOnce() }
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
