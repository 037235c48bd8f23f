/// The streams of one connection: the yamux session, and what each stream has received. Bytes in, effects
/// out; calls in, frames out. It has no sockets, clocks or threads. Times are nanoseconds of one clock.
///
/// A value for tests, and guarded by the lock of its ``MultiplexedLink``. After each group of calls, and
/// before the lock is released: ``settle(at:_:)``.
struct Channels {
    var session: MuxSession
    let rules: Rules
    /// By the session's place of the stream.
    private var channels: [Channel?] = []
    private(set) var count = 0
    /// Streams of the other side that a handler has. They may have ended.
    private(set) var taken = 0
    /// Received bytes that were not read, of all streams.
    private(set) var heldBytes = 0
    /// What of ``heldBytes`` the node has counted.
    var accounted = HeldBytes()
    /// The stream of this side's messages, and of the other's.
    private var messagesOut: Channel?
    private var messagesIn: Channel?
    /// Messages that the session has not taken yet.
    private(set) var unwritten = ByteQueue()
    /// The other side does not take messages.
    private(set) var areMessagesRefused = false
    /// How many bytes of streams may be unsent without more of the node's budget.
    private(set) var reservedBytes = SendBudget.freeBytes
    /// Streams whose writers wait for the budget.
    private var lackBudget: [Channel] = []
    /// Who waits to open a stream.
    var openWaiters = WaitQueue()
    /// Why no stream can be used any more.
    private(set) var end: ParleyError?
    /// Why nothing more arrives.
    private(set) var inputEnd: ParleyError?
    private(set) var isFlushRequested = false
    private(set) var counters = Counters()

    /// What a node decides about streams.
    struct Rules: Sendable {
        /// Whether this side speaks a protocol.
        var isSupported: @Sendable (String) -> Bool = { _ in false }
        /// Whether the node may have another stream of another side. ``removed`` follows for each that it
        /// admits.
        var admits: @Sendable () -> Bool = { true }
        var removed: @Sendable () -> Void = {}
        var maxHeaderBytes = Int.max
        /// The other side, for error messages.
        var remote = ""
    }

    struct Counters: Sendable, Hashable {
        var received: UInt64 = 0
        var sent: UInt64 = 0
        /// Streams of the other side that were reset because of a limit.
        var refused: UInt64 = 0
    }

    /// What follows from a group of calls, done after the lock is released.
    struct Effects {
        var woken = WaitQueue.Woken()
        /// Streams whose protocol has a handler.
        var accepted: [Channel] = []
        /// Streams whose opening is an RPC.
        var announced: [PeerState.Announcement] = []
        /// The ping was answered after so many nanoseconds.
        var roundTrip: UInt64?
        /// The session has taken all messages.
        var areMessagesWritten = false
        var messagesWereRefused = false
        /// Bytes of messages that arrived.
        var messageBytes = 0
        /// Something other than pings arrived.
        var isActivity = false
        /// The other side broke the rules. A last flush says so, and the connection ends.
        var failure: ParleyError?
        var needsFlush = false
        /// The part of the node's budget that is not needed any more.
        var releasedBytes = 0
        /// Streams of the other side that were refused.
        var refused: [MuxRefusal] = []

        /// How much would have to wait for a handshake, in bytes: what each stream takes counts too.
        var waitingBytes: Int {
            let openings = (accepted.count + announced.count) * Self.openingBytes
            return announced.reduce(openings) { $0 + $1.header.count }
        }

        private static let openingBytes = 256
    }

    init(isDialer: Bool, limits: MuxLimits = MuxLimits(), rules: Rules = Rules()) {
        session = MuxSession(isDialer: isDialer, limits: limits)
        self.rules = rules
    }

    /// The streams that applications use, for statistics.
    var openCount: Int { count - (messagesOut == nil ? 0 : 1) - (messagesIn == nil ? 0 : 1) }

    /// All streams.
    var all: [Channel] { channels.compactMap { $0 } }

    func channel(_ id: MuxStreamID) -> Channel? {
        guard Int(id.slot) < channels.count, let found = channels[Int(id.slot)], found.id == id else {
            return nil
        }
        return found
    }

    /// The stream with this number, which an RPC has announced.
    func channel(number: UInt32) -> Channel? {
        session.table.slot(of: number).flatMap { channel(MuxStreamID(id: number, slot: $0)) }
    }

