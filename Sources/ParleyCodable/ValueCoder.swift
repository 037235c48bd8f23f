public import Foundation

/// Turns values into the bytes of a message or a stream's header, and back. Both ends use the same one.
///
/// ``JSONCoder`` is the one that is used when nothing is said. For another format, such as a property list or
/// MessagePack, write these two functions.
public protocol ValueCoder: Sendable {
    /// The bytes of a value.
    func encode(_ value: some Encodable) throws -> [UInt8]

    /// The value of bytes that came from a peer: expect anything.
    func decode<Value: Decodable>(_ type: Value.Type, from bytes: ArraySlice<UInt8>) throws -> Value
}

/// Values as JSON.
public struct JSONCoder: ValueCoder {
    private let configureEncoder: @Sendable (JSONEncoder) -> Void
    private let configureDecoder: @Sendable (JSONDecoder) -> Void

    /// Makes a coder.
    ///
    /// ```swift
    /// let coder = JSONCoder {
    ///     $0.dateEncodingStrategy = .iso8601
    /// } decoder: {
    ///     $0.dateDecodingStrategy = .iso8601
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - encoder: called with each new encoder before it is used.
    ///   - decoder: called with each new decoder before it is used.
    public init(
        encoder: @escaping @Sendable (JSONEncoder) -> Void = { _ in },
        decoder: @escaping @Sendable (JSONDecoder) -> Void = { _ in }
    ) {
        configureEncoder = encoder
        configureDecoder = decoder
    }

    /// See ``ValueCoder/encode(_:)``.
    public func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        configureEncoder(encoder)
        return Array(try encoder.encode(value))
    }

    /// See ``ValueCoder/decode(_:from:)``.
    public func decode<Value: Decodable>(_ type: Value.Type, from bytes: ArraySlice<UInt8>) throws -> Value {
        let decoder = JSONDecoder()
        configureDecoder(decoder)
        return try decoder.decode(type, from: Data(bytes))
    }
}
