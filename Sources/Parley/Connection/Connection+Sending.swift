// From a send to the link. Any thread, unless a comment says otherwise. SendQueue decides; this file acts.
//
// send -> submit -> SendQueue, under the sending half's lock -> writeDirectly on the sender's thread, or
// flush on the loop's -> Link.write.

extension Connection: Peer {
    /// See ``Peer/trySend(_:)-(ArraySlice<UInt8>)``.
    public func trySend(_ bytes: ArraySlice<UInt8>) throws(ParleyError) -> Bool { try submit(bytes) == nil }

    /// See ``Peer/trySend(message:)-(ArraySlice<UInt8>)``.
    public func trySend(message: ArraySlice<UInt8>) throws(ParleyError) -> Bool {
        try submit(message: message) == nil
    }

    /// See ``Peer/sendWhenPossible(_:)``.
    public func sendWhenPossible(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        // The refusal that led here was already counted.
        try await suspendUntilAccepted { (waited) throws(ParleyError) in
            try submit(bytes, waited: waited, isCounted: waited != nil)
        }
    }

    /// See ``Peer/sendWhenPossible(message:)``.
    public func sendWhenPossible(message: ArraySlice<UInt8>) async throws(ParleyError) {
        try await suspendUntilAccepted { (waited) throws(ParleyError) in
            try submit(message: message, waited: waited, isCounted: waited != nil)
        }
    }

    /// Why a send was refused, for the wait before it is tried again.
    struct Refusal {
        let wait: SendQueue.Wait
        /// ``WaitQueue/epoch`` at the refusal, so that a wake-up before the wait is not missed.
        let epoch: UInt
    }

    /// Accepts raw bytes if that is possible now. Otherwise returns why not.
    ///
    /// - Parameters:
    ///   - waited: why the same send was refused before, if the caller has waited since.
    ///   - isCounted: whether a refusal is counted in the statistics.
    @inline(never)
    func submit(
        _ bytes: ArraySlice<UInt8>,
        waited: Refusal? = nil,
        isCounted: Bool = true
    ) throws(ParleyError) -> Refusal? {
        try node.checkLength(ofRawBytes: bytes.count)
        return try acceptRare(.raw, waited: waited, isCounted: isCounted) { (outbound) throws(ParleyError) in
            try outbound.append { (_, buffer) throws(ParleyError) in buffer.append(bytes) }
        }
    }

    /// The same for a message that has not waited.
    @inline(__always)
    func submit(message: ArraySlice<UInt8>) throws(ParleyError) -> Refusal? {
        try node.checkLength(ofMessage: message.count)
        return try accept(.message) { (outbound) throws(ParleyError) in
            try outbound.append(message: message)
        }
    }

    /// The same for borrowed bytes.
    @inline(__always)
    func submit(message: Span<UInt8>) throws(ParleyError) -> Refusal? {
        try node.checkLength(ofMessage: message.count)
        return try accept(.message) { (outbound) throws(ParleyError) in
            try outbound.append(message: message)
        }
    }

    /// The same for a message that may have waited. Not inlined: the library stays small.
    @inline(never)
    func submit(
        message: ArraySlice<UInt8>,
        waited: Refusal?,
        isCounted: Bool = true
    ) throws(ParleyError) -> Refusal? {
        try node.checkLength(ofMessage: message.count)
        return try acceptRare(.message, waited: waited, isCounted: isCounted) {
            (outbound) throws(ParleyError) in
            try outbound.append(message: message)
        }
    }

    /// The same for borrowed bytes.
    @inline(never)
    func submit(message: Span<UInt8>, waited: Refusal) throws(ParleyError) -> Refusal? {
        try node.checkLength(ofMessage: message.count)
        return try acceptRare(.message, waited: waited) { (outbound) throws(ParleyError) in
            try outbound.append(message: message)
        }
    }

    private func rawBytesRefused(_ form: String) -> ParleyError {
        ParleyError(
            .unsupported,
            "raw bytes after the handshake would break the \(form) wire form of \(remoteAddress): "
                + "send them as a message or as a stream"
        )
    }

    /// Lets `append` add to the send queue, if it is this send's turn and there is room. Never suspends: a
    /// send that does not have to wait is an ordinary call.
    ///
    /// `append` runs under the lock, so concurrent sends do not interleave.
    ///
    /// - Returns: nil when the send was accepted; otherwise what to pass to ``waitToSend(_:)`` before trying
    ///   again.
    @inline(__always)
    func accept(
        _ kind: SendQueue.Kind,
        _ append: (inout Outbound) throws(ParleyError) -> Void
    ) throws(ParleyError) -> Refusal? {
        try ForkedChild.check()
        // Nobody is woken: this send has not waited.
        var woken = WaitQueue.Woken()
        let (refusal, next) = try outbound.withLock { outbound throws(ParleyError) -> (Refusal?, AfterSend) in
            if let refusal = try refuses(kind, &outbound, nil, true, &woken) { return (refusal, []) }
            try append(&outbound)
            return (nil, accepted(kind, &outbound))
        }
        follow(next)
        return refusal
    }

