// From send to the link. Any thread, except where it says the loop's. SendQueue decides, this file does.

extension Connection: Peer {
    /// See ``Peer/trySend(_:)-(ArraySlice<UInt8>)``.
    public func trySend(_ bytes: ArraySlice<UInt8>) throws(ParleyError) -> Bool { try submit(bytes) == nil }

    /// See ``Peer/trySend(message:)-(ArraySlice<UInt8>)``.
    public func trySend(message: ArraySlice<UInt8>) throws(ParleyError) -> Bool {
        try submit(message: message) == nil
    }

    /// See ``Peer/sendWhenPossible(_:)``.
    public func sendWhenPossible(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        // The refusal that led here was counted.
        var refusal = try submit(bytes, isCounted: false)
        while let refused = refusal {
            try await waitToSend(refused)
            refusal = try submit(bytes, waited: refused)
        }
    }

    /// See ``Peer/sendWhenPossible(message:)``.
    public func sendWhenPossible(message: ArraySlice<UInt8>) async throws(ParleyError) {
        var refusal = try submit(message: message, isCounted: false)
        while let refused = refusal {
            try await waitToSend(refused)
            refusal = try submit(message: message, waited: refused)
        }
    }

    /// Why a send was refused, for whoever waits to try it again.
    struct Refusal {
        let wait: SendQueue.Wait
        /// ``WaitQueue/epoch`` at that time: a wake-up that comes before the wait is not missed.
        let epoch: UInt
    }

    /// Sends raw bytes if that is possible now; otherwise says why it is not.
    ///
    /// - Parameters:
    ///   - waited: why the same send was refused before, if the caller has waited since.
    ///   - isCounted: whether a refusal is counted in the statistics.
    @inline(__always)
    func submit(
        _ bytes: ArraySlice<UInt8>,
        waited: Refusal? = nil,
        isCounted: Bool = true
    ) throws(ParleyError) -> Refusal? {
        try accept(.raw, waited: waited, isCounted: isCounted) { (outbound) throws(ParleyError) in
            try outbound.append { (_, buffer) throws(ParleyError) in buffer.append(bytes) }
        }
    }

    /// The same for a message.
    @inline(__always)
    func submit(
        message: ArraySlice<UInt8>,
        waited: Refusal? = nil,
        isCounted: Bool = true
    ) throws(ParleyError) -> Refusal? {
        guard message.count <= node.bounds.maxMessageBytes else { throw tooLong(message.count) }
        return try accept(.message, waited: waited, isCounted: isCounted) { (outbound) throws(ParleyError) in
            try outbound.append { (encoder, buffer) throws(ParleyError) in
                try encoder.encode(message: message, into: &buffer)
            }
        }
    }

