// What streams do, without waiting. Any thread.

extension MultiplexedLink {
    /// Opens a stream; nil when that has to wait until the returned epoch of `openWaiters` is over.
    func open(_ name: String) throws(ParleyError) -> (Channel?, epoch: UInt) {
        let result = try change { (channels, now) throws(ParleyError) in
            (try channels.open(name, at: now), epoch: channels.openWaiters.epoch)
        }
        if result.0 != nil { startTimeouts() }
        return result
    }

    /// Reads what has arrived. To wait for more: ``wait(for:after:)``.
    func read(_ channel: Channel, upTo count: Int) throws(ParleyError) -> (Channels.Read, epoch: UInt) {
        try change { (channels, now) throws(ParleyError) in
            (try channels.read(channel, upTo: count, at: now), epoch: channel.waiters.epoch)
        }
    }

    /// Writes what there is room for. To wait for more: ``wait(for:after:)``.
    ///
    /// - Parameter number: that of the connection, which waits for the node's budget.
    func write(
        _ bytes: ArraySlice<UInt8>,
        to channel: Channel,
        of number: UInt64
    ) throws(ParleyError) -> (taken: Int, epoch: UInt) {
        try whileWriting(bytes.count, to: channel, of: number) { (channels) throws(ParleyError) in
            try channels.write(bytes, to: channel) { node.sendBudget.takeChunk(reserved: $0) }
        }
    }

    /// How many of `count` bytes a write accepts now, for callers that have to copy them. As
    /// ``write(_:to:of:)``.
    func room(
        for count: Int,
        in channel: Channel,
        of number: UInt64
    ) throws(ParleyError) -> (Int, epoch: UInt) {
        try whileWriting(count, to: channel, of: number) { (channels) throws(ParleyError) in
            try channels.room(for: count, in: channel) { node.sendBudget.takeChunk(reserved: $0) }
        }
    }

    /// Calls `body`, and has the writer woken when it says that there is no room for all of `count` bytes.
    @inline(never)
    private func whileWriting(
        _ count: Int,
        to channel: Channel,
        of number: UInt64,
        _ body: (inout Channels) throws(ParleyError) -> Int
    ) throws(ParleyError) -> (Int, epoch: UInt) {
        var (startsTimer, lacksBudget, reserved) = (false, false, 0)
        let result = try change { (channels, now) throws(ParleyError) in
            let wasShort = channels.isShortOfBudget
            let room = try body(&channels)
            lacksBudget = !wasShort && channels.isShortOfBudget
            reserved = channels.reservedBytes
            if room < count {
                startsTimer = channel.blockedSince == .max
                // Room for a part of it is progress.
                if startsTimer || room > 0 { channel.blockedSince = now / 1_000_000 }
            }
            return (room, epoch: channel.waiters.epoch)
        }
        if lacksBudget { node.sendBudget.enqueue(number, reserved: reserved) }
        if startsTimer, let timeout = node.timeLimits.write {
            checkTimeouts(by: MonotonicTime.millisecondsNow &+ timeout)
        }
        return result
    }

    /// It is this connection's turn for a chunk of the node's budget.
    ///
    /// - Returns: what its streams have reserved when they wait for more; otherwise nil.
    func budgetHasRoom() -> Int? {
        let (woken, stillShort) = channels.withLock { channels in
            channels.budgetHasRoom { node.sendBudget.takeChunk(reserved: $0) }
        }
        woken.resume()
        return stillShort
    }

    /// Suspends until something has happened to the stream since `epoch`. Returns false when the task was
    /// cancelled.
    func wait(for channel: Channel, after epoch: UInt) async -> Bool {
        await channels.wait(at: channel, unless: { _ in channel.waiters.epoch != epoch })
    }

    /// Throws when a writer that has waited since `began`, in milliseconds, has found no room for too long.
    func checkBlocked(_ channel: Channel, since began: UInt64) throws(ParleyError) {
        guard let timeout = node.timeLimits.write else { return }
        let now = MonotonicTime.millisecondsNow
        let isTooLong = channels.withLock { _ in
            // There may be none since a call that did not wait.
            let since = max(began, channel.blockedSince)
            return since != .max && now.since(since) >= timeout
        }
        guard isTooLong else { return }
        throw ParleyError(.timedOut, "there was no room to write to a stream for \(timeout) ms")
    }

    /// Schedules a check of the streams' time-outs, after a stream was opened or closed.
    func startTimeouts() {
        checkTimeouts(by: MonotonicTime.millisecondsNow &+ timeLimits.shortest)
    }
}

extension Channel: WaitPlace {
    @inline(__always)
    func change<Result>(_ channels: inout Channels, _ body: (inout WaitQueue) -> Result) -> Result {
        body(&waiters)
    }
}

extension Channel: Hashable {
    static func == (one: Channel, other: Channel) -> Bool { one === other }

    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}