    /// The same, not inlined: for sends that are rarer, or larger, than messages. The library stays small.
    @inline(never)
    func acceptRare(
        _ kind: SendQueue.Kind,
        waited: Refusal? = nil,
        isCounted: Bool = true,
        _ append: (inout Outbound) throws(ParleyError) -> Void
    ) throws(ParleyError) -> Refusal? {
        try ForkedChild.check()
        var woken = WaitQueue.Woken()
        defer { woken.resume() }
        let (refusal, next) = try outbound.withLock { outbound throws(ParleyError) -> (Refusal?, AfterSend) in
            if let refusal = try refusesRare(kind, &outbound, waited, isCounted, &woken) {
                return (refusal, [])
            }
            try append(&outbound)
            return (nil, acceptedRare(kind, &outbound))
        }
        follow(next)
        return refusal
    }

    /// What a send leaves to do when the lock is released.
    private struct AfterSend: OptionSet {
        let rawValue: UInt8

        static let flush = AfterSend(rawValue: 1)
        static let startAcknowledgementWatch = AfterSend(rawValue: 2)
    }

    /// Whether a send has to wait. Throws when it can never be accepted.
    @inline(__always)
    private func refuses(
        _ kind: SendQueue.Kind,
        _ outbound: inout Outbound,
        _ waited: Refusal?,
        _ isCounted: Bool,
        _ woken: inout WaitQueue.Woken
    ) throws(ParleyError) -> Refusal? {
        if let waited, outbound.queue.endWait(waited.wait) { woken = outbound.sendWaiters.wakeAll() }
        if let end = outbound.lifecycle.end { throw end.reason }
        try checkDeadline(outbound.writeDeadline, "sending")
        guard outbound.queue.isOpen(kind) else {
            throw ParleyError(.closed, "the stream to \(remoteAddress) is finished")
        }
        if case .raw = kind, outbound.refusesRawBytes { throw rawBytesRefused(outbound.encoder.form.name) }
        guard let wait = mayAppend(kind, &outbound, waited: waited?.wait) else { return nil }
        if isCounted { outbound.queue.noteRefusal() }
        return Refusal(wait: wait, epoch: outbound.sendWaiters.epoch)
    }

    @inline(never)
    private func refusesRare(
        _ kind: SendQueue.Kind,
        _ outbound: inout Outbound,
        _ waited: Refusal?,
        _ isCounted: Bool,
        _ woken: inout WaitQueue.Woken
    ) throws(ParleyError) -> Refusal? {
        try refuses(kind, &outbound, waited, isCounted, &woken)
    }

    /// Counts a send that was appended, and writes it if that is better done here.
    @inline(__always)
    private func accepted(_ kind: SendQueue.Kind, _ outbound: inout Outbound) -> AfterSend {
        if outbound.queue.isBeyondReserve { node.sendBudget.charge(outbound.queue.reserveRest()) }
        outbound.queue.accepted(kind)
        var next: AfterSend = writeDirectly(&outbound) ? .startAcknowledgementWatch : []
        if outbound.queue.requestFlush() { next.insert(.flush) }
        return next
    }

    @inline(never)
    private func acceptedRare(_ kind: SendQueue.Kind, _ outbound: inout Outbound) -> AfterSend {
        accepted(kind, &outbound)
    }

    @inline(__always)
    private func follow(_ next: AfterSend) {
        if next.contains(.flush) { loop.atEndOfTurn(self) }
        if next.contains(.startAcknowledgementWatch) {
            loop.execute { [self] in startAcknowledgementWatch() }
        }
    }

    /// Whether a send of that kind may be appended now. Takes more of the node's budget if needed.
    ///
    /// - Returns: nil when it may be; otherwise what it has to wait for.
    @inline(__always)
    func mayAppend(
        _ kind: SendQueue.Kind,
        _ outbound: inout Outbound,
        waited: SendQueue.Wait? = nil
    ) -> SendQueue.Wait? {
        if let wait = outbound.queue.wait(for: kind, marks: node.sendMarks, waited: waited) { return wait }
        if case .request = kind, outbound.openRequests.count >= node.options.limits.maxOpenRequests {
            return .place
        }
        return outbound.queue.isWithinReserve || reserveMore(&outbound) ? nil : .room
    }

    /// Whether there is room for bytes that do not wait for a turn.
    func hasRoom(_ outbound: inout Outbound) -> Bool {
        outbound.queue.unwrittenBytes < node.sendMarks.high
            && (outbound.queue.isWithinReserve || reserveMore(&outbound))
    }

    /// Writes what was appended from the sender's own thread, if it answers something and nothing else waits:
    /// a change to the loop's thread and back costs more than the write. Sends that answer nothing are
    /// collected for the loop.
    ///
    /// It runs under the lock, so that nothing can overtake it. It does not block.
    ///
    /// - Returns: whether the acknowledgement watch has to start.
    @inline(__always)
    private func writeDirectly(_ outbound: inout Outbound) -> Bool {
        guard let socket = outbound.socket, outbound.queue.mayWriteDirectly, !loop.isCurrent,
            arrivedSinceDirectWrite.exchange(false, ordering: .relaxed)
        else { return false }
        return writeDirectly(&outbound, to: socket)
    }

