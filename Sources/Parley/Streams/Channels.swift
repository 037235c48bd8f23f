/// The streams of one connection: the yamux session, and what each stream has received. Bytes in, effects
/// out; calls in, frames out. It has no sockets, clocks or threads. Times are nanoseconds of one clock.
///
/// A value for tests, and guarded by the lock of its ``MultiplexedLink``. What streams receive, write or end
/// may leave notices of the session: ``settle(at:_:)`` performs what follows from them, before the lock is
/// released (`MultiplexedLink.change`). What may be called is in the files beside this one.
struct Channels {
    var session: MuxSession
    private(set) var rules: Rules
    /// By the session's place of the stream.
    var channels: [Channel?] = []
    var count = 0
    /// Streams of the other side that a handler has. They may have ended.
    var taken = 0
    /// The received and unread bytes of all streams in the table.
    private(set) var heldBytes = 0
    /// The streams that hold a small part of the block that was read last.
    var borrowers: [Channel] = []
    /// The size of that block.
    var lenderBytes = 0
    /// What of ``heldBytes`` the node has counted.
    var accounted = 0
    /// The stream of this side's messages, and of the other's.
    var messagesOut: Channel?
    var messagesIn: Channel?
    /// Messages that the session has not taken yet.
    var unwritten = ByteQueue()
    /// Messages are not sent yet, and their owner waits for that.
    var areMessagesOwed = false
    /// The other side does not take messages.
    var areMessagesRefused = false
    /// How many bytes of streams may be unsent without more of the node's budget.
    var reservedBytes = SendBudget.freeBytes
    /// The streams whose writers were woken when this connection had its turn and took a chunk. It is kept
    /// until one of them writes: some ask for room first.
    var grantedTo: [Channel] = []
    /// Streams whose writers wait for the budget.
    var lackBudget: [Channel] = []
    /// Who waits to open a stream.
    var openWaiters = WaitQueue()
    /// Why no stream can be used any more.
    var end: ParleyError?
    /// Why nothing more arrives.
    var inputEnd: ParleyError?
    var isFlushRequested = false
    var counters = Counters()

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

    struct Counters: Sendable {
        var received: UInt64 = 0
        var sent: UInt64 = 0
        /// Streams of the other side that were reset.
        var refused = StreamRefusals()
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
        /// Why the other side takes no messages, or no more. Those that were not sent are dropped.
        var messagesRefused: ParleyError?
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
        session.keptWindows = messageStreamsToCome
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

    mutating func add(_ channel: Channel) {
        // The session gives the place of a stream away as soon as that has ended, before it tells of the end.
        if Int(channel.id.slot) < channels.count, let former = channels[Int(channel.id.slot)] {
            remove(former.id)
        }
        while channels.count <= Int(channel.id.slot) { channels.append(nil) }
        channels[Int(channel.id.slot)] = channel
        count += 1
    }

    /// Adds to ``heldBytes`` what a stream holds more, or less when negative. A stream that has left the
    /// table does not count: its reader alone holds what it puts back.
    mutating func countHeld(_ bytes: Int, of channel: Channel) {
        if self.channel(channel.id) === channel { heldBytes += bytes }
    }

    /// The rank of this connection when one has to be dropped: of each stream its bytes, times the time for
    /// which nothing of it was read. Reading one stream says nothing about the others. In milliseconds.
    func weight(at now: UInt64) -> UInt64 {
        guard heldBytes > 0 else { return 0 }
        return channels.reduce(0) { sum, channel in
            guard let channel, !channel.received.isEmpty else { return sum }
            let since = channel.isNegotiated ? channel.readAt : channel.openedAt
            let weight = HeldBytes(bytes: channel.received.count, since: since).weight(at: now)
            return weight > .max - sum ? .max : sum + weight
        }
    }

    mutating func remove(_ id: MuxStreamID) {
        guard let channel = channel(id) else { return }
        countHeld(-channel.received.count, of: channel)
        if !channel.isOutbound { rules.removed() }
        channels[Int(id.slot)] = nil
        count -= 1
        if channel === messagesOut { messagesOut = nil }
        if channel === messagesIn { messagesIn = nil }
        if count == 0 { channels = [] }
    }

    /// The link below is closed: no stream counts for the node any more, whoever still keeps it.
    mutating func linkIsClosed() {
        for channel in all where !channel.isOutbound { rules.removed() }
        rules.removed = {}
    }
}

// MARK: - What follows

extension Channels {
    /// Performs what follows from the calls so far.
    mutating func settle(at now: UInt64, _ effects: inout Effects) {
        session.keptWindows = messageStreamsToCome
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
        if !lackBudget.isEmpty, unsentStreamBytes <= reservedBytes / 2 {
            effects.woken.append(wakeWhoLacksBudget())
        }
        effects.releasedBytes += releaseUnneeded()
        if !isFlushRequested, session.hasFrames {
            isFlushRequested = true
            effects.needsFlush = true
        }
    }

    mutating func pushMessages(at now: UInt64, _ effects: inout Effects) {
        guard !unwritten.isEmpty else { return }
        do throws(ParleyError) {
            try pushMessages(at: now)
        } catch { effects.failure = effects.failure ?? error }
    }

    /// What ``takeFrames(into:upTo:at:)`` has appended.
    struct TakenFrames {
        /// They are more than pings.
        let isActivity: Bool
        /// Nothing is left to send of the messages that their owner waits for.
        let endsMessages: Bool
    }

    /// Appends about `limit` bytes of frames.
    @discardableResult
    mutating func takeFrames(into output: inout WireBuffer, upTo limit: Int, at now: UInt64) -> TakenFrames {
        let isActivity = session.table.hasSenders || !session.control.isOnlyPings
        session.takeFrames(into: &output, upTo: limit, at: now)
        if output.isEmpty { isFlushRequested = false }
        let endsMessages = areMessagesOwed && areMessagesOver
        if endsMessages { areMessagesOwed = false }
        return TakenFrames(isActivity: isActivity, endsMessages: endsMessages)
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
