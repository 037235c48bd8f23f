// From send to the link. Any thread, except where it says the loop's.

extension Connection: Peer {
    /// See ``Peer/trySend(_:)-(ArraySlice<UInt8>)``.
    public func trySend(_ bytes: ArraySlice<UInt8>) throws(ParleyError) -> Bool { try submit(bytes) == nil }

    /// See ``Peer/trySend(message:)-(ArraySlice<UInt8>)``.
    public func trySend(message: ArraySlice<UInt8>) throws(ParleyError) -> Bool {
        try submit(message: message) == nil
    }

    /// See ``Peer/sendWhenPossible(_:)``.
    public func sendWhenPossible(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        try await untilAccepted { (isCounted) throws(ParleyError) in try submit(bytes, isCounted: isCounted) }
    }

    /// See ``Peer/sendWhenPossible(message:)``.
    public func sendWhenPossible(message: ArraySlice<UInt8>) async throws(ParleyError) {
        try await untilAccepted { (isCounted) throws(ParleyError) in
            try submit(message: message, isCounted: isCounted)
        }
    }

    /// Waits and submits until that is accepted; the first refusal was counted a moment ago.
    private func untilAccepted(
        _ submit: (_ isCounted: Bool) throws(ParleyError) -> UInt?
    ) async throws(ParleyError) {
        var refused = try submit(false)
        while let epoch = refused {
            try await waitToSend(since: epoch)
            refused = try submit(true)
        }
    }

    /// Sends raw bytes if that is possible now; otherwise returns what to pass to ``waitToSend(since:)``.
    ///
    /// - Parameter isCounted: false for one that was refused, and counted, a moment ago.
    func submit(_ bytes: ArraySlice<UInt8>, isCounted: Bool = true) throws(ParleyError) -> UInt? {
        try accept(.raw, isCounted: isCounted) { (outbound) throws(ParleyError) in
            try outbound.encode { (_, buffer) throws(ParleyError) in buffer.append(bytes) }
        }
    }

    /// The same for a message.
    func submit(message: ArraySlice<UInt8>, isCounted: Bool = true) throws(ParleyError) -> UInt? {
        guard message.count <= node.bounds.maxMessageBytes else { throw tooLong(message.count) }
        return try accept(.message, isCounted: isCounted) { (outbound) throws(ParleyError) in
            try outbound.encode { (encoder, buffer) throws(ParleyError) in
                try encoder.encode(message: message, into: &buffer)
            }
        }
    }

    /// The same for bytes that are only lent.
    func submit(message: Span<UInt8>) throws(ParleyError) -> UInt? {
        guard message.count <= node.bounds.maxMessageBytes else { throw tooLong(message.count) }
        return try accept(.message) { (outbound) throws(ParleyError) in
            try outbound.encode { (encoder, buffer) throws(ParleyError) in
                try encoder.encode(message: message, into: &buffer)
            }
        }
    }

    private func tooLong(_ count: Int) -> ParleyError {
        ParleyError(
            .messageTooLong,
            "a message of \(count) bytes is over the limit of \(node.bounds.maxMessageBytes)"
        )
    }

    /// What a send is made of, since an open stream keeps messages and other streams waiting.
    enum Kind { case raw, message, streamOpening, streamBytes(of: UInt64) }

    /// Lets `append` add to what is to be written, if it is its turn and there is room. Never suspends: a send that
    /// does not have to wait is an ordinary call.
    ///
    /// `append` runs under the lock, whole: that is what keeps concurrent sends from interleaving.
    ///
    /// - Returns: nil when it was accepted, otherwise what to pass to ``waitToSend(since:)`` before trying again.
    @inline(__always)
    func accept(
        _ kind: Kind,
        isCounted: Bool = true,
        _ append: (inout Outbound) throws(ParleyError) -> Void
    ) throws(ParleyError) -> UInt? {
        let (epoch, needsFlush) = try outbound.withLock { outbound throws(ParleyError) -> (UInt?, Bool) in
            if let reason = outbound.life.reason { throw reason }
            try checkDeadline(outbound.writeDeadline, "sending")
            let isTurn = try isTurn(kind, openStream: outbound.openStream)
            guard isTurn, hasRoom(&outbound) else {
                outbound.awaitsTurn = !isTurn
                if isCounted { outbound.counters.waits &+= 1 }
                return (outbound.senders.epoch, false)
            }
            try append(&outbound)
            if outbound.unwrittenBytes > outbound.reservedBytes { chargeRest(&outbound) }
            switch kind {
            case .message: outbound.counters.messages &+= 1
            case .streamOpening:
                outbound.counters.streams &+= 1
                outbound.openStream = outbound.counters.streams
            case .raw, .streamBytes: break
            }
            writeDirectly(&outbound)
            return (nil, outbound.requestFlush())
        }
        if needsFlush { loop.atEndOfTurn(self) }
        return epoch
    }

