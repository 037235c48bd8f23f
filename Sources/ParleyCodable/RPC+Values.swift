public import Parley

extension RPC {
    /// The value that the message, or the stream's header, stands for.
    ///
    /// ```swift
    /// try await transport.consumeEachPeer { peer, rpcs in
    ///     for await rpc in rpcs {
    ///         let question = try rpc.decode(Question.self)
    ///         try await rpc.reply(value: answer(to: question))
    ///     }
    /// }
    /// ```
    ///
    /// - Throws: ``ParleyError`` `protocolViolation` when the payload is no such value. Its message names the
    ///   sender and what is missing, and quotes nothing that the sender chose.
    public func decode<Value: Decodable>(
        _ type: Value.Type = Value.self,
        as coder: any ValueCoder = JSONCoder()
    ) throws(ParleyError) -> Value {
        let what = stream ? "a stream's header" : request == nil ? "a message" : "a request"
        return try decoded(payload, what, from: from, type, coder)
    }

    /// Answers the request with a value; see ``RPC/reply(with:)-(ArraySlice<UInt8>)``.
    ///
    /// - Throws: what the coder throws, and ``ParleyError`` as a reply does.
    public func reply(value: some Encodable, as coder: any ValueCoder = JSONCoder()) async throws {
        try await reply(with: coder.encode(value))
    }
}

/// The value that bytes of a peer stand for.
///
/// - Parameter what: what the bytes are, for the error.
func decoded<Value: Decodable>(
    _ bytes: ArraySlice<UInt8>,
    _ what: String,
    from sender: String,
    _ type: Value.Type,
    _ coder: any ValueCoder
) throws(ParleyError) -> Value {
    do { return try coder.decode(type, from: bytes) } catch {
        throw ParleyError(
            .protocolViolation,
            "\(what) of \(bytes.count) bytes from \(sender) is no \(type): \(reason(error))"
        )
    }
}

/// What is wrong, without text of the sender's: a coding path has the sender's names where a value is a
/// dictionary.
private func reason(_ error: any Error) -> String {
    switch error as? DecodingError {
    case .keyNotFound(let key, _): "it lacks \"\(key.stringValue)\""
    case .typeMismatch(let type, _): "a part of it is no \(type)"
    case .valueNotFound(let type, _): "a \(type) in it is null"
    case .dataCorrupted: "it is malformed"
    default: "it cannot be decoded"
    }
}