    private mutating func add(_ channel: Channel) {
        // The session gives the place of a stream away as soon as that has ended, before it tells of the end.
        if Int(channel.id.slot) < channels.count, let former = channels[Int(channel.id.slot)] {
            remove(former.id)
        }
        while channels.count <= Int(channel.id.slot) { channels.append(nil) }
        channels[Int(channel.id.slot)] = channel
        count += 1
    }

    private mutating func remove(_ id: MuxStreamID) {
        guard let channel = channel(id) else { return }
        if !channel.isOutbound { rules.removed() }
        channels[Int(id.slot)] = nil
        count -= 1
        if channel === messagesOut { messagesOut = nil }
        if channel === messagesIn { messagesIn = nil }
        if count == 0 { channels = [] }
    }
}

// MARK: - From the link

extension Channels {
    /// Takes a block that was read.
    ///
    /// - Parameter frames: how many frames to take at most, about.
    /// - Returns: what is left of the block: it held more frames. Nothing after a failure.
    @discardableResult
    mutating func receive(
        _ block: ArraySlice<UInt8>,
        atMost frames: Int = .max,
        at now: UInt64,
        _ effects: inout Effects
    ) -> ArraySlice<UInt8> {
        var input = block
        session.framesLeft = frames
        do throws(ParleyError) {
            while let event = try session.next(&input, at: now) {
                handle(event, blockBytes: block.count, at: now, &effects)
            }
        } catch {
            effects.failure = error
            return []
        }
        return input
    }

    private mutating func handle(
        _ event: MuxEvent,
        blockBytes: Int,
        at now: UInt64,
        _ effects: inout Effects
    ) {
        switch event {
        case .opened(let id):
            effects.isActivity = true
            // A stream that was reset has left the session, but perhaps not its handler.
            guard taken < session.limits.maxRemoteStreams, rules.admits() else {
                session.abort(id)
                counters.refused &+= 1
                return effects.refused.append(.tooManyStreams)
            }
            counters.received &+= 1
            add(Channel(id, isOutbound: false, .answering(NegotiationListener()), at: now / 1_000_000))
        case .acknowledged: break
        case .data(let id, let bytes):
            effects.isActivity = true
            guard let channel = channel(id) else { return }
            take(bytes, of: channel, blockBytes: blockBytes, at: now, &effects)
        case .finished(let id):
            effects.isActivity = true
            if let channel = channel(id) { finished(channel, &effects) }
        case .reset(let id, let code):
            effects.isActivity = true
            if let channel = channel(id) { reset(channel, code: code, &effects) }
        case .refused(_, let refusal):
            counters.refused &+= 1
            effects.refused.append(refusal)
        case .pong(let roundTrip): effects.roundTrip = roundTrip
        case .goneAway: effects.woken.append(openWaiters.wakeAll())
        }
    }

    /// Takes bytes of a stream.
    private mutating func take(
        _ bytes: ArraySlice<UInt8>,
        of channel: Channel,
        blockBytes: Int,
        at now: UInt64,
        _ effects: inout Effects
    ) {
        var rest = bytes
        while !rest.isEmpty {
            switch channel.phase {
            case .announced, .open, .messages:
                if channel.received.isEmpty { channel.readAt = now / 1_000_000 }
                channel.received.append(rest, keeping: blockBytes)
                heldBytes += rest.count
                if channel === messagesIn { effects.messageBytes += rest.count }
                return effects.woken.append(channel.waiters.wakeAll())
            case .closed: return session.consumed(rest.count, of: channel.id, at: now)
            case .proposing, .abandoned, .answering, .readingHeader:
                let before = rest.count
                do throws(ParleyError) {
                    try negotiate(&rest, of: channel, blockBytes: blockBytes, &effects)
                } catch {
                    return fail(channel, error, &effects)
                }
                session.consumed(before - rest.count, of: channel.id, at: now)
            }
        }
    }

