import ParleyNoise
import Testing

@testable import Parley

/// The dialing side of a libp2p connection over a raw socket, step by step.
final class LibP2PDialer: @unchecked Sendable {
    let identity = Identity()
    private let socket: RawSocket
    private let session: any SecureSession

    /// - Parameter streamMuxers: what it offers in its handshake.
    init(to address: String, offering streamMuxers: [String]) throws {
        socket = try RawSocket(connectingTo: address)
        session = NoiseSecurity(identity).makeSession(
            isInitiator: true,
            expecting: nil,
            offering: streamMuxers
        )
    }

    func write(_ bytes: [UInt8]) throws { try socket.write(bytes) }

    func read(exactly count: Int) async throws -> [UInt8] { try await socket.read(exactly: count) }

    /// The handshake of Noise. Returns what the listener has shown.
    func shakeHands() async throws -> ShownIdentity {
        var output: [UInt8] = []
        try session.begin(into: &output)
        try write(output)
        let answer = try await message()
        output = []
        let shown = try session.advance(answer, into: &output)
        try write(output)
        return try #require(shown)
    }

    /// Sends bytes as one message.
    func send(_ bytes: [UInt8]) throws { try write(sealed(bytes)) }

    /// The bytes as one message.
    func sealed(_ bytes: [UInt8]) throws -> [UInt8] {
        var output: [UInt8] = []
        try session.seal(bytes.span, into: &output)
        return output
    }

    /// The content of the next message.
    func receive() async throws -> [UInt8] {
        var message = try await message()
        let count = message.count
        let content = try session.open(&message, at: 0, count: count)
        return Array(message[content])
    }

    private func message() async throws -> [UInt8] {
        let length = try await read(exactly: SecureMessage.lengthBytes)
        return try await read(exactly: Int(length[0]) << 8 | Int(length[1]))
    }
}
