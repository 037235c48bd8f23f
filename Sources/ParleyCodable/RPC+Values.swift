public import Parley

extension RPC {
    /// The value that the message, or the stream's header, stands for.
    ///
    /// ```swift
    /// try await transport.consumeEachPeer { peer, rpcs in
    ///     for await rpc in rpcs {
    ///         let question = try rpc.decode(Question.self)
    ///         try await peer.send(value: answer(to: question))
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
        do { return try coder.decode(type, from: payload) } catch {
            throw ParleyError(
                .protocolViolation,
                "a \(stream ? "stream's header" : "message") of \(payload.count) bytes from \(from) "
                    + "is no \(type): \(reason(error))"
            )
        }
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