    /// Takes what comes before a protocol's own bytes.
    private mutating func negotiate(
        _ input: inout ArraySlice<UInt8>,
        of channel: Channel,
        blockBytes: Int,
        _ effects: inout Effects
    ) throws(ParleyError) {
        var answer = WireBuffer()
        switch channel.phase {
        case .proposing(var dialer):
            switch try dialer.receive(&input, into: &answer) {
            case .incomplete: channel.phase = .proposing(dialer)
            case .chosen: channel.phase = .open
            case .unsupported:
                throw ParleyError(.unsupported, "\(rules.remote) does not speak \(channel.name)")
            }
        case .abandoned(var dialer):
            guard case .incomplete = try dialer.receive(&input, into: &answer) else {
                channel.phase = .closed
                return session.close(channel.id)
            }
            channel.phase = .abandoned(dialer)
        case .answering(var listener):
            let refused = listener.refused
            // A name costs about as much as a frame.
            defer { session.framesLeft &-= listener.refused &- refused }
            do throws(ParleyError) {
                let name = try listener.receive(&input, isSupported: isSupported, into: &answer)
                try write(answer, to: channel)
                channel.phase = .answering(listener)
                if let name { begin(name, on: channel, &effects) }
            } catch {
                // Behind a name that was refused may come what was written ahead. The answer is still sent.
                _ = try? write(answer, to: channel)
                input = []
                channel.end(error)
                channel.phase = .closed
                session.close(channel.id)
            }
        case .readingHeader(let length):
            guard let header = try takeHeader(length, &input, of: channel, blockBytes: blockBytes) else {
                return
            }
            channel.phase = .announced
            effects.announced.append(.init(header: header, stream: channel.id.id))
        case .announced, .open, .messages, .closed: break
        }
    }

    /// Takes the header of a stream, which arrives in any pieces. What there is of it counts as held.
    ///
    /// - Returns: nil when more has to arrive.
    /// - Throws: `messageTooLong`.
    private mutating func takeHeader(
        _ length: Int?,
        _ input: inout ArraySlice<UInt8>,
        of channel: Channel,
        blockBytes: Int
    ) throws(ParleyError) -> ArraySlice<UInt8>? {
        guard let length else {
            hold(Multiplexed.lengthBytes, of: &input, in: channel, blockBytes: blockBytes)
            guard channel.received.count == Multiplexed.lengthBytes else { return nil }
            let length = takeHeld(channel).reduce(0) { $0 << 8 | Int($1) }
            guard length <= rules.maxHeaderBytes else {
                throw ParleyError(
                    .messageTooLong,
                    "the remote side sent a stream header of \(length) bytes, allowed are "
                        + "\(rules.maxHeaderBytes)"
                )
            }
            channel.phase = .readingHeader(length: length)
            return try takeHeader(length, &input, of: channel, blockBytes: blockBytes)
        }
        hold(length, of: &input, in: channel, blockBytes: blockBytes)
        return channel.received.count == length ? takeHeld(channel) : nil
    }

    /// Keeps bytes from the front of `input` until a stream has `count`.
    private mutating func hold(
        _ count: Int,
        of input: inout ArraySlice<UInt8>,
        in channel: Channel,
        blockBytes: Int
    ) {
        let part = input.prefix(max(0, count - channel.received.count))
        channel.received.append(part, keeping: blockBytes)
        heldBytes += part.count
        input.removeFirst(part.count)
    }

    /// Takes everything that a stream holds, as one piece.
    private mutating func takeHeld(_ channel: Channel) -> ArraySlice<UInt8> {
        heldBytes -= channel.received.count
        let first = channel.received.popFirst() ?? []
        guard !channel.received.isEmpty else { return first }
        var all: [UInt8] = []
        all.reserveCapacity(first.count + channel.received.count)
        all += first
        while let block = channel.received.popFirst() { all += block }
        return all[...]
    }

    /// Resets a stream whose opening cannot wait for the inbox.
    mutating func refuse(_ announcement: PeerState.Announcement) -> WaitQueue.Woken {
        counters.refused &+= 1
        guard let channel = channel(number: announcement.stream) else { return WaitQueue.Woken() }
        let reason = ParleyError(.streamAborted, "too many openings of streams wait for the inbox")
        return abort(channel, code: 0, reason)
    }

    private func isSupported(_ name: String) -> Bool {
        switch name {
        case Multiplexed.messages: messagesIn == nil
        case Multiplexed.stream: true
        default: rules.isSupported(name)
        }
    }