    /// More than this is left to the loop.
    private static let directBytes = 4_096

    /// Writes what was appended from the sender's own thread, when it answers something and nothing else waits: the way to
    /// the loop and back costs more than the write. Whoever sends without being answered gathers on the loop instead.
    ///
    /// Under the lock, so that nothing can overtake it; the call does not block.
    private func writeDirectly(_ outbound: inout Outbound) {
        guard let socket = outbound.socket, !outbound.isFlushRequested,
            outbound.unwrittenBytes == outbound.buffer.count, outbound.buffer.count <= Self.directBytes,
            !loop.isCurrent, hasReceived.exchange(false, ordering: .relaxed)
        else { return }
        let written = outbound.buffer.writeDirectly(to: socket)
        outbound.unwrittenBytes &-= written
        outbound.counters.bytes &+= UInt64(written)
    }

    private func isTurn(_ kind: Kind, openStream: UInt64) throws(ParleyError) -> Bool {
        switch kind {
        case .raw: return true
        case .message, .streamOpening: return openStream == 0
        case .streamBytes(let stream):
            guard stream == openStream else {
                throw ParleyError(.closed, "the stream to \(remoteAddress) is finished")
            }
            return true
        }
    }

    /// Waits until there is room again, or something else has changed.
    ///
    /// - Throws: `timedOut` when there has been no room for ``Timeouts/write``; `cancelled`.
    func waitToSend(since epoch: UInt) async throws(ParleyError) {
        let began = noteBlocked()
        guard await outbound.wait(in: \.senders, unless: { $0.senders.epoch != epoch }) else {
            throw .cancelled("sending to \(remoteAddress)")
        }
        if let began { try checkBlocked(since: began) }
    }

    /// Notes that there is no room, if that is why a sender waits; returns when that was, if it is to give up some time.
    func noteBlocked() -> UInt64? {
        guard let timeout = node.options.timeouts.write?.inMilliseconds else { return nil }
        let now = MonotonicTime.millisecondsNow
        let isNews: Bool? = outbound.withLock { outbound in
            guard outbound.life.reason == nil, !hasRoom(&outbound) else { return nil }
            defer { outbound.blockedSince = min(outbound.blockedSince, now) }
            return outbound.blockedSince == .max
        }
        guard let isNews else { return nil }
        if isNews { loop.perform { [self] in context.timers.look(at: self, by: now &+ timeout) } }
        return now
    }

    func checkBlocked(since began: UInt64) throws(ParleyError) {
        guard let timeout = node.options.timeouts.write else { return }
        let now = MonotonicTime.millisecondsNow
        let isTooLong = outbound.withLock { outbound in
            let since = outbound.blockedSince
            guard outbound.life.reason == nil, since != .max else { return false }
            // Whoever noticed it meanwhile may have looked at the clock later than this did.
            return now &- min(now, max(began, since)) >= timeout.inMilliseconds
        }
        guard isTooLong else { return }
        throw ParleyError(.timedOut, "there was no room to send to \(remoteAddress) for \(timeout)")
    }
}

// MARK: - The loop's side

extension Connection: EndOfTurn {
    /// At most this many writes in one turn, so that a fast sender leaves room for the other peers.
    private static let writesPerTurn = 4

    func turnEnds() { flush() }

    /// Gives back the space of a busy peer.
    func dropRoom() { outbound.withLock { if $0.buffer.isEmpty { $0.buffer = WireBuffer() } } }

