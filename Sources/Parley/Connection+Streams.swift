// The sending side of streams, from memory and from files. Any thread.

extension Connection {
    /// See ``Peer/openStream(header:)``.
    public func openStream(header: ArraySlice<UInt8>) async throws(ParleyError) -> any StreamWriter {
        try await openConnectionStream(header: header)
    }

    /// The same, with what only this library's writers can do.
    func openConnectionStream(
        header: ArraySlice<UInt8>
    ) async throws(ParleyError) -> ConnectionStreamWriter {
        try await enqueue(.streamOpening) { (encoder, buffer) throws(ParleyError) in
            try encoder.encodeStreamOpening(header: header, into: &buffer)
        }
        return ConnectionStreamWriter(self)
    }
}

/// The writer that ``Connection/openStream(header:)`` returns.
final class ConnectionStreamWriter: StreamWriter {
    private let connection: Connection
    private let isOver = Lock(false)

    init(_ connection: Connection) { self.connection = connection }

    deinit {
        guard !isOver.withLock({ $0 }) else { return }
        // Nobody has said that it is whole. Where the wire form can, it says so too.
        try? connection.endStream { (encoder, buffer) in
            _ = encoder.encodeStreamAbort(code: 0, reason: "the writer was let go", into: &buffer)
        }
    }

    func write(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        try checkOpen()
        guard !bytes.isEmpty else { return }
        try await connection.enqueue(.streamBytes) { (encoder, buffer) throws(ParleyError) in
            encoder.encodeStreamBytes(bytes, into: &buffer)
        }
    }

    /// Writes a part of a file: the kernel moves it, unless the wire form has to see the bytes.
    func write(_ range: FileRange) async throws(ParleyError) {
        try checkOpen()
        var isAccepted = false
        try await connection.enqueue(.streamBytes, file: range) { (encoder, buffer) throws(ParleyError) in
            isAccepted = encoder.encodeStreamBytesHeader(count: range.count, into: &buffer)
            return isAccepted
        }
        if !isAccepted { try await write(range.file.read(at: range.offset, count: range.count)) }
    }

    func finish() async throws(ParleyError) {
        guard isFirstEnd() else { return }
        try connection.endStream { (encoder, buffer) in encoder.encodeStreamEnd(into: &buffer) }
    }

    func abort(code: UInt32, reason: String) async {
        guard isFirstEnd() else { return }
        var isSaid = false
        try? connection.endStream { (encoder, buffer) in
            isSaid = encoder.encodeStreamAbort(code: code, reason: reason, into: &buffer)
        }
        guard !isSaid else { return }
        connection.fail(ParleyError(.streamAborted, "this side aborted its stream: \(reason)"))
    }

    private func isFirstEnd() -> Bool {
        isOver.withLock { isOver in
            defer { isOver = true }
            return !isOver
        }
    }

    private func checkOpen() throws(ParleyError) {
        guard !isOver.withLock({ $0 }) else {
            throw ParleyError(.closed, "the stream to \(connection.remoteAddress) is finished")
        }
    }
}

extension Connection {
    /// Appends the stream's end, and lets the next message or stream through. Never waits: an end is small.
    func endStream(_ encode: (inout any Decoder, inout WireBuffer) -> Void) throws(ParleyError) {
        let (woken, needsFlush) = try outbound.withLock { outbound throws(ParleyError) in
            outbound.isStreamOpen = false
            if let reason = outbound.life.reason { throw reason }
            try outbound.encode { (encoder, buffer) throws(ParleyError) in encode(&encoder, &buffer) }
            return (outbound.senders.wakeAll(), outbound.requestFlush())
        }
        woken.resume()
        if needsFlush { loop.atEndOfTurn(self) }
    }
}
