// Sends and reads that block a thread instead of suspending a task, for the C library.

extension Connection {
    /// See ``Peer/send(_:)-(ArraySlice<UInt8>)``. Blocks while too much is unwritten.
    ///
    /// - Throws: as there; `wouldBlock` when it may not wait; `wouldDeadlock` on an event loop's thread;
    ///   `timedOut` at the wait limit. Nothing was accepted when it throws.
    package func send(_ bytes: ArraySlice<UInt8>, _ limit: WaitLimit) throws(ParleyError) {
        try blockUntilAccepted(limit) { (waited) throws(ParleyError) in try submit(bytes, waited: waited) }
    }

    /// See ``Peer/send(message:)-(ArraySlice<UInt8>)``. Throws as ``send(_:_:)`` does.
    package func send(message: ArraySlice<UInt8>, _ limit: WaitLimit) throws(ParleyError) {
        try blockUntilAccepted(limit) { (waited) throws(ParleyError) in
            try submit(message: message, waited: waited)
        }
    }

    /// The same for borrowed bytes.
    package func send(message: Span<UInt8>, _ limit: WaitLimit) throws(ParleyError) {
        var refusal = try submit(message: message)
        while let refused = refusal {
            try blockToSend(refused, limit)
            refusal = try submit(message: message, waited: refused)
        }
    }

    /// See ``Peer/openStream(header:)``. Throws as ``send(_:_:)`` does.
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

    /// Submits until `submit` accepts, and blocks in between.
    @inline(never)
    func blockUntilAccepted(
        _ limit: WaitLimit,
        _ submit: (_ waited: Refusal?) throws(ParleyError) -> Refusal?
    ) throws(ParleyError) {
        var refusal = try submit(nil)
        while let refused = refusal {
            try blockToSend(refused, limit)
            refusal = try submit(refused)
        }
    }

    /// See ``Peer/read(upTo:)``. Throws as ``send(_:_:)`` does; nothing was read then.
    package func read(
        upTo count: Int,
        _ limit: WaitLimit
    ) throws(ParleyError) -> ArraySlice<UInt8>? {
        try read(upTo: count, of: nil, limit)
    }

    /// The same for one stream; see ``tryRead(upTo:of:)``.
    func read(
        upTo count: Int,
        of stream: OnlyStream?,
        _ limit: WaitLimit
    ) throws(ParleyError) -> ArraySlice<UInt8>? {
        while true {
            let (result, epoch) = try tryRead(upTo: count, of: stream)
            switch result {
            case .bytes(let bytes): return bytes
            case .end: return nil
            case .wait: break
            }
            let deadline = try waiting(limit, "reading from")
            guard inbound.block(at: Readers(), until: deadline, unless: { $0.readWaiters.epoch != epoch })
            else {
                throw ParleyError(.timedOut, "nothing could be read from \(remoteAddress) in time")
            }
        }
    }

    /// Puts bytes that a read of the stream returned back in front of the input.
    func putBack(_ bytes: ArraySlice<UInt8>, of stream: OnlyStream) {
        inbound.withLock { inbound in
            guard !bytes.isEmpty, inbound.isOpen(stream) else { return }
            inbound.state.putBack(bytes)
            _ = account(&inbound, hasProgress: false)
        }
    }

    /// Starts an orderly end. Blocks, if it may wait, until the connection is closed and the observer has
    /// returned from ``PeerObserver/peerDidDisconnect(_:_:)``.
    ///
    /// - Throws: `timedOut` at the wait limit, `wouldDeadlock` on an event loop's thread.
    package func close(_ limit: WaitLimit) throws(ParleyError) {
        try ForkedChild.check()
        close(because: ParleyError(closedHere: remoteAddress))
        if case .none = limit { return }
        let deadline = try waiting(limit, "closing the connection to")
        let ended = ThreadParker.take()
        // A loop that takes nothing any more has told the observer everything.
        guard loop.execute({ [self] in whenEnded { ended.wake() } }) else { return }
        guard ended.wait(until: deadline) else {
            throw ParleyError(.timedOut, "the connection to \(remoteAddress) did not close in time")
        }
        ThreadParker.keep(ended)
    }

    /// Blocks until a refused send may be tried again. The send counts as waiting from then until it is
    /// tried.
    private func blockToSend(_ refusal: Refusal, _ limit: WaitLimit) throws(ParleyError) {
        if case .none = limit {
            throw refused("sending to", refusal)
        }
        let deadline = try waiting(limit, "sending to")
        let began = beginWait(refusal)
        guard
            outbound.block(
                at: Senders(),
                until: deadline,
                unless: { $0.sendWaiters.epoch != refusal.epoch }
            )
        else {
            giveUpWait(refusal)
            throw ParleyError(.timedOut, "nothing more could be sent to \(remoteAddress) in time")
        }
        try checkBlocked(since: began, refusal)
    }

    /// The error of a send that may not wait. ``whenWritable(_:)`` says when it may be tried again.
    func refused(_ what: String, _ refusal: Refusal) -> ParleyError {
        outbound.withLock { _ = $0.refused.insert(refusal.wait.mask) }
        return ParleyError(.wouldBlock, "\(what) \(remoteAddress) would have to wait")
    }