    /// Not inlined: the rule above is part of every kind of send. The library stays small.
    @inline(never)
    private func writeDirectly(_ outbound: inout Outbound, to socket: Int32) -> Bool {
        let limits = node.timeLimits
        let proven = outbound.proven
        outbound.queue.writeDirectly(at: limits.idle == nil ? nil : MonotonicTime.millisecondsNow) {
            $0.writeDirectly(to: socket, sealedFor: proven)
        }
        return limits.writeStall != nil && outbound.queue.beginWatch()
    }
}

// MARK: - Waiting

extension Connection {
    /// Submits until `submit` accepts, and waits in between.
    func suspendUntilAccepted(
        _ submit: (_ waited: Refusal?) throws(ParleyError) -> Refusal?
    ) async throws(ParleyError) {
        var refusal = try submit(nil)
        while let refused = refusal {
            try await waitToSend(refused)
            refusal = try submit(refused)
        }
    }

    /// Waits until a refused send may be tried again. The send counts as waiting from then until it is tried.
    ///
    /// - Throws: `timedOut` when there was no room for ``Timeouts/write``; `cancelled`.
    func waitToSend(_ refusal: Refusal) async throws(ParleyError) {
        let began = beginWait(refusal)
        guard await outbound.wait(at: Senders(), unless: { $0.sendWaiters.epoch != refusal.epoch }) else {
            giveUpWait(refusal)
            throw .cancelled("sending to \(remoteAddress)")
        }
        try checkBlocked(since: began, refusal)
    }

    /// Counts a waiting sender. Returns the time in milliseconds if the wait has a time-out.
    func beginWait(_ refusal: Refusal) -> UInt64? {
        let timeout = refusal.wait == .room ? node.timeLimits.write : nil
        let now = timeout == nil ? nil : MonotonicTime.millisecondsNow
        let isNewlyBlocked = outbound.withLock { outbound in
            outbound.queue.beginWait(refusal.wait)
            guard refusal.wait == .room, outbound.lifecycle.end == nil else { return false }
            if hasRoom(&outbound) {
                // Since the refusal something was written: enough for this send, too little for a wake-up.
                // A new epoch makes it try again at once; no other wake-up has to come.
                outbound.sendWaiters.countWakeUp()
                return false
            }
            guard let now else { return false }
            return outbound.queue.noteBlocked(at: now)
        }
        if isNewlyBlocked, let timeout, let now {
            loop.perform { [self] in context.timers.check(self, by: now &+ timeout) }
        }
        if refusal.wait == .room { awaitBudget() }
        return now
    }

    /// Ends the wait of a sender that gives up. Senders that waited for it may go on.
    func giveUpWait(_ refusal: Refusal) {
        outbound.withLock { outbound in
            outbound.queue.endWait(refusal.wait) ? outbound.sendWaiters.wakeAll() : WaitQueue.Woken()
        }.resume()
    }

    /// Throws when there was no room for too long. The wait is given up then.
    func checkBlocked(since began: UInt64?, _ refusal: Refusal) throws(ParleyError) {
        guard let began, let timeout = node.timeLimits.write else { return }
        let now = MonotonicTime.millisecondsNow
        let isTooLong = outbound.withLock { outbound in
            let since = outbound.queue.blockedSince
            guard outbound.lifecycle.end == nil, since != .max else { return false }
            // Another sender may have set `blockedSince` after this one read the clock.
            return now.since(max(began, since)) >= timeout
        }
        guard isTooLong else { return }
        giveUpWait(refusal)
        throw ParleyError(
            .timedOut,
            "there was no room to send to \(remoteAddress) for \(node.options.timeouts.write ?? .zero)"
        )
    }
}

extension Connection.Outbound {
    /// Whether the other side would take raw bytes for frames: the handshake is over, and every byte after it
    /// belongs to a frame.
    var refusesRawBytes: Bool { !lifecycle.isHandshaking && encoder.form.streamForm == .delimited }

    /// Lets `body` append to the buffer, and counts what it appended.
    @inline(__always)
    mutating func append<Result>(
        _ body: (inout Encoder, inout WireBuffer) throws(ParleyError) -> Result
    ) throws(ParleyError) -> Result {
        try queue.append { (buffer) throws(ParleyError) in try body(&encoder, &buffer) }
    }

    /// Encodes a message to the buffer.
    @inline(__always)
    mutating func append(message: ArraySlice<UInt8>) throws(ParleyError) {
        try append { (encoder, buffer) throws(ParleyError) in
            try encoder.encode(message: message, into: &buffer)
        }
    }

    /// The same for borrowed bytes.
    @inline(__always)
    mutating func append(message: Span<UInt8>) throws(ParleyError) {
        try append { (encoder, buffer) throws(ParleyError) in
            try encoder.encode(message: message, into: &buffer)
        }
    }
}
