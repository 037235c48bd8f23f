// Raw reads, by the handshake and by a stream's reader. Any thread, unless a comment says otherwise.

extension Connection {
    /// See ``Peer/read(upTo:)``.
    public func read(upTo count: Int) async throws(ParleyError) -> ArraySlice<UInt8>? {
        try await read(upTo: count, of: nil)
    }

    /// The same for one stream; see ``tryRead(upTo:of:)``.
    func read(upTo count: Int, of stream: OnlyStream?) async throws(ParleyError) -> ArraySlice<UInt8>? {
        guard count > 0 else {
            throw ParleyError(.invalidArgument, "a read of \(count) bytes from \(remoteAddress)")
        }
        while true {
            let (result, epoch) = try tryRead(upTo: count, of: stream)
            switch result {
            case .bytes(let bytes): return bytes
            case .end: return nil
            case .wait: break
            }
            guard await inbound.wait(at: Readers(), unless: { $0.readWaiters.epoch != epoch }) else {
                throw .cancelled("reading from \(remoteAddress)")
            }
        }
    }

    /// Reads what has arrived. To wait for more, wait until `readWaiters.epoch` differs from the returned
    /// epoch.
    ///
    /// - Parameter stream: the stream that is meant; nil for whatever there is to read.
    /// - Throws: `closed` when that stream is open no more.
    func tryRead(upTo count: Int, of stream: OnlyStream?) throws(ParleyError) -> (
        PeerState.ReadResult, epoch: UInt
    ) {
        try ForkedChild.check()
        var (hasHeartbeats, isOver) = (false, false)
        let (result, epoch, readsOn) = try withInbound { inbound throws(ParleyError) in
            if let closed = inbound.closed { throw closed }
            if multiplexed != nil, inbound.state.phase != .handshake { throw hasManyStreams }
            guard inbound.isOpen(stream) else { throw streamIsClosed }
            try checkReadDeadline(inbound)
            let result = try inbound.state.read(upTo: count)
            if let stream, result != .wait, inbound.state.phase == .stream {
                stream.wasRead(inbound.numberOfStream)
            }
            if case .bytes = result { inbound.streamReadAt = MonotonicTime.millisecondsNow }
            _ = account(&inbound, hasProgress: true)
            hasHeartbeats = inbound.state.hasHeartbeats
            if case .over(awaitsInbox: false) = inbound.intake.state {
                isOver = !inbound.state.hasInputBehindStream
            }
            return (result, inbound.readWaiters.epoch, inbound.wantsToReadOn)
        }
        // Nothing is left to read of a connection that has ended.
        if isOver { loop.executeIfStarted { [self] in endDelivery() } }
        if hasHeartbeats { loop.perform { [self] in handleHeartbeats() } }
        if readsOn { loop.perform { [self] in receive(.nothing) } }
        return (result, epoch)
    }

    /// Throws when the read deadline has passed. It does not count for a read that will not wait: after the
    /// end of the connection the deadline cannot be changed.
    private func checkReadDeadline(_ inbound: borrowing Inbound) throws(ParleyError) {
        if inbound.state.inputEnd != nil, !inbound.state.hasUndecodedMessages { return }
        try checkDeadline(inbound.readDeadline, "reading")
    }

    private var streamIsClosed: ParleyError {
        ParleyError(.closed, "this side has closed the stream from \(remoteAddress)")
    }

    private var hasManyStreams: ParleyError {
        ParleyError(
            .unsupported,
            "\(remoteAddress) may have many streams: read the RPC's body instead of the peer"
        )
    }

