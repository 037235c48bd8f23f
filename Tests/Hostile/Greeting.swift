import Parley
import ParleyNoise

/// The server's handshake: a peer says these bytes, and the server says them back.
enum Greeting {
    static let bytes: [UInt8] = Array("parley hostile 1".utf8)

    struct NotOurs: Error {}

    static func handshake(_ peer: any Peer) async throws {
        if peer.isOutbound { try await peer.send(bytes) }
        guard try await peer.read(exactly: bytes.count) == bytes[...] else { throw NotOurs() }
        if !peer.isOutbound { try await peer.send(bytes) }
    }
}

extension TransportOptions {
    /// The options of a peer that behaves.
    static func good(_ kind: NodeKind) -> TransportOptions {
        var options = TransportOptions(decoder: kind.wireForm)
        options.handshake = Greeting.handshake
        if kind.isSecured { options.security = .noise(Identity()) }
        return options
    }
}
