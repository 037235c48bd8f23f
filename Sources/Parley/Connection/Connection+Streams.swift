import Synchronization

// The sending side of streams, from memory and from files. Any thread.

extension Connection {
    /// See ``Peer/openStream(header:)``.
    public func openStream(header: ArraySlice<UInt8>) async throws(ParleyError) -> any StreamWriter {
        try await openStream(header: header, isPartial: false)
    }

    /// The same for a stream that its caller finishes or aborts in any case: see
    /// ``SendQueue/isStreamPartial``.
    func openStream(
        header: ArraySlice<UInt8>,
        isPartial: Bool
    ) async throws(ParleyError) -> any StreamWriter {
        if let multiplexed { return try await openStream(header: header, over: multiplexed) }
        var waited: Refusal?
        while true {
            switch try tryOpenStream(header: header, isPartial: isPartial, waited: waited) {
            case .opened(let writer): return writer
            case .refused(let refusal):
                try await waitToSend(refusal)
                waited = refusal
            }
        }
    }

    /// The result of an attempt to open a stream.
    enum StreamOpening {
        case opened(ConnectionStreamWriter)
        /// Pass this to ``waitToSend(_:)``, and try again.
        case refused(Refusal)
    }

    /// Opens a stream if that is possible now.
    func tryOpenStream(
        header: ArraySlice<UInt8>,
        isPartial: Bool = false,
        waited: Refusal? = nil
    ) throws(ParleyError) -> StreamOpening {
        guard multiplexed == nil else {
            throw ParleyError(.unsupported, "\(remoteAddress) may have many streams: open one of these")
        }
        try node.checkLength(ofMessage: header.count)
        var number: UInt64 = 0
        let refusal = try acceptRare(.streamOpening, waited: waited) { (outbound) throws(ParleyError) in
            try outbound.append { (encoder, buffer) throws(ParleyError) in
                try encoder.form.encodeStreamOpening(header: header, into: &buffer)
            }
            number = outbound.queue.nextStream
            if isPartial { outbound.queue.beginPart() }
        }
        if let refusal { return .refused(refusal) }
        return .opened(ConnectionStreamWriter(self, stream: number))
    }

    /// Notes that a stream is not complete without what follows; see ``SendQueue/isStreamPartial``.
    ///
    /// - Returns: whether that is new: then ``endPart(of:)`` follows behind it, unless it has failed.
    fileprivate func beginPart(of stream: UInt64) -> Bool {
        if ForkedChild.isThisProcess { return false }
        return outbound.withLock { outbound in
            guard outbound.queue.openStream == stream, !outbound.queue.isStreamPartial else { return false }
            outbound.queue.beginPart()
            return true
        }
    }

    /// Notes that a stream may be complete with what was accepted of it.
    fileprivate func endPart(of stream: UInt64) {
        outbound.withLock { if $0.queue.openStream == stream { $0.queue.endPart() } }
    }

    /// Ends a stream with what `encode` appends, and lets the next message or stream through. Never waits,
    /// since an end is small. Does nothing when the stream has ended.
    ///
    /// - Parameter encode: returns false when the wire form cannot express it; the stream then stays open.
    /// - Throws: why the connection ends, when it is ending.
    fileprivate func endStream(
        _ stream: UInt64,
        _ encode: (inout any Decoder, inout WireBuffer) -> Bool
    ) throws(ParleyError) -> StreamEnd {
        try ForkedChild.check()
        var woken = WaitQueue.Woken()
        var needsFlush = false
        let end = try outbound.withLock { outbound throws(ParleyError) -> StreamEnd in
            guard outbound.queue.openStream == stream else { return .notOpen }
            if let end = outbound.lifecycle.end { throw end.reason }
            let isExpressible = try outbound.append { (encoder, buffer) throws(ParleyError) in
                encode(&encoder.form, &buffer)
            }
            guard isExpressible else { return .inexpressible }
            outbound.queue.endStream()
            woken = outbound.sendWaiters.wakeAll()
            needsFlush = outbound.queue.requestFlush()
            return .accepted
        }
        woken.resume()
        if needsFlush { loop.atEndOfTurn(self) }
        return end
    }

    /// What came of an attempt to end a stream.
    fileprivate enum StreamEnd {
        case accepted
        /// It had ended before.
        case notOpen
        /// The wire form has no such end.
        case inexpressible
    }
}

