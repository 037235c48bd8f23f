// Sends and reads that block a thread instead of suspending a task: for callers that are not Swift's.

extension Connection {
    /// See ``Peer/send(_:)-(ArraySlice<UInt8>)``; blocks while too much is unwritten.
    ///
    /// - Throws: as there, and `wouldBlock` when it may not wait, `wouldDeadlock` on an event loop's thread,
    ///   `timedOut` when the wait limit is reached. Nothing was accepted then.
    package func send(_ bytes: ArraySlice<UInt8>, _ limit: WaitLimit) throws(ParleyError) {
        try blockUntilAccepted(limit) { (waited) throws(ParleyError) in try submit(bytes, waited: waited) }
    }

    /// See ``Peer/send(message:)-(ArraySlice<UInt8>)``; throws as ``send(_:_:)`` does.
    package func send(message: ArraySlice<UInt8>, _ limit: WaitLimit) throws(ParleyError) {
        try blockUntilAccepted(limit) { (waited) throws(ParleyError) in
            try submit(message: message, waited: waited)
        }
    }

    /// The same for bytes that are only borrowed.
    package func send(message: Span<UInt8>, _ limit: WaitLimit) throws(ParleyError) {
        var refusal = try submit(message: message)
        while let refused = refusal {
            try blockToSend(refused, limit)
            refusal = try submit(message: message, waited: refused)
        }
    }

    /// See ``Peer/openStream(header:)``; throws as ``send(_:_:)`` does.
    package func openStream(
        header: ArraySlice<UInt8>,
        _ limit: WaitLimit
    ) throws(ParleyError) -> ConnectionStreamWriter {
        var waited: Refusal?
        while true {
            switch try tryOpenStream(header: header, waited: waited) {
            case .opened(let writer): return writer
            case .refused(let refusal):
                try blockToSend(refusal, limit)
                waited = refusal
            }
        }
    }

    /// Blocks and submits until that is accepted.
    @inline(__always)
    fileprivate func blockUntilAccepted(
        _ limit: WaitLimit,
        _ submit: (_ waited: Refusal?) throws(ParleyError) -> Refusal?
    ) throws(ParleyError) {
        var refusal = try submit(nil)
        while let refused = refusal {
            try blockToSend(refused, limit)
            refusal = try submit(refused)
        }
    }

    /// See ``Peer/read(upTo:)``; throws as ``send(_:_:)`` does, and then nothing was read.
    package func read(upTo count: Int, _ limit: WaitLimit) throws(ParleyError) -> ArraySlice<UInt8>? {
        while true {
            let (result, epoch) = try tryRead(upTo: count)
            switch result {
            case .bytes(let bytes): return bytes
            case .end: return nil
            case .wait: break
            }
            let deadline = try waiting(limit, "reading from")
            guard inbound.block(in: \.readers, until: deadline, unless: { $0.readers.epoch != epoch }) else {
                throw ParleyError(.timedOut, "nothing could be read from \(remoteAddress) in time")
            }
        }
    }

    /// Puts back what ``read(upTo:_:)`` returned, in front of what is there.
    package func putBack(_ bytes: ArraySlice<UInt8>) {
        inbound.withLock { inbound in
            inbound.state.putBack(bytes)
            _ = account(&inbound, hasProgress: false)
        }
    }

    /// Begins to close, and waits until it is closed if it may wait.
    ///
    /// - Throws: `timedOut` when the limit is reached first, `wouldDeadlock` on an event loop's thread.
    package func close(_ limit: WaitLimit) throws(ParleyError) {
        close(because: ParleyError(.closed, "this side closed the connection to \(remoteAddress)"))
        if case .none = limit { return }
        while !outbound.withLock({ $0.lifecycle.hasEnded }) {
            let deadline = try waiting(limit, "closing the connection to")
            guard outbound.block(in: \.lifeWaiters, until: deadline, unless: { $0.lifecycle.hasEnded }) else {
                throw ParleyError(.timedOut, "the connection to \(remoteAddress) did not close in time")
            }
        }
    }

