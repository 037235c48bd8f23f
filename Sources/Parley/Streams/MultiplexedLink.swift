import Synchronization

/// Many streams over one link, by yamux: a ``Link`` for the connection above it, whose messages travel on a
/// stream of their own in each direction, and the ``LinkOwner`` of the link below it.
///
/// The link below is read always. A stream that nobody reads, and messages that the inbox has no room for,
/// use up their own windows and hold back nothing else.
///
/// `channels` has a lock: any thread may open, read and write streams. The rest belongs to the loop's thread.
/// ``Channels`` decides, and this type acts. This file has what streams and the connection above ask for,
/// `MultiplexedLink+Reading.swift` how the link below is read, `MultiplexedLink+Writing.swift` how it is
/// written to, and `MultiplexedLink+Streams.swift` what streams do without waiting.
///
/// `@unchecked Sendable`: the lock and the loop's thread guard all mutable state.
final class MultiplexedLink: @unchecked Sendable {
    let channels: Lock<Channels>
    let node: Node
    let context: LoopContext
    let timeLimits: Channels.TimeLimits
    let introductions: Lock<Introductions>

    // From here on: the loop's thread only.

    let lower: any Link
    /// Kept alive by the open link below, and released when that is closed.
    var owner: Connection?
    var phase = Phase.starting
    /// Whether the owner wants to be passed messages.
    var isReading = false
    var isPassingOn = false
    var output = Output.ready
    /// How many more pings follow the first one: that one measures how long a new connection takes to wake
    /// everybody.
    var probesLeft: UInt8 = 2
    /// Whether the link below has the last of the messages that the owner waits for.
    var endsMessages = false
    /// Why nothing more arrives. It is reported behind all messages.
    var inputEnd: ParleyError?
    /// Whether the last read filled a shared buffer: the next one gets a block of its own.
    var expectsMuch = false
    /// What was read and waits for a later turn. Nothing more is read meanwhile.
    var input = ByteQueue()
    /// How much the link below holds.
    var lowerHeldBytes = 0
    var reportedHeldBytes = 0
    /// What arrived before the connection was open.
    var early = Channels.Effects()
    /// Bytes that have arrived and are not of messages.
    var heardBytes: UInt64 = 0
    /// Bytes of messages that were taken and not yet counted as written by this link.
    var uncountedMessageBytes = 0

    enum Phase {
        /// The owner is in its handshake.
        case starting
        case open
        /// Everything is written, and then the link below is shut down.
        case shuttingDown
        case shutDown
        /// Closed, or failed: nothing is passed on any more.
        case over
    }

    /// What the link below does with what is written to it.
    enum Output {
        case ready
        /// It has a write that is not done.
        case writing
        /// It takes no more. What was accepted since the failure is dropped.
        case failed(ParleyError)
    }

    init(over lower: any Link, isDialer: Bool, remote: SocketAddress, context: LoopContext) {
        self.lower = lower
        self.context = context
        node = context.node
        introductions = Lock(Introductions(told: node.protocolsEpoch.load(ordering: .relaxed)))
        let timeouts = node.options.timeouts
        timeLimits = Channels.TimeLimits(
            negotiation: timeouts.handshake.inMilliseconds,
            header: node.timeLimits.frame,
            leastBytesPerSecond: node.timeLimits.leastBytesPerSecond,
            unread: timeouts.streamIdle?.inMilliseconds,
            write: timeouts.write?.inMilliseconds
        )
        channels = Lock(Channels(isDialer: isDialer, limits: node.muxLimits, rules: node.streamRules(remote)))
    }

    deinit {
        channels.withLock { channels in
            channels.linkIsClosed()
            node.heldBytes.subtract(channels.accounted, ordering: .relaxed)
        }
    }

    /// Sets the owner, which hears about messages and the end.
    func setOwner(_ owner: Connection) { self.owner = owner }

    /// Forgets the owner: its connection was given up before it began.
    func disown() {
        owner = nil
        secured?.disown()
    }

    var loop: EventLoop { context.loop }

    /// The link below, if it is a secured one.
    var secured: SecuredLink? { lower as? SecuredLink }

    /// Counts what all streams hold. Under the lock.
    private func account(_ channels: inout Channels) {
        let grown = channels.heldBytes - channels.accounted
        guard grown != 0 else { return }
        channels.accounted = channels.heldBytes
        node.heldBytes.add(grown, ordering: .relaxed)
    }

    /// What all streams hold. Any thread.
    var heldBytes: Int { channels.withLock { $0.accounted } }

    /// See ``Channels/weight(at:)``. Any thread.
    func weight(at now: UInt64) -> UInt64 { channels.withLock { $0.weight(at: now) } }
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
    func change<Result, Thrown: Error>(
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
    func perform(_ effects: borrowing Channels.Effects) {
        effects.woken.resume()
        node.sendBudget.giveBack(effects.releasedBytes)
        if effects.needsFlush { loop.atEndOfTurn(self) }
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

    /// Drops everything that was received and not read, because of `reason`.
    func dropHeld(_ reason: ParleyError) {
        channels.withLock { channels in
            defer { account(&channels) }
            return channels.dropHeld(reason)
        }.resume()
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
        if case .failed = output { return true }
        guard !buffer.isEmpty else { return true }
        uncountedMessageBytes += buffer.count
        return try change { (channels, now) throws(ParleyError) in
            try !channels.write(messages: buffer, at: now)
        }
    }

    /// A connection with many streams sends files on these, by reading them.
    func write(_ range: FileRange) throws(ParleyError) -> Bool {
        throw ParleyError(.unsupported, "messages of a multiplexed connection contain no files")
    }

    func shutdown() {
        guard !isOver else { return }
        phase = .shuttingDown
        channels.withLock { $0.sayGoodbye() }
        // Reading may have stopped before the connection was open. The other side's answer is waited for.
        if inputEnd == nil { readOn() }
        flush()
    }

    var status: Health.LinkStatus {
        var status = lower.status
        status.isReadAlways = true
        if let inputEnd, inputEnd.code != .endOfStream { status.isDead = true }
        return status
    }

    var hasUnread: Bool { lower.hasUnread }

    var isAcknowledged: Bool {
        switch phase {
        // An orderly end is said first.
        case .starting, .open, .shuttingDown: false
        case .shutDown: lower.isAcknowledged && (inputEnd != nil || channels.withLock(\.session.isAllRead))
        case .over: lower.isAcknowledged
        }
    }

    func close(abortively: Bool) {
        phase = .over
        isReading = false
        lower.close(abortively: abortively)
    }

    var isOver: Bool { if case .over = phase { true } else { false } }
    var isStarting: Bool { if case .starting = phase { true } else { false } }

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

    /// Lets the owner find that the other side has read everything, or that nothing more arrives. In a later
    /// turn: it closes this link then.
    func checkAcknowledgedSoon() {
        guard case .shutDown = phase else { return }
        loop.execute { [self] in owner?.checkAcknowledged() }
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