/// The writer that ``Connection/openStream(header:)`` returns.
package final class ConnectionStreamWriter: StreamWriter {
    let connection: Connection
    /// The number of the stream that it writes.
    private let stream: UInt64
    /// Whether a write failed after a part of it, so that the stream was aborted.
    private let isCutOff = Atomic(false)

    init(_ connection: Connection, stream: UInt64) {
        self.connection = connection
        self.stream = stream
    }

    deinit {
        // The stream was not finished. The abort says so where the wire form has one.
        _ = try? connection.endStream(stream) { (encoder, buffer) in
            let reason = "the writer was released before the stream's end"
            _ = encoder.encodeStreamAbort(code: 0, reason: reason, into: &buffer)
            return true
        }
    }

    /// The most bytes that are accepted at once. A longer write is accepted in pieces of this size, each when
    /// there is room for it, so that no write exceeds the send budget by more than that.
    package static let pieceBytes = 1 << 20

    package func write(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        guard bytes.count > Self.pieceBytes else { return try await writePiece(bytes) }
        var rest = bytes
        let isNewPart = beginPart()
        do throws(ParleyError) {
            while !rest.isEmpty {
                try await writePiece(rest.prefix(Self.pieceBytes))
                rest.removeFirst(min(Self.pieceBytes, rest.count))
            }
        } catch {
            if isNewPart, rest.count == bytes.count { endPart() }
            cutOff(after: bytes.count - rest.count, of: bytes.count)
            throw error
        }
        if isNewPart { endPart() }
    }

    /// Notes that the stream is not complete without what follows: a file, or a long write. When the
    /// connection is closed in between, the other side must not take the stream for complete.
    ///
    /// - Returns: whether that is new: then ``endPart()`` follows behind it, unless it has failed.
    func beginPart() -> Bool { connection.beginPart(of: stream) }

    /// Notes that the stream may be complete with what was accepted of it.
    func endPart() { connection.endPart(of: stream) }

    /// Aborts the stream after a part of a write. The caller does not know how much was accepted, so neither
    /// the rest nor the end of the stream may follow.
    func cutOff(after accepted: Int, of count: Int) {
        guard accepted > 0 else { return }
        isCutOff.store(true, ordering: .relaxed)
        abortNow(code: 0, reason: "a write of \(count) bytes ended after \(accepted)")
    }

    private func writePiece(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        try await connection.suspendUntilAccepted { (waited) throws(ParleyError) in
            try tryWrite(bytes, waited: waited)
        }
    }

    /// Writes if that is possible now. Otherwise returns what to pass to ``Connection/waitToSend(_:)``.
    func tryWrite(
        _ bytes: ArraySlice<UInt8>,
        waited: Connection.Refusal? = nil
    ) throws(ParleyError) -> Connection.Refusal? {
        let kind = SendQueue.Kind.streamBytes(of: stream)
        return try connection.acceptRare(kind, waited: waited) { (outbound) throws(ParleyError) in
            try outbound.append { (encoder, buffer) throws(ParleyError) in
                if !bytes.isEmpty { encoder.form.encodeStreamBytes(bytes, into: &buffer) }
            }
        }
    }

    /// Writes a part of a file. The kernel copies it, unless the wire form has to see the bytes.
    func write(_ range: FileRange) async throws(ParleyError) {
        var isAccepted = false
        let kind = SendQueue.Kind.streamBytes(of: stream)
        try await connection.suspendUntilAccepted { (waited) throws(ParleyError) in
            try connection.acceptRare(kind, waited: waited) { (outbound) throws(ParleyError) in
                isAccepted = try outbound.append { (encoder, buffer) throws(ParleyError) in
                    encoder.form.encodeStreamBytesHeader(count: range.count, into: &buffer)
                }
                if isAccepted { outbound.queue.append(range) }
            }
        }
        guard !isAccepted else { return }
        try await write(connection.loop.offload { () throws(ParleyError) in try range.read() }.value)
    }

    package func finish() async throws(ParleyError) { try finishNow() }

    /// Never waits, since an end is small.
    package func finishNow() throws(ParleyError) {
        guard !isCutOff.load(ordering: .relaxed) else {
            throw ParleyError(
                .streamAborted,
                "the stream to \(connection.remoteAddress) was aborted after a part of a write"
            )
        }
        _ = try connection.endStream(stream) { (encoder, buffer) in
            encoder.encodeStreamEnd(into: &buffer)
            return true
        }
    }

    package func abort(code: UInt32, reason: String) async { abortNow(code: code, reason: reason) }

    package func abortNow(code: UInt32, reason: String) {
        let end = try? connection.endStream(stream) { (encoder, buffer) in
            encoder.encodeStreamAbort(code: code, reason: reason, into: &buffer)
        }
        switch end {
        case .accepted, .notOpen: return
        // The connection is ending already. Its end must not pass for the stream's.
        case nil: _ = beginPart()
        // The connection writes what was accepted, and is then reset.
        case .inexpressible:
            _ = beginPart()
            connection.close(because: ParleyError(.streamAborted, "this side aborted its stream: \(reason)"))
        }
    }
}

extension Peer {
    /// Opens a stream that the caller finishes or aborts in any case. When the connection is closed before
    /// that, the other side does not take the stream for complete, not even without an end mark.
    func openPartialStream(header: ArraySlice<UInt8>) async throws(ParleyError) -> any StreamWriter {
        guard let connection = self as? Connection else { return try await openStream(header: header) }
        return try await connection.openStream(header: header, isPartial: true)
    }
}