    /// Blocks until a send that was refused may be tried again; it counts as waiting until it is.
    private func blockToSend(_ refusal: Refusal, _ limit: WaitLimit) throws(ParleyError) {
        if case .none = limit {
            throw ParleyError(
                wouldBlock: "sending to \(remoteAddress) would have to wait",
                waitsForTurn: refusal.wait == .turn
            )
        }
        let deadline = try waiting(limit, "sending to")
        let began = beginWait(refusal)
        guard outbound.block(in: \.senders, until: deadline, unless: { $0.senders.epoch != refusal.epoch })
        else {
            giveUpWait(refusal)
            throw ParleyError(.timedOut, "nothing more could be sent to \(remoteAddress) in time")
        }
        try checkBlocked(since: began, refusal)
    }

    /// The deadline of a wait, if there may be one.
    private func waiting(_ limit: WaitLimit, _ what: String) throws(ParleyError) -> MonotonicTime? {
        guard case .until(let deadline) = limit else {
            throw ParleyError(.wouldBlock, "\(what) \(remoteAddress) would have to wait")
        }
        guard !EventLoop.isCurrentThreadALoop else {
            throw ParleyError(.wouldDeadlock, "\(what) \(remoteAddress) would block an event loop's thread")
        }
        return deadline
    }
}

extension Node {
    /// Sends bytes that are only lent to the peer with that number; false when there is none. Throws as
    /// ``Connection/send(_:_:)`` does.
    package func send(
        message: Span<UInt8>,
        to number: UInt64,
        _ limit: WaitLimit
    ) throws(ParleyError) -> Bool {
        try withConnection(number) { (connection) throws(ParleyError) in
            try connection.send(message: message, limit)
        } != nil
    }
}

extension ConnectionStreamWriter {
    /// See ``StreamWriter/write(_:)-(ArraySlice<UInt8>)``; throws as ``Connection/send(_:_:)`` does.
    package func write(_ bytes: ArraySlice<UInt8>, _ limit: WaitLimit) throws(ParleyError) {
        try connection.blockUntilAccepted(limit) { (waited) throws(ParleyError) in
            try tryWrite(bytes, waited: waited)
        }
    }
}

// MARK: - Being told instead

extension Connection {
    /// Calls `function` once, on the loop's thread, when a read may get something: bytes, an end, or an error. It may
    /// come for nothing; read again then. For the one reader of this peer, like every read.
    ///
    /// - Throws: `noSuchPeer` when the loop has stopped; then it is not called.
    package func whenReadable(_ function: @escaping @Sendable () -> Void) throws(ParleyError) {
        let (isReadable, epoch) = readability()
        let waits =
            !isReadable
            && inbound.notify(in: \.readers, unless: { $0.readers.epoch != epoch }) { [loop] in
                loop.execute(function)
            }
        if !waits { try call(function) }
    }

    /// Calls `function` once, on the loop's thread, when a send that was refused may be tried again, or would fail.
    ///
    /// - Parameter wait: what the refused send waits for.
    /// - Throws: `noSuchPeer` when the loop has stopped; then it is not called.
    package func whenWritable(
        after wait: SendQueue.Wait,
        _ function: @escaping @Sendable () -> Void
    ) throws(ParleyError) {
        // One that waits for room may be the open stream's own writer.
        let kind: SendQueue.Kind = wait == .room ? .raw : .message
        let waits = outbound.notify(
            in: \.senders,
            unless: { outbound in
                outbound.lifecycle.end != nil || mayAppend(kind, &outbound) == nil
            },
            { [loop] in loop.execute(function) }
        )
        if waits { awaitBudget() } else { try call(function) }
    }

    private func call(_ function: @escaping @Sendable () -> Void) throws(ParleyError) {
        guard loop.execute(function) else { throw ParleyError(.noSuchPeer, "\(remoteAddress) is gone") }
    }
}