    /// The same for bytes that are only borrowed.
    @inline(__always)
    func submit(message: Span<UInt8>, waited: Refusal? = nil) throws(ParleyError) -> Refusal? {
        guard message.count <= node.bounds.maxMessageBytes else { throw tooLong(message.count) }
        return try accept(.message, waited: waited) { (outbound) throws(ParleyError) in
            try outbound.append { (encoder, buffer) throws(ParleyError) in
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

    /// Lets `append` add to what is to be written, if it is its turn and there is room. Never suspends: a send that
    /// does not have to wait is an ordinary call.
    ///
    /// `append` runs under the lock, whole: that is what keeps concurrent sends from interleaving.
    ///
    /// - Returns: nil when it was accepted, otherwise what to pass to ``waitToSend(_:)`` before trying again.
    @inline(__always)
    func accept(
        _ kind: SendQueue.Kind,
        waited: Refusal? = nil,
        isCounted: Bool = true,
        _ append: (inout Outbound) throws(ParleyError) -> Void
    ) throws(ParleyError) -> Refusal? {
        var woken = WaitQueue.Woken()
        defer { if waited != nil { woken.resume() } }
        let (refusal, needsFlush, startsWatch) = try outbound.withLock {
            outbound throws(ParleyError) -> (Refusal?, Bool, Bool) in
            if let waited, outbound.queue.endWait(waited.wait) { woken = outbound.senders.wakeAll() }
            if let end = outbound.lifecycle.end { throw end.reason }
            try checkDeadline(outbound.writeDeadline, "sending")
            guard outbound.queue.isOpen(kind) else {
                throw ParleyError(.closed, "the stream to \(remoteAddress) is finished")
            }
            if let wait = mayAppend(kind, &outbound, waited: waited?.wait) {
                if isCounted { outbound.queue.noteRefusal() }
                return (Refusal(wait: wait, epoch: outbound.senders.epoch), false, false)
            }
            try append(&outbound)
            if outbound.queue.isBeyondReserve { node.sendBudget.charge(outbound.queue.reserveRest()) }
            outbound.queue.accepted(kind)
            let startsWatch = writeDirectly(&outbound)
            return (nil, outbound.queue.requestFlush(), startsWatch)
        }
        if needsFlush { loop.atEndOfTurn(self) }
        if startsWatch { loop.execute { [self] in startAcknowledgementWatch() } }
        return refusal
    }

    /// Whether a send of that kind may be appended now; takes more of the node's budget when that is needed.
    ///
    /// - Returns: nil when it may, otherwise what it has to wait for.
    @inline(__always)
    func mayAppend(
        _ kind: SendQueue.Kind,
        _ outbound: inout Outbound,
        waited: SendQueue.Wait? = nil
    ) -> SendQueue.Wait? {
        if let wait = outbound.queue.wait(for: kind, marks: node.sendMarks, waited: waited) { return wait }
        return outbound.queue.isWithinReserve || reserveMore(&outbound) ? nil : .room
    }

    /// Whether there is room for something that does not wait for its turn.
    func hasRoom(_ outbound: inout Outbound) -> Bool {
        outbound.queue.unwrittenBytes < node.sendMarks.high
            && (outbound.queue.isWithinReserve || reserveMore(&outbound))
    }

    /// Writes what was appended from the sender's own thread, when it answers something and nothing else waits: the way to
    /// the loop and back costs more than the write. Whoever sends without being answered gathers on the loop instead.
    ///
    /// Under the lock, so that nothing can overtake it; the call does not block.
    ///
    /// - Returns: whether somebody has to begin to look for what is acknowledged.
    @inline(__always)
    private func writeDirectly(_ outbound: inout Outbound) -> Bool {
        guard let socket = outbound.socket, outbound.queue.mayWriteDirectly, !loop.isCurrent,
            hasReceived.exchange(false, ordering: .relaxed)
        else { return false }
        let limits = node.healthLimits
        outbound.queue.writeDirectly(at: limits.idle == nil ? nil : MonotonicTime.millisecondsNow) {
            $0.writeDirectly(to: socket)
        }
        return limits.writeStall != nil && outbound.queue.beginWatch()
    }
}

// MARK: - Waiting

extension Connection {
    /// Waits until a send that was refused may be tried again; it counts as waiting until it is.
    ///
    /// - Throws: `timedOut` when there has been no room for ``Timeouts/write``; `cancelled`.
    func waitToSend(_ refusal: Refusal) async throws(ParleyError) {
        let began = beginWait(refusal)
        guard await outbound.wait(in: \.senders, unless: { $0.senders.epoch != refusal.epoch }) else {
            giveUpWait(refusal)
            throw .cancelled("sending to \(remoteAddress)")
        }
        try checkBlocked(since: began, refusal)
    }

    /// A sender begins to wait; returns when that was, if it is to give up some time.
    func beginWait(_ refusal: Refusal) -> UInt64? {
        let timeout = refusal.wait == .room ? node.healthLimits.write : nil
        let now = timeout == nil ? nil : MonotonicTime.millisecondsNow
        let isNewlyBlocked = outbound.withLock { outbound in
            outbound.queue.beginWait(refusal.wait)
            guard let now, outbound.lifecycle.end == nil, !hasRoom(&outbound) else { return false }
            return outbound.queue.noteBlocked(at: now)
        }
        if isNewlyBlocked, let timeout, let now {
            loop.perform { [self] in context.timers.check(self, by: now &+ timeout) }
        }
        if refusal.wait == .room { awaitBudget() }
        return now
    }

    /// A sender that waited gives up: others may go on that had to wait behind it.
    func giveUpWait(_ refusal: Refusal) {
        outbound.withLock { outbound in
            outbound.queue.endWait(refusal.wait) ? outbound.senders.wakeAll() : WaitQueue.Woken()
        }.resume()
    }

    /// Throws when there has been no room for too long; the wait is given up then.
    func checkBlocked(since began: UInt64?, _ refusal: Refusal) throws(ParleyError) {
        guard let began, let timeout = node.healthLimits.write else { return }
        let now = MonotonicTime.millisecondsNow
        let isTooLong = outbound.withLock { outbound in
            let since = outbound.queue.blockedSince
            guard outbound.lifecycle.end == nil, since != .max else { return false }
            // Whoever noticed it meanwhile may have looked at the clock later than this did.
            return now &- min(now, max(began, since)) >= timeout
        }
        guard isTooLong else { return }
        giveUpWait(refusal)
        throw ParleyError(
            .timedOut,
            "there was no room to send to \(remoteAddress) for \(node.options.timeouts.write ?? .zero)"
        )
    }
}

// MARK: - The loop's side

extension Connection: EndOfTurn {
    /// At most this many writes in one turn, so that a fast sender leaves room for the other peers.
    private static let writesPerTurn = 4

    func turnEnds() { flush() }

    /// Gives back the room of an empty buffer; another connection is busier.
    func dropEmptyBuffer() { outbound.withLock { $0.queue.dropEmptyBuffer() } }

    /// Writes what was accepted. The loop's thread only.
    func flush() {
        loop.assertIsCurrent()
        guard writingBytes == 0, let link else { return }
        let context = context
        var buffer = WireBuffer()
        context.exchangeSpare(&buffer)
        defer {
            buffer.removeAll(keeping: WireBuffer.busyBytes)
            context.exchangeSpare(&buffer)
        }
        var written = 0
        for _ in 0..<Self.writesPerTurn {
            let next = takeNext(afterWriting: written, into: &buffer)
            if case .nothing(let hasLargeBuffer) = next.item {
                if hasLargeBuffer { context.local.value.noteBusy(self) }
                if next.isFlushing { apply(.allWritten) }
                return
            }
            do throws(ParleyError) {
                let isWritten: Bool
                if case .file(let range) = next.item {
                    written = range.count
                    isWritten = try link.write(range)
                } else {
                    written = buffer.count
                    isWritten = try link.write(buffer)
                }
                if next.startsWatch { startAcknowledgementWatch() }
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

    func linkDidWrite(_ failure: ParleyError?, returning buffer: inout WireBuffer) {
        context.returnSpare(&buffer)
        if let failure { return writeFailed(failure) }
        accountFor(writingBytes)
        writingBytes = 0
        flush()
    }

    /// The link does not take any more. What it still has to deliver is read before the end.
    private func writeFailed(_ error: ParleyError) {
        writingBytes = 0
        // A file that cannot be read says nothing about the socket: the other side waits for the rest of a frame.
        let mayDeliver =
            error.code == .connectionReset
            && inbound.withLock { $0.intake.isReading || $0.intake.awaitsInbox }
        apply(.writeFailed(error, mayDeliver: mayDeliver))
    }

    /// Takes what is to be written next, behind a write of so many bytes. A filled buffer changes places with the empty
    /// one that is passed in.
    @inline(__always)
    private func takeNext(
        afterWriting written: Int,
        into buffer: inout WireBuffer
    ) -> (item: SendQueue.Next, startsWatch: Bool, isFlushing: Bool) {
        let now = loop.milliseconds
        let watches = node.healthLimits.writeStall != nil
        let (next, startsWatch, isFlushing, outcome) = outbound.withLock { outbound in
            let outcome = outbound.written(written, marks: node.sendMarks)
            let next = outbound.queue.takeNext(into: &buffer, at: now)
            return (next, watches && outbound.queue.beginWatch(), outbound.lifecycle.isFlushing, outcome)
        }
        if let outcome { finish(outcome) }
        return (next, startsWatch, isFlushing)
    }

    private func accountFor(_ written: Int) {
        let outcome = outbound.withLock { $0.written(written, marks: node.sendMarks) }
        if let outcome { finish(outcome) }
    }

    private func finish(_ outcome: Outbound.Written) {
        outcome.woken.resume()
        node.sendBudget.giveBack(outcome.releasedBytes)
    }
}

extension Connection.Outbound {
    /// Lets `body` append to the buffer, and counts what it appended.
    @inline(__always)
    mutating func append<Result>(
        _ body: (inout any Decoder, inout WireBuffer) throws(ParleyError) -> Result
    ) throws(ParleyError) -> Result {
        try queue.append { (buffer) throws(ParleyError) in try body(&encoder, &buffer) }
    }

    /// What follows from a write, once the lock is open again.
    fileprivate struct Written {
        var woken: WaitQueue.Woken
        /// Part of the node's budget that is not needed any more.
        var releasedBytes: Int
    }

    /// So many bytes are written.
    ///
    /// - Returns: nil when nothing follows, as nearly always.
    @inline(__always)
    fileprivate mutating func written(_ bytes: Int, marks: SendQueue.Marks) -> Written? {
        let outcome = queue.written(bytes, marks: marks)
        guard outcome.hasRoom else { return nil }
        guard !senders.isEmpty || outcome.releasedBytes > 0 else {
            // A sender may be between its look at the queue and its wait.
            senders.noteWakeUp()
            return nil
        }
        return Written(woken: senders.wakeAll(), releasedBytes: outcome.releasedBytes)
    }
}
