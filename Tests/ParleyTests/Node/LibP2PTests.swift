import ParleyNoise
import Testing

@testable import Parley

/// Connections as libp2p nodes make them: what is on the wire, and what is refused.
@Suite(.timeLimit(.minutes(5))) struct LibP2PTests {
    private static let header = Multistream.header

    private static func lines(_ texts: String...) -> [UInt8] {
        var output = WireBuffer()
        for text in texts { Multistream.write(text, into: &output) }
        return output.contiguous
    }

    /// A yamux frame that opens stream 1, proposes a protocol, and says everything there is to say.
    private static func stream(_ name: String, _ content: [UInt8]) -> [UInt8] {
        let bytes = lines(header, name) + content
        return [0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, UInt8(bytes.count)] + bytes
    }

    @Test func `without an identity nothing begins, and the error says what is missing`() async throws {
        try await withNodes(.tcp, .libp2p) { nodes in
            let node = nodes.make()
            for failure in [
                try await error { try await node.listenAndAccept() },
                try await error { try await node.dial("127.0.0.1:1") },
            ] {
                #expect(failure.code == .invalidArgument)
                #expect(failure.message.contains("security to .noise(identity)"))
            }
        }
    }

    @Test func `who dials proposes Noise, and waits for the answer`() async throws {
        try await withNodes(.libp2p) { nodes in
            let listener = try RawListener()
            let dialing = Task { try await nodes.make().dial(listener.address) }
            let socket = try await listener.accept()
            let proposal = Self.lines(Self.header, "/noise")
            #expect(try await socket.read(exactly: proposal.count) == proposal)
            try socket.write(Self.lines(Self.header, "na"))
            let failure = try await error { _ = try await dialing.value }
            #expect(failure.code == .unsupported && failure.message.contains("/noise"))
        }
    }

    /// Whoever offers no form of streams in the handshake negotiates one behind it; and what comes in the
    /// same message as that is not lost.
    @Test(arguments: [[], ["/mplex/6.7.0"], ["/mplex/6.7.0", "/yamux/1.0.0"]])
    func `the form of streams is negotiated unless both offer yamux`(offer: [String]) async throws {
        try await withNodes(.libp2p) { nodes in
            let server = try await nodes.listening()
            let arrived = Events<[UInt8]>()
            try server.accept("/hear/1") { stream in arrived.add(Array(try await stream.read(exactly: 2))) }
            let dialer = try LibP2PDialer(to: server.address, offering: offer)
            try dialer.write(Self.lines(Self.header, "/tls/1.0.0"))
            let refusal = Self.lines(Self.header, "na")
            #expect(try await dialer.read(exactly: refusal.count) == refusal)
            try dialer.write(Self.lines("/noise"))
            let agreement = Self.lines("/noise")
            #expect(try await dialer.read(exactly: agreement.count) == agreement)
            #expect(try await dialer.shakeHands().streamMuxers == ["/yamux/1.0.0"])
            if offer.contains("/yamux/1.0.0") {
                try dialer.send(Self.stream("/hear/1", [7, 8]))
            } else {
                try dialer.send(Self.lines(Self.header, "/mplex/6.7.0"))
                #expect(try await dialer.receive() == Self.lines(Self.header, "na"))
                try dialer.send(Self.lines("/yamux/1.0.0") + Self.stream("/hear/1", [7, 8]))
                #expect(try await dialer.receive() == Self.lines("/yamux/1.0.0"))
            }
            #expect(try await arrived.next() == [7, 8])
            #expect(server.peer(dialer.identity.id) != nil)
        }
    }

    @Test func `a node that begins with Noise at once is refused`() async throws {
        try await withNodes(.libp2p) { nodes in
            let server = try await nodes.listening()
            let dialer = try LibP2PDialer(to: server.address, offering: [])
            _ = try? await dialer.shakeHands()
            try await eventually { server.statistics.disconnects[.protocolViolation] == 1 }
        }
    }

    @Test func `a dial to another id ends before it says who dials`() async throws {
        try await withNodes(.libp2p) { nodes in
            let server = try await nodes.listening()
            let wrong = Identity().id
            let failure = try await error { try await nodes.make().dial("\(wrong)@\(server.address)") }
            #expect(failure.code == .identityMismatch)
        }
    }

    @Test func `messages and requests reach another Parley node`() async throws {
        try await withNodes(.libp2p) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            try await peer.send(message: "hello")
            #expect(try await server.nextRPC().text == "hello")
            async let answer = peer.request(Array("question".utf8)[...], timeout: .seconds(30))
            try await server.nextRPC().reply(with: Array("answer".utf8)[...])
            #expect(try await Array(answer) == Array("answer".utf8))
        }
    }
}