    /// The deadline of a wait. Throws when waiting is not allowed here.
    func waiting(_ limit: WaitLimit, _ what: String) throws(ParleyError) -> MonotonicTime? {
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
    /// Sends borrowed bytes to the peer with that number. Returns false when there is none. Throws as
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
    /// Writes `count` bytes. `piece` returns a part of them; it is called once there is nothing before that
    /// part, so that the caller never copies more than ``pieceBytes``.
    ///
    /// More than ``pieceBytes`` are accepted in pieces. That may have to wait, so it is refused where waiting
    /// is not allowed. When it fails after a piece, the stream is aborted.
    ///
    /// - Throws: as ``Connection/send(_:_:)``; `messageTooLong` for more than ``pieceBytes`` when it may not
    ///   wait. Nothing was accepted then.
    package func write(
        _ count: Int,
        _ limit: WaitLimit,
        piece: (Range<Int>) throws(ParleyError) -> ArraySlice<UInt8>
    ) throws(ParleyError) {
        guard count > Self.pieceBytes else { return try writePiece(piece(0..<count), limit) }
        if case .none = limit {
            throw ParleyError(
                .messageTooLong,
                "a write of \(count) bytes may have to wait: without waiting one takes at most "
                    + "\(Self.pieceBytes)"
            )
        }
        _ = try connection.waiting(limit, "writing to")
        var accepted = 0
        let isNewPart = beginPart()
        do throws(ParleyError) {
            while accepted < count {
                let end = min(accepted + Self.pieceBytes, count)
                try writePiece(piece(accepted..<end), limit)
                accepted = end
            }
        } catch {
            if isNewPart, accepted == 0 { endPart() }
            cutOff(after: accepted, of: count)
            throw error
        }
        if isNewPart { endPart() }
    }

    /// See ``StreamWriter/write(_:)-(ArraySlice<UInt8>)``. Throws as ``write(_:_:piece:)`` does.
    package func write(_ bytes: ArraySlice<UInt8>, _ limit: WaitLimit) throws(ParleyError) {
        try write(bytes.count, limit) { bytes.dropFirst($0.lowerBound).prefix($0.count) }
    }

    private func writePiece(_ bytes: ArraySlice<UInt8>, _ limit: WaitLimit) throws(ParleyError) {
        try connection.blockUntilAccepted(limit) { (waited) throws(ParleyError) in
            try tryWrite(bytes, waited: waited)
        }
    }
}

// MARK: - Callbacks instead of waiting

extension Connection {
    /// Calls `function` once, on the loop's thread, when a read may return: bytes, an end, or an error. The
    /// call may be spurious; read again then. For the peer's single reader, like every read.
    ///
    /// - Throws: `noSuchPeer` when the loop has stopped. `function` is not called then.
    package func whenReadable(_ function: @escaping @Sendable () -> Void) throws(ParleyError) {
        try whenReadable(of: nil, function)
    }

    /// The same for one stream; see ``tryRead(upTo:of:)``.
    func whenReadable(
        of stream: OnlyStream?,
        _ function: @escaping @Sendable () -> Void
    ) throws(ParleyError) {
        let (isReadable, epoch) = readability(of: stream)
        let waits =
            !isReadable
            && inbound.notify(
                at: Readers(),
                unless: { $0.readWaiters.epoch != epoch },
                loop.promise(function)
            )
        if !waits { try call(function, isPromised: !isReadable) }
    }

    /// Calls `function` once, on the loop's thread, when a send that was refused since the last call of
    /// ``whenWritable(_:)`` may be tried again or would fail. Of several that were refused, one is enough.
    ///
    /// - Throws: `noSuchPeer` when the loop has stopped. `function` is not called then.
    package func whenWritable(_ function: @escaping @Sendable () -> Void) throws(ParleyError) {
        let waits = outbound.notify(
            at: Senders(),
            unless: { outbound in
                let refused = outbound.refused.isEmpty ? SendQueue.Wait.room.mask : outbound.refused
                outbound.refused = []
                return outbound.lifecycle.end != nil
                    || SendQueue.Wait.allCases.contains { wait in
                        refused.contains(wait.mask) && mayTryAgain(wait, &outbound)
                    }
            },
            loop.promise(function)
        )
        if waits { awaitBudget() } else { try call(function, isPromised: true) }
    }

    /// Whether a send that has waited for this may be accepted now, or can never be.
    private func mayTryAgain(_ wait: SendQueue.Wait, _ outbound: inout Outbound) -> Bool {
        switch wait {
        // It may be that of the open stream's writer.
        case .room: mayAppend(.raw, &outbound) == nil
        case .behindOthers: mayAppend(.message, &outbound) == nil
        case .place: outbound.lifecycle.endOfAnswers != nil || mayAppend(.request, &outbound) == nil
        }
    }

    func call(
        _ function: @escaping @Sendable () -> Void,
        isPromised: Bool
    ) throws(ParleyError) {
        if isPromised { loop.breakPromise() }
        guard loop.execute(function) else { throw ParleyError(.noSuchPeer, "\(remoteAddress) is gone") }
    }
}
