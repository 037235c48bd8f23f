// Sends and reads that block a thread instead of suspending a task: for callers that are not Swift's.

/// How long a blocking call may take.
package enum WaitLimit: Sendable {
    /// It may not wait at all.
    case none
    /// Until then; nil is for ever.
    case until(MonotonicTime?)
}

extension Connection {
    /// See ``Peer/send(_:)-(ArraySlice<UInt8>)``; blocks while too much is unwritten.
    ///
    /// - Throws: as there, and `wouldBlock` when it may not wait, `wouldDeadlock` on an event loop's thread,
    ///   `timedOut` when patience ends. Nothing was accepted then.
    package func send(_ bytes: ArraySlice<UInt8>, _ patience: WaitLimit) throws(ParleyError) {
        while let epoch = try submit(bytes) { try blockToSend(since: epoch, patience) }
    }

    /// See ``Peer/send(message:)-(ArraySlice<UInt8>)``; throws as ``send(_:_:)`` does.
    package func send(message: ArraySlice<UInt8>, _ patience: WaitLimit) throws(ParleyError) {
        while let epoch = try submit(message: message) { try blockToSend(since: epoch, patience) }
    }

    /// The same for bytes that are only lent.
    package func send(message: Span<UInt8>, _ patience: WaitLimit) throws(ParleyError) {
        while let epoch = try submit(message: message) { try blockToSend(since: epoch, patience) }
    }

    /// See ``Peer/openStream(header:)``; throws as ``send(_:_:)`` does.
    package func openStream(
        header: ArraySlice<UInt8>,
        _ patience: WaitLimit
    ) throws(ParleyError) -> ConnectionStreamWriter {
        while true {
            switch try tryOpenStream(header: header) {
            case .opened(let writer): return writer
            case .wait(let epoch): try blockToSend(since: epoch, patience)
            }
        }
    }

    /// See ``Peer/read(upTo:)``; throws as ``send(_:_:)`` does, and then nothing was read.
    package func read(upTo count: Int, _ patience: WaitLimit) throws(ParleyError) -> ArraySlice<UInt8>? {
        while true {
            let (result, epoch) = try tryRead(upTo: count)
            switch result {
            case .bytes(let bytes): return bytes
            case .end: return nil
            case .wait: break
            }
            let deadline = try waiting(patience, "reading from")
            guard inbound.block(in: \.readers, until: deadline, unless: { $0.readers.epoch != epoch }) else {
                throw ParleyError(.timedOut, "nothing could be read from \(remoteAddress) in time")
            }
        }
    }

    /// Puts back what ``read(upTo:_:)`` returned, in front of what is there.
    package func putBack(_ bytes: ArraySlice<UInt8>) { inbound.withLock { $0.state.putBack(bytes) } }

    /// Begins to close, and waits until it is closed if it may wait.
    ///
    /// - Throws: `timedOut` when patience ends first, `wouldDeadlock` on an event loop's thread.
    package func close(_ patience: WaitLimit) throws(ParleyError) {
        close(because: ParleyError(.closed, "this side closed the connection to \(remoteAddress)"))
        if case .none = patience { return }
        while !outbound.withLock({ $0.isEnded }) {
            let deadline = try waiting(patience, "closing the connection to")
            guard outbound.block(in: \.lifeWaiters, until: deadline, unless: { $0.isEnded }) else {
                throw ParleyError(.timedOut, "the connection to \(remoteAddress) did not close in time")
            }
        }
    }

    fileprivate func blockToSend(since epoch: UInt, _ patience: WaitLimit) throws(ParleyError) {
        let deadline = try waiting(patience, "sending to")
        let began = noteBlocked()
        guard outbound.block(in: \.senders, until: deadline, unless: { $0.senders.epoch != epoch }) else {
            throw ParleyError(.timedOut, "nothing more could be sent to \(remoteAddress) in time")
        }
        if let began { try checkBlocked(since: began) }
    }

    /// The deadline of a wait, if there may be one.
    private func waiting(_ patience: WaitLimit, _ what: String) throws(ParleyError) -> MonotonicTime? {
        guard case .until(let deadline) = patience else {
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
        _ patience: WaitLimit
    ) throws(ParleyError) -> Bool {
        try withConnection(number) { (connection) throws(ParleyError) in
            try connection.send(message: message, patience)
        } != nil
    }
}

extension ConnectionStreamWriter {
    /// See ``StreamWriter/write(_:)-(ArraySlice<UInt8>)``; throws as ``Connection/send(_:_:)`` does.
    package func write(_ bytes: ArraySlice<UInt8>, _ patience: WaitLimit) throws(ParleyError) {
        while let epoch = try tryWrite(bytes) { try connection.blockToSend(since: epoch, patience) }
    }
}

// MARK: - Being told instead

extension Connection {
    /// Calls `function` once, on the loop's thread, when a read may get something: bytes, an end, or an error. It may
    /// come for nothing; read again then. For the one reader of this peer, like every read.
    ///
    /// - Throws: `noSuchPeer` when the loop has stopped; then it is not called.
    package func whenReadable(_ function: @escaping @Sendable () -> Void) throws(ParleyError) {
        var waitsSince: UInt?
        do throws(ParleyError) {
            let (result, epoch) = try tryRead(upTo: 1)
            switch result {
            case .bytes(let bytes): putBack(bytes)
            case .end: break
            case .wait: waitsSince = epoch
            }
        } catch {}  // The next read throws it again.
        let waits = waitsSince.map { epoch in
            inbound.notify(in: \.readers, unless: { $0.readers.epoch != epoch }) { [loop] in
                loop.execute(function)
            }
        }
        if waits != true { try call(function) }
    }

    /// Calls `function` once, on the loop's thread, when a send need not wait, or would fail.
    ///
    /// - Throws: `noSuchPeer` when the loop has stopped; then it is not called.
    package func whenWritable(_ function: @escaping @Sendable () -> Void) throws(ParleyError) {
        let waits = outbound.notify(
            in: \.senders,
            // The open stream's own writer is not kept waiting by it.
            unless: { $0.life.reason != nil || hasRoom(&$0) && ($0.openStream == 0 || !$0.awaitsTurn) },
            { [loop] in loop.execute(function) }
        )
        if !waits { try call(function) }
    }

    private func call(_ function: @escaping @Sendable () -> Void) throws(ParleyError) {
        guard loop.execute(function) else { throw ParleyError(.noSuchPeer, "\(remoteAddress) is gone") }
    }
}