    /// Begins the protocol that the other side has proposed.
    private mutating func begin(_ name: String, on channel: Channel, _ effects: inout Effects) {
        channel.name = name
        // The last place is that of the other side's messages, which may come after any number of streams.
        let isLast = session.remoteStreams >= session.limits.maxRemoteStreams
        guard name == Multiplexed.messages || messagesIn != nil || !isLast else {
            counters.refused &+= 1
            effects.refused.append(.tooManyStreams)
            return fail(channel, ParleyError(.streamAborted, "there are too many streams"), &effects)
        }
        switch name {
        case Multiplexed.messages:
            channel.phase = .messages
            messagesIn = channel
            session.finish(channel.id)
        case Multiplexed.stream: channel.phase = .readingHeader(length: nil)
        default:
            channel.phase = .open
            effects.accepted.append(channel)
        }
    }

    /// Writes an answer, which is small.
    private mutating func write(_ answer: WireBuffer, to channel: Channel) throws(ParleyError) {
        guard !answer.isEmpty else { return }
        guard try session.write(answer.tail[...], to: channel.id) == answer.count else {
            throw ParleyError(.protocolViolation, "the remote side does not read the answers of a stream")
        }
    }

    /// The other side sends no more.
    private mutating func finished(_ channel: Channel, _ effects: inout Effects) {
        guard channel.isNegotiated else {
            return fail(
                channel,
                ParleyError(.truncated, "the stream ended inside the negotiation of its protocol"),
                &effects
            )
        }
        if channel.inputEnd == nil { channel.inputEnd = .finished }
        effects.woken.append(channel.waiters.wakeAll())
    }

    private mutating func reset(_ channel: Channel, code: UInt32, _ effects: inout Effects) {
        if channel === messagesOut, !channel.isNegotiated {
            // A node that does not know them may say so by a reset alone.
            messagesAreRefused(&effects)
        } else if channel === messagesOut || channel === messagesIn {
            effects.failure = ParleyError(
                .protocolViolation,
                "the remote side has reset the stream of \(channel === messagesIn ? "its" : "our") messages"
            )
        }
        channel.end(ParleyError(streamAborted: code, reason: "it was reset"))
        channel.phase = .closed
        drop(channel)
        session.consumed(.max, of: channel.id, at: 0)
        effects.woken.append(channel.waiters.wakeAll())
    }

    /// Ends a stream that cannot go on.
    private mutating func fail(_ channel: Channel, _ reason: ParleyError, _ effects: inout Effects) {
        channel.end(reason)
        channel.phase = .closed
        drop(channel)
        session.abort(channel.id)
        if channel === messagesOut { messagesAreRefused(&effects) }
        effects.woken.append(channel.waiters.wakeAll())
    }

    /// The other side takes no messages. What waits to be sent is dropped.
    private mutating func messagesAreRefused(_ effects: inout Effects) {
        areMessagesRefused = true
        effects.messagesWereRefused = true
        effects.areMessagesWritten = !unwritten.isEmpty
        unwritten.removeAll()
    }

    /// Drops what was not read.
    private mutating func drop(_ channel: Channel) {
        heldBytes -= channel.received.count
        channel.received.removeAll()
    }

    /// The link below delivers no more.
    mutating func endInput(_ reason: ParleyError) -> WaitQueue.Woken {
        guard inputEnd == nil else { return WaitQueue.Woken() }
        inputEnd = reason
        let isOrderly = reason.code == .endOfStream
        let cut = isOrderly ? ParleyError(.truncated, "the connection ended inside a stream") : reason
        var woken = openWaiters.wakeAll()
        for channel in all where channel.inputEnd == nil {
            channel.inputEnd = .failed(cut)
            woken.append(channel.waiters.wakeAll())
        }
        return woken
    }

    /// What ends of every stream with its connection.
    enum Ending {
        /// Nothing more is written; something may still arrive.
        case output
        /// Nothing more arrives either. What did is still read.
        case both
        /// What arrived and was not read is dropped too.
        case bothAtOnce
    }

    /// Ends every stream: the connection ends.
    mutating func end(_ reason: ParleyError, _ what: Ending) -> WaitQueue.Woken {
        if end == nil { end = reason }
        var woken = openWaiters.wakeAll()
        for channel in all {
            switch what {
            case .output: if channel.outputEnd == nil { channel.outputEnd = reason }
            case .both: channel.end(reason)
            case .bothAtOnce:
                channel.end(reason)
                guard channel !== messagesIn else { continue }
                channel.inputEnd = .failed(reason)
                drop(channel)
            }
            woken.append(channel.waiters.wakeAll())
        }
        return woken
    }

