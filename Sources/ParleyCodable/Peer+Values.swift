public import Parley

// The names say `value`, so that bytes, which are Encodable too, are never sent as text by mistake.

extension Peer {
    /// Sends a value as one message; see ``Peer/send(message:)-(ArraySlice<UInt8>)``.
    ///
    /// - Throws: what the coder throws, and ``ParleyError`` as a message does.
    public func send(value: some Encodable, as coder: any ValueCoder = JSONCoder()) async throws {
        try await send(message: coder.encode(value))
    }

    /// Sends a value as one message without waiting; see ``Peer/trySend(message:)-(ArraySlice<UInt8>)``.
    ///
    /// - Returns: whether it was accepted.
    /// - Throws: as ``send(value:as:)``.
    public func trySend(value: some Encodable, as coder: any ValueCoder = JSONCoder()) throws -> Bool {
        try trySend(message: coder.encode(value))
    }

    /// Asks with a value, and decodes the answer; see ``Peer/request(_:timeout:)-(ArraySlice<UInt8>,_)``.
    ///
    /// - Throws: what the coder throws, ``ParleyError`` as a request does, and `protocolViolation` when the
    ///   answer is no such value.
    public func request<Answer: Decodable>(
        value: some Encodable,
        for type: Answer.Type = Answer.self,
        timeout: Duration = .seconds(30),
        as coder: any ValueCoder = JSONCoder()
    ) async throws -> Answer {
        let answer = try await request(coder.encode(value), timeout: timeout)
        return try decoded(answer, "an answer", from: "\(remoteAddress)", type, coder)
    }

    /// Opens a stream with a value as its header; see ``Peer/openStream(header:)``.
    ///
    /// - Throws: what the coder throws, and ``ParleyError`` as `openStream(header:)` does.
    public func openStream(
        headerValue: some Encodable,
        as coder: any ValueCoder = JSONCoder()
    ) async throws -> any StreamWriter { try await openStream(header: coder.encode(headerValue)[...]) }

    /// Opens a stream with a value as its header, and runs `body` with its writer; see
    /// ``Peer/withStream(header:_:)``.
    ///
    /// - Throws: what the coder throws, and as `withStream(header:_:)` does.
    public func withStream<Result>(
        headerValue: some Encodable,
        as coder: any ValueCoder = JSONCoder(),
        _ body: (any StreamWriter) async throws -> Result
    ) async throws -> Result {
        try await withStream(header: coder.encode(headerValue)[...], body)
    }

    /// Sends a file, or a part of it, as one stream with a value as its header; see
    /// ``Peer/sendStream(prefix:contentsOf:header:offset:length:progress:)``.
    ///
    /// - Returns: the number of bytes of the file that were sent.
    /// - Throws: what the coder throws, and ``ParleyError`` as `sendStream` does.
    @discardableResult
    public func sendStream(
        contentsOf path: String,
        headerValue: some Encodable,
        as coder: any ValueCoder = JSONCoder(),
        offset: Int = 0,
        length: Int? = nil,
        progress: (Int) -> Void = { _ in }
    ) async throws -> Int {
        try await sendStream(
            contentsOf: path,
            header: coder.encode(headerValue)[...],
            offset: offset,
            length: length,
            progress: progress
        )
    }
}

extension Transport {
    /// Sends a value as one message to every open peer without waiting; see
    /// ``Transport/broadcast(message:)-(ArraySlice<UInt8>)``.
    ///
    /// - Throws: what the coder throws; nothing is sent then.
    @discardableResult
    public func broadcast(value: some Encodable, as coder: any ValueCoder = JSONCoder()) throws -> Broadcast {
        broadcast(message: try coder.encode(value))
    }

    /// The same, and waits for peers that have no room yet; see
    /// ``Transport/broadcast(message:within:)-(ArraySlice<UInt8>,_)``.
    ///
    /// - Throws: what the coder throws; nothing is sent then.
    @discardableResult
    public func broadcast(
        value: some Encodable,
        as coder: any ValueCoder = JSONCoder(),
        within limit: Duration
    ) async throws -> Broadcast { await broadcast(message: try coder.encode(value), within: limit) }
}
