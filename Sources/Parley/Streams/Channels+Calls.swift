// What a program does with streams: opening, reading, writing, ending.

extension Channels {
    /// Opens a stream and proposes its protocol; nil when it has to wait.
    ///
    /// - Throws: `closed`, or why the connection ended.
    mutating func open(_ name: String, at now: UInt64) throws(ParleyError) -> Channel? {
        let isOfMessages = name == Multiplexed.messages
        // What was accepted before an orderly end is still sent, and a side that has said all may still read:
        // either may be the first message.
        if !isOfMessages, let reason = end ?? inputEnd { throw reason }
        guard case .opened(let id) = try session.open(at: now, intoKept: isOfMessages) else { return nil }
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
            countHeld(-bytes.count, of: channel)
            channel.readAt = now / 1_000_000
            session.consumed(bytes.count - channel.takePutBack(bytes.count), of: channel.id, at: now)
            return .bytes(bytes)
        }
        switch channel.inputEnd {
        case .finished: return .end
        case .failed(let reason): throw reason
        case nil: return .wait
        }
    }

    /// Puts bytes that a read has returned back in front of what has arrived. Drops them when the stream is
    /// no longer read.
    mutating func putBack(_ bytes: ArraySlice<UInt8>, to channel: Channel, at now: UInt64) {
        guard case .open = channel.phase, !bytes.isEmpty else { return }
        channel.putBack(bytes)
        channel.readAt = now / 1_000_000
        countHeld(bytes.count, of: channel)
    }

    /// Whether a read would return something new: more than what was put back.
    func isReadable(_ channel: Channel) -> Bool { channel.hasUnread || channel.inputEnd != nil }

    /// Writes to a stream.
    ///
    /// - Parameter takeChunk: as of ``room(for:in:takeChunk:)``.
    /// - Returns: how many bytes from the front are accepted.
    mutating func write(
        _ bytes: ArraySlice<UInt8>,
        to channel: Channel,
        takeChunk: (_ reserved: Int) -> Bool = { _ in true }
    ) throws(ParleyError) -> Int {
        let room = try room(for: bytes.count, in: channel, takeChunk: takeChunk)
        if grantedTo.contains(channel) { grantedTo = [] }
        guard room > 0 else { return 0 }
        return try session.write(bytes.prefix(room), to: channel.id)
    }

    /// How many of `count` bytes a write accepts now. When they are not all, the stream's waiters are woken
    /// once there is more room.
    ///
    /// - Parameter takeChunk: takes a chunk of the node's budget, if there is one, for a connection that has
    ///   reserved so much.
    /// - Throws: as a write.
    mutating func room(
        for count: Int,
        in channel: Channel,
        takeChunk: (_ reserved: Int) -> Bool
    ) throws(ParleyError) -> Int {
        if let end = channel.outputEnd { throw end.error }
        let room = try session.room(for: count, in: channel.id)
        let unsent = unsentStreamBytes
        while unsent + room > reservedBytes, takeChunk(reservedBytes) {
            reservedBytes += SendBudget.chunkBytes
        }
        let affordable = min(room, max(0, reservedBytes - unsent))
        if affordable < room, !lackBudget.contains(channel) { lackBudget.append(channel) }
        return affordable
    }

    /// Whether writers wait for the node's budget.
    var isShortOfBudget: Bool { !lackBudget.isEmpty }

    /// It is this connection's turn for a chunk of the node's budget.
    ///
    /// - Returns: whom to wake, and what is reserved when the writers have to wait for another turn; nil when
    ///   they need not.
    mutating func budgetHasRoom(
        takeChunk: (_ reserved: Int) -> Bool
    ) -> (WaitQueue.Woken, stillShort: Int?) {
        guard isShortOfBudget, end == nil else { return (WaitQueue.Woken(), nil) }
        guard takeChunk(reservedBytes) else { return (WaitQueue.Woken(), reservedBytes) }
        reservedBytes += SendBudget.chunkBytes
        grantedTo = lackBudget
        return (wakeWhoLacksBudget(), nil)
    }

    mutating func wakeWhoLacksBudget() -> WaitQueue.Woken {
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
        let unsent = unsentStreamBytes
        // Nobody waits for a chunk when everything is sent.
        if end != nil || unsent == 0 { grantedTo = [] }
        let granted = grantedTo.isEmpty ? 0 : SendBudget.chunkBytes
        let needed = end == nil ? max(SendBudget.freeBytes, unsent + granted) : SendBudget.freeBytes
        let isIdle = needed == SendBudget.freeBytes
        guard reservedBytes >= needed + SendBudget.chunkBytes || isIdle else { return 0 }
        defer { reservedBytes = needed }
        return max(0, reservedBytes - needed)
    }

    /// Whether a write would accept a byte, or throw at once. When not, the stream's waiters are woken once
    /// there is room.
    mutating func isWritable(_ channel: Channel) -> Bool {
        guard channel.outputEnd == nil, let room = try? session.room(for: 1, in: channel.id) else {
            return true
        }
        return room > 0 && !lackBudget.contains(channel)
    }

    /// Sends no more on a stream. Those who wait for room hear that there will be none.
    mutating func finish(_ channel: Channel) throws(ParleyError) -> WaitQueue.Woken {
        switch channel.outputEnd {
        case .finished, .closed: return WaitQueue.Woken()
        case .failed(let reason): throw reason
        case nil: break
        }
        channel.outputEnd = .finished
        session.finish(channel.id)
        return channel.waiters.wakeAll()
    }

    /// Ends a stream for this side: what was written is sent, and nothing more is read.
    mutating func close(_ channel: Channel, at now: UInt64) -> WaitQueue.Woken {
        switch channel.phase {
        case .closed, .abandoned: return WaitQueue.Woken()
        case .proposing(let dialer) where end == nil:
            // The answer to the proposal is no data that nobody reads: the stream need not be reset for it.
            channel.phase = .abandoned(dialer)
            session.finish(channel.id)
        default:
            channel.phase = .closed
            channel.readAt = now / 1_000_000
            channel.unsentBytes = session.unsentBytes(of: channel.id)
            // The end of the connection says it for all.
            if end == nil { session.close(channel.id) }
        }
        channel.close()
        drop(channel)
        return channel.waiters.wakeAll()
    }

    /// The stream of this number, which an RPC has announced, is its reader's from now on. Nil when it is
    /// gone.
    mutating func takeBody(_ number: UInt32, at now: UInt64) -> Channel? {
        guard let channel = channel(number: number) else { return nil }
        if case .announced = channel.phase {
            channel.phase = .open
            channel.readAt = now / 1_000_000
        }
        return channel
    }

    /// Somebody refers to a stream.
    mutating func retain(_ channel: Channel) {
        if channel.handles == 0, !channel.isOutbound { taken += 1 }
        channel.handles += 1
    }

    /// Somebody refers to a stream no more.
    mutating func release(_ channel: Channel, at now: UInt64) -> WaitQueue.Woken {
        channel.handles -= 1
        guard channel.handles == 0 else { return WaitQueue.Woken() }
        if !channel.isOutbound { taken -= 1 }
        return abandon(channel, at: now)
    }

    /// Ends a stream that nobody refers to any more. What is not finished is reset.
    mutating func abandon(_ channel: Channel, at now: UInt64) -> WaitQueue.Woken {
        guard channel.outputEnd == nil else { return close(channel, at: now) }
        return abort(channel, code: 0, ParleyError(.streamAborted, "this side has released the stream"))
    }

    /// Resets a stream. Both sides get an error.
    mutating func abort(_ channel: Channel, code: UInt32, _ reason: ParleyError) -> WaitQueue.Woken {
        if case .closed = channel.phase { return WaitQueue.Woken() }
        channel.inputEnd = .failed(reason)
        channel.outputEnd = .failed(reason)
        channel.phase = .closed
        drop(channel)
        if end == nil { session.abort(channel.id, code: code) }
        return channel.waiters.wakeAll()
    }
}