    /// Writes what was accepted. The loop's thread only.
    func flush() {
        loop.assertIsCurrent()
        guard writingBytes == 0, let link else { return }
        let loop = loop
        var buffer = WireBuffer()
        loop.exchangeSpare(&buffer)
        defer {
            buffer.removeAll(keeping: WireBuffer.busyBytes)
            loop.exchangeSpare(&buffer)
        }
        var written = 0
        for _ in 0..<Self.writesPerTurn {
            let next = takeNext(afterWriting: written, into: &buffer)
            if case .nothing(let isRoomy) = next {
                if isRoomy { loop.turn.pointee.keepRoom(of: self) }
                if ending == .flushing { linger() }
                return
            }
            do throws(ParleyError) {
                let isWritten: Bool
                if case .file(let range) = next {
                    written = range.count
                    isWritten = try link.write(range)
                } else {
                    written = buffer.count
                    isWritten = try link.write(buffer)
                }
                noteWrite(written)
                guard isWritten else {
                    writingBytes = written
                    // The link has it now.
                    buffer = WireBuffer()
                    return
                }
            } catch {
                return writeFailed(error)
            }
            buffer.removeAll(keeping: WireBuffer.busyBytes)
        }
        accountFor(written)
        loop.atEndOfTurn(self)
    }

    /// What is to be written next.
    private enum Next {
        /// Nothing is; and whether the peer has the space of a busy one.
        case nothing(isRoomy: Bool)
        /// What the buffer holds now.
        case bytes
        case file(FileRange)
    }

    func linkDidWrite(_ failure: ParleyError?) {
        if let failure { return writeFailed(failure) }
        accountFor(writingBytes)
        writingBytes = 0
        flush()
    }

    /// Takes what is to be written next. A filled buffer changes places with the empty one that is passed in.
    @inline(__always)
    private func takeNext(afterWriting written: Int, into buffer: inout WireBuffer) -> Next {
        let (next, settled) = outbound.withLock { outbound -> (Next, Outbound.Settled?) in
            let settled = outbound.settle(written, lowWater: node.options.sendLowWaterBytes)
            if !outbound.queue.isEmpty {
                switch outbound.queue.removeFirst() {
                case .file(let range): return (.file(range), settled)
                case .bytes(let bytes):
                    buffer = bytes
                    return (.bytes, settled)
                }
            }
            guard !outbound.buffer.isEmpty else {
                outbound.isFlushRequested = false
                return (.nothing(isRoomy: outbound.buffer.isRoomy), settled)
            }
            swap(&outbound.buffer, &buffer)
            return (.bytes, settled)
        }
        if let settled { resume(settled) }
        return next
    }

    private func accountFor(_ written: Int) {
        let settled = outbound.withLock { $0.settle(written, lowWater: node.options.sendLowWaterBytes) }
        if let settled { resume(settled) }
    }

    private func resume(_ settled: Outbound.Settled) {
        settled.woken.resume()
        node.sendBudget.giveBack(settled.releasedBytes)
    }
}

extension Connection.Outbound {
    /// Whether nothing accepted is left to hand to the link.
    var isEmpty: Bool { queue.isEmpty && buffer.isEmpty }

    /// Whether the loop has to be asked for a flush now: there is something to write, and it was not asked yet.
    mutating func requestFlush() -> Bool {
        guard !isFlushRequested, !isEmpty else { return false }
        isFlushRequested = true
        return true
    }

    /// Lets `body` append to the buffer, and counts what it appended.
    mutating func encode<Result>(
        _ body: (inout any Decoder, inout WireBuffer) throws(ParleyError) -> Result
    ) throws(ParleyError) -> Result {
        let before = buffer.count
        let result = try body(&encoder, &buffer)
        unwrittenBytes &+= buffer.count &- before
        return result
    }

    /// Queues a part of a file behind everything else.
    mutating func append(_ range: FileRange) {
        if !buffer.isEmpty {
            queue.append(.bytes(buffer))
            buffer = WireBuffer()
        }
        queue.append(.file(range))
        unwrittenBytes &+= range.count
    }

    /// What follows from a write, once the lock is open again.
    fileprivate struct Settled {
        var woken = WaitQueue.Woken()
        /// Part of the node's budget that is not needed any more.
        var releasedBytes = 0
    }

    /// - Returns: nil when nothing follows, as nearly always.
    @inline(__always)
    fileprivate mutating func settle(_ written: Int, lowWater: Int) -> Settled? {
        unwrittenBytes &-= written
        counters.bytes &+= UInt64(written)
        guard unwrittenBytes <= lowWater else { return nil }
        blockedSince = .max
        let releasedBytes = releaseUnneeded()
        guard !senders.isEmpty || releasedBytes > 0 else {
            // A sender may be between its look at the buffer and its wait.
            senders.noteWakeUp()
            return nil
        }
        return Settled(woken: senders.wakeAll(), releasedBytes: releasedBytes)
    }
}