    /// Drops everything that was received and not read.
    mutating func dropHeld() {
        for channel in all { channel.received.removeAll() }
        heldBytes = 0
    }
}

// MARK: - Opening, reading, writing

extension Channels {
    /// Opens a stream and proposes its protocol; nil when it has to wait.
    ///
    /// - Throws: `closed`, or why the connection ended.
    mutating func open(_ name: String, at now: UInt64) throws(ParleyError) -> Channel? {
        if let end { throw end }
        if let inputEnd { throw inputEnd }
        guard case .opened(let id) = try session.open(at: now) else { return nil }
        let dialer = NegotiationDialer([name])
        let channel = Channel(id, isOutbound: true, .proposing(dialer), at: now / 1_000_000)
        channel.name = name
        add(channel)
        counters.sent &+= 1
        var proposal = WireBuffer()
        dialer.begin(into: &proposal)
        try write(proposal, to: channel)
        return channel
    }

    enum Read: Equatable {
        case bytes(ArraySlice<UInt8>)
        case end
        case wait
    }

    /// Reads what has arrived of a stream: at least one byte, and at most `limit`.
    mutating func read(_ channel: Channel, upTo limit: Int, at now: UInt64) throws(ParleyError) -> Read {
        if case .announced = channel.phase { channel.phase = .open }
        if let bytes = channel.received.popFirst(upTo: limit) {
            heldBytes -= bytes.count
            channel.readAt = now / 1_000_000
            session.consumed(bytes.count, of: channel.id, at: now)
            return .bytes(bytes)
        }
        switch channel.inputEnd {
        case .finished: return .end
        case .failed(let reason): throw reason
        case nil: return .wait
        }
    }

    /// Whether a read would return at once.
    func isReadable(_ channel: Channel) -> Bool { !channel.received.isEmpty || channel.inputEnd != nil }

    /// Writes to a stream.
    ///
    /// - Parameter takeChunk: takes a chunk of the node's budget, if there is one, for a connection that has
    ///   reserved so much.
    /// - Returns: how many bytes from the front are accepted.
    mutating func write(
        _ bytes: ArraySlice<UInt8>,
        to channel: Channel,
        takeChunk: (_ reserved: Int) -> Bool = { _ in true }
    ) throws(ParleyError) -> Int {
        if let end = channel.outputEnd { throw end }
        while session.unsentBytes + bytes.count > reservedBytes, takeChunk(reservedBytes) {
            reservedBytes += SendBudget.chunkBytes
        }
        let affordable = bytes.prefix(max(0, reservedBytes - session.unsentBytes))
        let taken = try session.write(affordable, to: channel.id)
        if taken == affordable.count, taken < bytes.count, !lackBudget.contains(channel) {
            lackBudget.append(channel)
        }
        return taken
    }

    /// Whether writers wait for the node's budget.
    var isShortOfBudget: Bool { !lackBudget.isEmpty }

    /// It is this connection's turn for a chunk of the node's budget. When there is none for it, what was
    /// written has to go first.
    mutating func budgetHasRoom(takeChunk: (_ reserved: Int) -> Bool) -> WaitQueue.Woken {
        guard isShortOfBudget, end == nil, takeChunk(reservedBytes) else { return WaitQueue.Woken() }
        reservedBytes += SendBudget.chunkBytes
        return wakeWhoLacksBudget()
    }

    private mutating func wakeWhoLacksBudget() -> WaitQueue.Woken {
        var woken = WaitQueue.Woken()
        for channel in lackBudget {
            channel.blockedSince = .max
            woken.append(channel.waiters.wakeAll())
        }
        lackBudget = []
        return woken
    }

    /// Gives the part of the node's budget back that is not needed. Returns how much that is.
    mutating func releaseUnneeded() -> Int {
        let needed = end == nil ? max(SendBudget.freeBytes, session.unsentBytes) : SendBudget.freeBytes
        guard reservedBytes >= needed + SendBudget.chunkBytes || end != nil else { return 0 }
        defer { reservedBytes = needed }
        return max(0, reservedBytes - needed)
    }

    /// Whether a write would accept a byte, or throw at once.
    func isWritable(_ channel: Channel) -> Bool {
        channel.outputEnd != nil || (room(in: channel) > 0 && !lackBudget.contains(channel))
    }