    /// Whether a read would return at once: bytes, an end, or an error. Reads nothing. To wait, wait until
    /// `readWaiters.epoch` differs from the returned epoch.
    func readability(of stream: OnlyStream?) -> (isReadable: Bool, epoch: UInt) {
        var hasHeartbeats = false
        let (isReadable, epoch, readsOn): (Bool, UInt, Bool)
        do throws(ParleyError) {
            (isReadable, epoch, readsOn) = try withInbound { inbound throws(ParleyError) in
                if let closed = inbound.closed { throw closed }
                if multiplexed != nil, inbound.state.phase != .handshake { throw hasManyStreams }
                guard inbound.isOpen(stream) else { throw streamIsClosed }
                try checkReadDeadline(inbound)
                let isReadable = try inbound.state.isReadable()
                _ = account(&inbound, hasProgress: false)
                hasHeartbeats = inbound.state.hasHeartbeats
                return (isReadable, inbound.readWaiters.epoch, inbound.wantsToReadOn)
            }
        } catch {
            // The next read throws the same error.
            return (true, 0)
        }
        if hasHeartbeats { loop.perform { [self] in handleHeartbeats() } }
        if readsOn { loop.perform { [self] in receive(.nothing) } }
        return (isReadable, epoch)
    }

    /// See ``Peer/read(exactly:)``.
    public func read(exactly count: Int) async throws(ParleyError) -> ArraySlice<UInt8> {
        guard count > 0 else { return [] }
        let stream = OnlyStream(numberOfOpenStream)
        var collected: ArraySlice<UInt8> = []
        while collected.count < count {
            guard let bytes = try await read(upTo: count - collected.count, of: stream, after: collected)
            else {
                throw ParleyError(
                    .endOfStream,
                    "\(remoteAddress) ended after \(collected.count) of \(count) bytes"
                )
            }
            if collected.isEmpty { collected = bytes } else { collected.append(contentsOf: bytes) }
        }
        return collected
    }

    /// Reads what follows `collected`. Puts `collected` back when the wait is cancelled or times out.
    private func read(
        upTo count: Int,
        of stream: OnlyStream,
        after collected: ArraySlice<UInt8>
    ) async throws(ParleyError) -> ArraySlice<UInt8>? {
        do { return try await read(upTo: count, of: stream) } catch {
            if error.code == .cancelled || error.code == .timedOut {
                putBack(collected, of: stream)
            }
            throw error
        }
    }

    /// Calls `body` under the receiving half's lock. When `body` throws and the wire form is violated, the
    /// connection ends, and the violation is the reason.
    private func withInbound<Result>(
        _ body: (inout Inbound) throws(ParleyError) -> Result
    ) throws(ParleyError) -> Result {
        do { return try inbound.withLock(body) } catch {
            let violation = inbound.withLock { inbound in
                // The input behind the violation was dropped.
                if inbound.state.violation != nil { _ = account(&inbound, hasProgress: false) }
                return inbound.state.violation
            }
            if let violation { fail(violation) }
            throw error
        }
    }

    /// See ``Peer/closeStream()``.
    public func closeStream() { closeStream(nil) }

    /// The same for one stream alone; nil is whichever is open.
    func closeStream(_ stream: OnlyStream?) {
        if ForkedChild.isThisProcess { return }
        let (wasOpen, readers) = inbound.withLock { inbound in
            let wasOpen = inbound.isOpen(stream) && inbound.state.closeStream()
            // Its reader hears that it is closed.
            return (wasOpen, wasOpen ? inbound.readWaiters.wakeAll() : WaitQueue.Woken())
        }
        readers.resume()
        // Deferred: a callback that closes the stream that it was called for would otherwise recurse once per
        // stream.
        if wasOpen { loop.execute { [self] in receive(.nothing) } }
    }
}

extension Connection.Inbound {
    /// Whether this stream is the one that is open. True for nil and for one without a number.
    func isOpen(_ stream: OnlyStream?) -> Bool {
        guard let stream = stream?.number, stream != 0 else { return true }
        return stream == numberOfStream && state.phase == .stream
    }

    /// The number of the last stream that the other side has opened, where it has one at a time.
    var numberOfStream: UInt32 { UInt32(truncatingIfNeeded: counters.streams) }

    /// Whether the link is to be read again after a reader has consumed something.
    fileprivate var wantsToReadOn: Bool {
        !intake.isReading && !intake.awaitsInbox && state.wantsInput(isReading: false)
    }
}
