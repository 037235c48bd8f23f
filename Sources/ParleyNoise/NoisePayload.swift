import Parley

/// What each side shows in the handshake, encrypted: its identity, and a signature of its static key by that
/// identity.
///
///     1 identity_key   the protobuf of the public key
///     2 identity_sig   the signature of "noise-libp2p-static-key:" and the static key
///     4 extensions     2 stream_muxers: the names of stream forms, the preferred one first
///
/// Source: <https://github.com/libp2p/specs/blob/master/noise/README.md>, "The libp2p Handshake Payload".
package struct NoisePayload: Sendable, Equatable {
    let id: PeerID
    let signature: [UInt8]
    var streamMuxers: [String] = []

    private static let signedPrefix = [UInt8]("noise-libp2p-static-key:".utf8)
    /// How many names of stream forms are read.
    private static let maxStreamMuxers = 32

    private enum Field {
        static let identityKey: UInt32 = 1
        static let identitySignature: UInt32 = 2
        static let extensions: UInt32 = 4
        /// Of the extensions.
        static let streamMuxers: UInt32 = 2
    }

    /// The payload by which `identity` vouches for a static key.
    package init(_ identity: Identity, staticKey: [UInt8], streamMuxers: [String] = []) {
        id = identity.id
        signature = identity.sign(Self.signedPrefix + staticKey)
        self.streamMuxers = streamMuxers
    }

    /// Reads a payload, and checks that its identity has signed the static key.
    ///
    /// - Throws: `securityFailed`.
    init(_ bytes: [UInt8], staticKey: [UInt8]) throws(ParleyError) {
        var key: [UInt8]?
        var signature: [UInt8]?
        var muxers: [String]?
        var reader = ProtobufReader(bytes[...], malformed: Self.malformed)
        while let field = try reader.next() {
            switch (field.number, field.content) {
            case (Field.identityKey, .bytes(let bytes)):
                try Self.set(&key, Array(bytes), "identity")
            case (Field.identitySignature, .bytes(let bytes)):
                try Self.set(&signature, Array(bytes), "signature")
            case (Field.extensions, .bytes(let bytes)):
                try Self.set(&muxers, try Self.muxers(of: bytes), "list of extensions")
            case (Field.identityKey, _), (Field.identitySignature, _), (Field.extensions, _):
                throw ParleyError(.securityFailed, "field \(field.number) of the handshake is malformed")
            default: break
            }
        }
        guard let key, let signature else {
            throw ParleyError(.securityFailed, "the other side shows no identity")
        }
        guard let id = PeerID(publicKeyProtobuf: key) else {
            throw ParleyError(.securityFailed, "the other side's identity is not an Ed25519 key")
        }
        guard Sodium.verify(signature, of: Self.signedPrefix + staticKey, by: id.publicKey) else {
            throw ParleyError(.securityFailed, "\(id) has not signed the other side's key")
        }
        self.id = id
        self.signature = signature
        streamMuxers = muxers ?? []
    }

    private static var malformed: ParleyError {
        ParleyError(.securityFailed, "what the other side shows of itself is malformed")
    }

    private static func set<Value>(_ value: inout Value?, _ new: Value, _ name: String) throws(ParleyError) {
        guard value == nil else {
            throw ParleyError(.securityFailed, "the other side shows a second \(name)")
        }
        value = new
    }

    private static func muxers(of extensions: ArraySlice<UInt8>) throws(ParleyError) -> [String] {
        var names: [String] = []
        var reader = ProtobufReader(extensions, malformed: malformed)
        while let field = try reader.next() {
            guard field.number == Field.streamMuxers, case .bytes(let name) = field.content,
                names.count < maxStreamMuxers
            else { continue }
            names.append(String(decoding: name, as: UTF8.self))
        }
        return names
    }

    /// The bytes on the wire, inside the encryption.
    package var encoded: [UInt8] {
        var writer = ProtobufWriter()
        writer.append(Field.identityKey, id.publicKeyProtobuf)
        writer.append(Field.identitySignature, signature)
        return writer.bytes + Self.extensions(streamMuxers)
    }

    /// The field that offers forms of streams; empty when there are none.
    static func extensions(_ streamMuxers: [String]) -> [UInt8] {
        guard !streamMuxers.isEmpty else { return [] }
        var extensions = ProtobufWriter()
        for name in streamMuxers { extensions.append(Field.streamMuxers, [UInt8](name.utf8)) }
        var writer = ProtobufWriter()
        writer.append(Field.extensions, extensions.bytes)
        return writer.bytes
    }
}