    /// How many bytes a write would accept.
    func room(in channel: Channel) -> Int { channel.outputEnd == nil ? session.room(in: channel.id) : 0 }

    /// Sends no more on a stream.
    mutating func finish(_ channel: Channel) throws(ParleyError) {
        if let end = channel.outputEnd {
            if end.code == .closed { return }
            throw end
        }
        channel.outputEnd = ParleyError(.closed, "this side has ended the stream")
        session.finish(channel.id)
    }

    /// Ends a stream for this side: what was written is sent, and nothing more is read.
    mutating func close(_ channel: Channel) -> WaitQueue.Woken {
        switch channel.phase {
        case .closed, .abandoned: return WaitQueue.Woken()
        case .proposing(let dialer) where end == nil:
            // The answer to the proposal is no data that nobody reads: the stream need not be reset for it.
            channel.phase = .abandoned(dialer)
            session.finish(channel.id)
        default:
            channel.phase = .closed
            // The end of the connection says it for all.
            if end == nil { session.close(channel.id) }
        }
        channel.end(ParleyError(.closed, "this side has closed the stream"))
        drop(channel)
        return channel.waiters.wakeAll()
    }

    /// Somebody refers to a stream.
    mutating func retain(_ channel: Channel) {
        if channel.handles == 0, !channel.isOutbound { taken += 1 }
        channel.handles += 1
    }

    /// Somebody refers to a stream no more.
    mutating func release(_ channel: Channel) -> WaitQueue.Woken {
        channel.handles -= 1
        guard channel.handles == 0 else { return WaitQueue.Woken() }
        if !channel.isOutbound { taken -= 1 }
        return abandon(channel)
    }

    /// Ends a stream that nobody refers to any more. What is not finished is reset.
    mutating func abandon(_ channel: Channel) -> WaitQueue.Woken {
        guard channel.outputEnd == nil else { return close(channel) }
        return abort(channel, code: 0, ParleyError(.streamAborted, "this side has released the stream"))
    }

    /// Resets a stream. Both sides get an error.
    mutating func abort(_ channel: Channel, code: UInt32, _ reason: ParleyError) -> WaitQueue.Woken {
        if case .closed = channel.phase { return WaitQueue.Woken() }
        channel.inputEnd = .failed(reason)
        channel.outputEnd = reason
        channel.phase = .closed
        drop(channel)
        if end == nil { session.abort(channel.id, code: code) }
        return channel.waiters.wakeAll()
    }
}

// MARK: - Messages

extension Channels {
    /// Takes messages that are encoded. They wait here for the session.
    ///
    /// - Returns: whether the session has taken all of them.
    mutating func write(messages buffer: WireBuffer, at now: UInt64) throws(ParleyError) -> Bool {
        guard !areMessagesRefused else { return true }
        for segment in buffer.segments { unwritten.append(segment) }
        unwritten.append(buffer.tail[...])
        return try pushMessages(at: now)
    }

    /// Lets the session take messages. Returns whether it has all of them.
    private mutating func pushMessages(at now: UInt64) throws(ParleyError) -> Bool {
        guard !unwritten.isEmpty else { return true }
        if messagesOut == nil { messagesOut = try open(Multiplexed.messages, at: now) }
        guard let messagesOut else { return false }
        while let block = unwritten.popFirst() {
            let taken = try session.write(block, to: messagesOut.id)
            guard taken == block.count else {
                unwritten.prepend(block.dropFirst(taken))
                return false
            }
        }
        return true
    }

    /// Takes a block of the other side's messages, which is consumed now.
    mutating func takeMessages(at now: UInt64) -> ArraySlice<UInt8>? {
        guard let messagesIn, let block = messagesIn.received.popFirst() else { return nil }
        heldBytes -= block.count
        session.consumed(block.count, of: messagesIn.id, at: now)
        return block
    }

    var hasMessages: Bool { messagesIn?.received.isEmpty == false }

    /// Whether the input ended inside a frame.
    var isCutOff: Bool { session.isInsideFrame }
}

// MARK: - What follows

