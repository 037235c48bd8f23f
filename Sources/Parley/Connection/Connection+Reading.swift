// Raw reads: the handshake's and the stream's. Any thread, except where it says the loop's.

extension Connection {
    /// See ``Peer/read(upTo:)``.
    public func read(upTo count: Int) async throws(ParleyError) -> ArraySlice<UInt8>? {
        guard count > 0 else {
            throw ParleyError(.invalidArgument, "a read of \(count) bytes from \(remoteAddress)")
        }
        while true {
            let (result, epoch) = try tryRead(upTo: count)
            switch result {
            case .bytes(let bytes): return bytes
            case .end: return nil
            case .wait: break
            }
            guard await inbound.wait(in: \.readers, unless: { $0.readers.epoch != epoch }) else {
                throw .cancelled("reading from \(remoteAddress)")
            }
        }
    }

    /// Reads what there is now; the number says since when a wait for more has to count.
    func tryRead(upTo count: Int) throws(ParleyError) -> (PeerState.ReadResult, epoch: UInt) {
        var hasHeartbeats = false
        let (result, epoch, resumesReading) = try withInbound {
            inbound throws(ParleyError) in
            if let closed = inbound.closed { throw closed }
            try checkDeadline(inbound.readDeadline, "reading")
            let result = try inbound.state.read(upTo: count)
            if case .bytes = result { inbound.streamActivity = .now }
            let resumesReading = !inbound.isReading && inbound.state.wantsInput(isReading: false)
            hasHeartbeats = inbound.state.hasHeartbeats
            return (result, inbound.readers.epoch, resumesReading)
        }
        if hasHeartbeats { loop.perform { [self] in handleHeartbeats() } }
        if resumesReading { loop.perform { [self] in settleReading() } }
        return (result, epoch)
    }

    /// See ``Peer/read(exactly:)``.
    public func read(exactly count: Int) async throws(ParleyError) -> ArraySlice<UInt8> {
        guard count > 0 else { return [] }
        var collected: ArraySlice<UInt8> = []
        while collected.count < count {
            guard let bytes = try await read(upTo: count - collected.count, after: collected) else {
                throw ParleyError(
                    .endOfStream,
                    "\(remoteAddress) ended after \(collected.count) of \(count) bytes"
                )
            }
            if collected.isEmpty { collected = bytes } else { collected.append(contentsOf: bytes) }
        }
        return collected
    }

    /// Reads more behind `collected`; when the wait for it is given up, those bytes go back to where they came from.
    private func read(
        upTo count: Int,
        after collected: ArraySlice<UInt8>
    ) async throws(ParleyError) -> ArraySlice<UInt8>? {
        do { return try await read(upTo: count) } catch {
            if error.code == .cancelled || error.code == .timedOut {
                inbound.withLock { $0.state.putBack(collected) }
            }
            throw error
        }
    }

    /// Looks at the receiving half; a violation of the wire form that comes to light drops the peer.
    private func withInbound<Result>(
        _ body: (inout Inbound) throws(ParleyError) -> Result
    ) throws(ParleyError) -> Result {
        do { return try inbound.withLock(body) } catch {
            if inbound.withLock({ $0.state.violation != nil }) { fail(error) }
            throw error
        }
    }

    /// See ``Peer/closeStream()``.
    public func closeStream() {
        let wasOpen = inbound.withLock { $0.state.closeStream() }
        // Never at once: a callback that closes the stream it is told of would nest as deep as streams have arrived.
        if wasOpen { loop.execute { [self] in receive() } }
    }

    /// Drops the peer when its stream's reader takes too long. The loop's thread only.
    func watchStream() {
        guard let timeout = node.options.streamIdleTimeout, ending != .over else { return }
        let idle: Duration? = inbound.withLock { inbound in
            inbound.state.phase == .stream ? inbound.streamActivity.duration(to: .now) : nil
        }
        guard let idle else { return }
        if idle >= timeout {
            fail(
                ParleyError(.timedOut, "no byte of the stream from \(remoteAddress) was read for \(timeout)")
            )
        } else {
            // One timer that looks back costs nothing per read.
            timer(\.stream).start(after: timeout - idle) { [self] in watchStream() }
        }
    }
}

// MARK: - Deadlines

extension Connection {
    /// See ``Peer/setDeadline(_:)``.
    public func setDeadline(_ deadline: ContinuousClock.Instant?) {
        setReadDeadline(deadline)
        setWriteDeadline(deadline)
    }

    /// See ``Peer/setReadDeadline(_:)``.
    public func setReadDeadline(_ deadline: ContinuousClock.Instant?) {
        let deadline = deadline.map { MonotonicTime($0) } ?? .never
        inbound.withLock { $0.readDeadline = deadline }
        loop.perform { [self] in armDeadline() }
    }

    /// See ``Peer/setWriteDeadline(_:)``.
    public func setWriteDeadline(_ deadline: ContinuousClock.Instant?) {
        let deadline = deadline.map { MonotonicTime($0) } ?? .never
        outbound.withLock { $0.writeDeadline = deadline }
        loop.perform { [self] in armDeadline() }
    }

    func checkDeadline(_ deadline: MonotonicTime, _ what: String) throws(ParleyError) {
        if deadline != .never, deadline <= .now {
            throw ParleyError(.timedOut, "the deadline for \(what) (\(remoteAddress)) has passed")
        }
    }

    /// Wakes whoever waits when the next deadline passes: they look at the clock themselves.
    private func armDeadline() {
        guard ending != .over else { return }
        let deadlines = [inbound.withLock { $0.readDeadline }, outbound.withLock { $0.writeDeadline }]
        let now = MonotonicTime.now
        inbound.withLock { $0.readers.wakeAll() }.resume()
        outbound.withLock { $0.senders.wakeAll() }.resume()
        guard let next = deadlines.filter({ $0 > now && $0 != .never }).min() else {
            timers.value.deadline?.stop()
            return
        }
        timer(\.deadline).start(after: now.duration(to: next)) { [self] in armDeadline() }
    }
}
