// From send to the link. Any thread, except where it says the loop's.

extension Connection: Peer {
    /// See ``Peer/send(_:)-(ArraySlice<UInt8>)``.
    public func send(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        try await enqueue(.raw) { (_, buffer) throws(ParleyError) in buffer.append(bytes) }
    }

    /// See ``Peer/send(message:)-(ArraySlice<UInt8>)``.
    public func send(message: ArraySlice<UInt8>) async throws(ParleyError) {
        try await enqueue(.message) { (encoder, buffer) throws(ParleyError) in
            try encoder.encode(message: message, into: &buffer)
        }
    }

    /// See ``Peer/openStream(header:)``.
    public func openStream(header: ArraySlice<UInt8>) async throws(ParleyError) -> any StreamWriter {
        try await enqueue(.streamOpening) { (encoder, buffer) throws(ParleyError) in
            try encoder.encodeStreamOpening(header: header, into: &buffer)
        }
        return ConnectionStreamWriter(self)
    }

    /// What a send is made of, since an open stream keeps messages and other streams waiting.
    enum Kind { case raw, message, streamOpening, streamBytes, streamEnd }

    /// Lets `encode` append to the outbound buffer when it is its turn and there is room.
    ///
    /// `encode` runs under the lock, whole: that is what keeps concurrent sends from interleaving.
    func enqueue(
        _ kind: Kind,
        _ encode: (inout any Decoder, inout WireBuffer) throws(ParleyError) -> Void
    ) async throws(ParleyError) {
        while true {
            let admission = try outbound.withLock { outbound throws(ParleyError) in
                try admit(kind, &outbound, encode)
            }
            switch admission {
            case .accepted: return
            case .acceptedFirst:
                loop.atEndOfTurn(self)
                return
            case .waits(let epoch):
                guard await outbound.wait(in: \.senders, unless: { $0.senders.epoch != epoch }) else {
                    throw .cancelled("sending to \(remoteAddress)")
                }
            }
        }
    }

    private enum Admission {
        case accepted
        /// The loop has to be asked for a flush.
        case acceptedFirst
        case waits(epoch: UInt)
    }

    @inline(__always)
    private func admit(
        _ kind: Kind,
        _ outbound: inout Outbound,
        _ encode: (inout any Decoder, inout WireBuffer) throws(ParleyError) -> Void
    ) throws(ParleyError) -> Admission {
        if let reason = outbound.life.reason { throw reason }
        if outbound.writeDeadline != nil { try checkDeadline(outbound.writeDeadline, "sending") }
        let isTurn = !outbound.isStreamOpen || (kind != .message && kind != .streamOpening)
        let hasRoom = outbound.unwrittenBytes < node.options.sendHighWaterBytes || kind == .streamEnd
        guard isTurn, hasRoom else { return .waits(epoch: outbound.senders.epoch) }
        let before = outbound.buffer.count
        try encode(&outbound.encoder, &outbound.buffer)
        outbound.unwrittenBytes &+= outbound.buffer.count &- before
        if kind == .streamOpening { outbound.isStreamOpen = true }
        if outbound.isFlushRequested || outbound.buffer.isEmpty { return .accepted }
        outbound.isFlushRequested = true
        return .acceptedFirst
    }
}

// MARK: - The loop's side

extension Connection: EndOfTurn {
    /// At most this many buffers in one turn, so that a fast sender leaves room for the other peers.
    private static let buffersPerTurn = 4

    func turnEnds() { flush() }

    /// Writes what was accepted. The loop's thread only.
    func flush() {
        loop.assertIsCurrent()
        var written = 0
        for _ in 0..<Self.buffersPerTurn {
            guard writingBytes == 0, let link else { return }
            guard let next = nextBuffer(afterWriting: written) else {
                if ending == .flushing { linger() }
                return
            }
            written = next.count
            do {
                guard try link.write(next) else {
                    writingBytes = written
                    return
                }
            } catch {
                return writeFailed(error)
            }
            recycle(next)
        }
        accountFor(written)
        loop.atEndOfTurn(self)
    }

    func linkDidWrite(_ failure: ParleyError?) {
        if let failure { return writeFailed(failure) }
        accountFor(writingBytes)
        writingBytes = 0
        flush()
    }

    /// Takes the filled buffer and leaves the empty one; nil when there is nothing to write.
    private func nextBuffer(afterWriting written: Int) -> WireBuffer? {
        var next = spareBuffer
        spareBuffer = WireBuffer()
        let (isFilled, woken) = outbound.withLock { outbound in
            let woken = outbound.settle(written, lowWater: node.options.sendLowWaterBytes)
            guard !outbound.buffer.isEmpty else {
                outbound.isFlushRequested = false
                return (false, woken)
            }
            swap(&outbound.buffer, &next)
            return (true, woken)
        }
        woken.resume()
        if !isFilled { spareBuffer = next }
        return isFilled ? next : nil
    }

    private func recycle(_ buffer: consuming WireBuffer) {
        buffer.removeAll()
        spareBuffer = buffer
    }

    private func accountFor(_ written: Int) {
        outbound.withLock { $0.settle(written, lowWater: node.options.sendLowWaterBytes) }.resume()
    }
}

extension Connection.Outbound {
    fileprivate mutating func settle(_ written: Int, lowWater: Int) -> WaitQueue.Woken {
        unwrittenBytes &-= written
        // Also when nobody waits yet: a sender may be between its look at the buffer and its wait.
        return unwrittenBytes <= lowWater ? senders.wakeAll() : WaitQueue.Woken()
    }
}

// MARK: - Streams

/// The writer that ``Connection/openStream(header:)`` returns.
private final class ConnectionStreamWriter: StreamWriter {
    private let connection: Connection
    private let isFinished = Lock(false)

    init(_ connection: Connection) { self.connection = connection }

    deinit { if !isFinished.withLock({ $0 }) { connection.endStreamUnattended() } }

    func write(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        guard !isFinished.withLock({ $0 }) else {
            throw ParleyError(.closed, "the stream to \(connection.remoteAddress) is finished")
        }
        try await connection.enqueue(.streamBytes) { (encoder, buffer) throws(ParleyError) in
            encoder.encodeStreamBytes(bytes, into: &buffer)
        }
    }

    func finish() async throws(ParleyError) {
        let isFirst = isFinished.withLock { isFinished in
            defer { isFinished = true }
            return !isFinished
        }
        if isFirst { try connection.endStream() }
    }
}

extension Connection {
    /// Appends the stream's end, and lets the next message or stream through. Never waits: an end is small.
    fileprivate func endStream() throws(ParleyError) {
        let (woken, isFirst) = try outbound.withLock { outbound throws(ParleyError) in
            outbound.isStreamOpen = false
            if let reason = outbound.life.reason { throw reason }
            let before = outbound.buffer.count
            outbound.encoder.encodeStreamEnd(into: &outbound.buffer)
            outbound.unwrittenBytes &+= outbound.buffer.count &- before
            let isFirst = !outbound.isFlushRequested && !outbound.buffer.isEmpty
            if isFirst { outbound.isFlushRequested = true }
            return (outbound.senders.wakeAll(), isFirst)
        }
        woken.resume()
        if isFirst { loop.atEndOfTurn(self) }
    }

    /// The writer was let go: nobody is there to hear that the connection is gone.
    fileprivate func endStreamUnattended() { try? endStream() }
}