extension Channels {
    /// Performs what follows from the calls so far.
    mutating func settle(at now: UInt64, _ effects: inout Effects) {
        while let notice = session.nextNotice() {
            switch notice {
            case .room(let id):
                guard let channel = channel(id) else { continue }
                if channel === messagesOut {
                    pushMessages(at: now, &effects)
                } else {
                    channel.blockedSince = .max
                    effects.woken.append(channel.waiters.wakeAll())
                }
            case .ended(let id): remove(id)
            case .openable:
                if messagesOut == nil { pushMessages(at: now, &effects) }
                effects.woken.append(openWaiters.wakeAll())
            }
        }
        if !lackBudget.isEmpty, session.unsentBytes <= reservedBytes / 2 {
            effects.woken.append(wakeWhoLacksBudget())
        }
        effects.releasedBytes += releaseUnneeded()
        if !isFlushRequested, session.hasFrames {
            isFlushRequested = true
            effects.needsFlush = true
        }
    }

    private mutating func pushMessages(at now: UInt64, _ effects: inout Effects) {
        guard !unwritten.isEmpty else { return }
        do throws(ParleyError) {
            if try pushMessages(at: now) { effects.areMessagesWritten = true }
        } catch { effects.failure = effects.failure ?? error }
    }

    /// Appends about `limit` bytes of frames.
    ///
    /// - Returns: whether they are more than pings.
    @discardableResult
    mutating func takeFrames(into output: inout WireBuffer, upTo limit: Int, at now: UInt64) -> Bool {
        let isActivity = session.table.firstSender != nil || !session.control.isOnlyPings
        session.takeFrames(into: &output, upTo: limit, at: now)
        if output.isEmpty { isFlushRequested = false }
        return isActivity
    }

    /// Whether the other side has said an orderly goodbye, which comes behind everything it sends.
    var hasRemoteSaidGoodbye: Bool { session.remoteGoAway == .normal && !session.isInsideFrame }

    /// Whether everything is written that the other side still takes.
    var isDrained: Bool {
        inputEnd == nil ? session.isDrained && unwritten.isEmpty : !session.hasFrames
    }

    /// Ends the session in an orderly way, behind everything that waits.
    mutating func sayGoodbye() {
        if let messagesOut { session.finish(messagesOut.id) }
        session.goAway(.normal)
    }
}

// MARK: - Time

extension Channels {
    /// The time-outs of streams, in milliseconds.
    struct TimeLimits: Sendable {
        /// How long the negotiation of a protocol may take.
        var negotiation: UInt64
        /// How long what has arrived may stay unread.
        var unread: UInt64?
        /// How long a writer may wait for room.
        var write: UInt64?

        /// How long a stream that this side has closed may stay open on the other side.
        var closed: UInt64 { unread ?? 60_000 }
        /// The earliest time after something has happened at which anything may be due.
        var shortest: UInt64 { min(negotiation, closed) }
    }

    /// Ends the streams whose time is over, and wakes writers that wait for too long. Returns when to check
    /// again; `.max` for never. Times are milliseconds.
    mutating func checkTimeouts(at now: UInt64, _ limits: TimeLimits, _ effects: inout Effects) -> UInt64 {
        var next = UInt64.max
        for channel in all {
            if let write = limits.write, channel.blockedSince != .max {
                let due = channel.blockedSince &+ write
                if now >= due { effects.woken.append(channel.waiters.wakeAll()) }
                next = min(next, due > now ? due : now &+ max(10, write / 4))
            }
            guard let limit = channel.timeLimit(limits) else { continue }
            let due = channel.readAt &+ limit
            guard now >= due else {
                next = min(next, due)
                continue
            }
            let what =
                switch channel.phase {
                case .proposing, .abandoned, .answering, .readingHeader: "agreed on no protocol"
                case .announced, .open, .messages: "was not read"
                case .closed: "was not ended by the other side"
                }
            let reason = ParleyError(.timedOut, "a stream of \(rules.remote) \(what) for \(limit) ms")
            if case .closed = channel.phase { session.abort(channel.id) }
            effects.woken.append(abort(channel, code: 0, reason))
        }
        return next
    }
}

extension Channel {
    /// How long the stream may stay as it is; nil when that has no limit.
    fileprivate func timeLimit(_ limits: Channels.TimeLimits) -> UInt64? {
        switch phase {
        case .proposing, .abandoned, .answering, .readingHeader: limits.negotiation
        case .announced: limits.unread
        case .open: received.isEmpty ? nil : limits.unread
        case .messages: nil
        case .closed: limits.closed
        }
    }
}
