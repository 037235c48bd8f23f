import Testing

@testable import Parley

/// Ping and identify between two nodes.
@Suite(.timeLimit(.minutes(5))) struct IdentifyTests {
    @Test func `pings come back`() async throws {
        try await withNodes(.libp2p) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            for _ in 0..<100 { #expect(try await peer.ping() > .zero) }
            #expect(try await peer.ping(timeout: .seconds(Int64.max)) > .zero)
            try await eventually { peer.statistics.openStreams == 0 }
        }
    }

    /// A node of the multiplexed form has protocols of the application's alone.
    private func withAnswer(
        _ answer: @escaping @Sendable (PeerStream) async throws -> Void,
        to name: String,
        within limit: Duration = .seconds(60),
        _ body: (any Peer) async throws -> Void
    ) async throws {
        try await withNodes(.securedMultiplexed) { nodes in
            let server = try await nodes.listening()
            try server.accept(name, answer)
            try await body(nodes.make { $0.handshakeTimeout = limit }.dial(server.address))
        }
    }

    @Test func `a ping that is answered wrongly, late or not at all throws`() async throws {
        try await withAnswer(
            { stream in
                try await stream.write([UInt8](repeating: 0, count: 32)[...])
                _ = try await stream.read(upTo: 64)
            },
            to: LibP2P.ping
        ) { peer in
            let thrown = try await error { try await peer.ping() }
            #expect(thrown.code == .protocolViolation)
        }
        try await withAnswer({ stream in for try await _ in stream.chunks() {} }, to: LibP2P.ping) { peer in
            let late = try await error { try await peer.ping(timeout: .milliseconds(20)) }
            #expect(late.code == .timedOut && late.message.contains("/ipfs/ping/1.0.0"))
        }
        try await withAnswer({ _ in }, to: "/other") { peer in
            let thrown = try await error { try await peer.ping() }
            #expect(thrown.code == .unsupported)
        }
    }

    @Test func `both sides know who the other is without asking`() async throws {
        try await withNodes(.libp2p) { nodes in
            let server = try await nodes.listening()
            try server.accept("/echo/1.0.0") { _ in }
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            try await eventually { peer.identification != nil }
            let said = try #require(peer.identification)
            #expect(said.id == peer.id && said.agentVersion == "parley")
            #expect(said.protocolVersion == "ipfs/0.1.0")
            let builtIn = ["/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0"]
            #expect(said.protocols == ["/echo/1.0.0"] + builtIn + ["/parley/framed/1", "/parley/stream/1"])
            let port = try SocketAddress(server.address).port
            #expect(said.listenAddresses.map(\.description) == ["/ip4/127.0.0.1/tcp/\(port)"])
            #expect(said.observedAddress == Multiaddr(peer.localAddress))
            try await eventually { server.peers.first?.identification != nil }
            // The dialer does not listen.
            #expect(server.peers.first?.identification?.listenAddresses == [])
            #expect(try await peer.identify() == said)
        }
    }

    @Test func `peers hear of protocols that come and go`() async throws {
        try await withNodes(.libp2p) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            // At once: whether the other side listens to that may not be known yet.
            try server.accept("/new/1.0.0") { _ in }
            try await eventually { peer.identification?.protocols.contains("/new/1.0.0") == true }
            try server.accept("/new/1.0.0", nil)
            try await eventually { peer.identification?.protocols.contains("/new/1.0.0") == false }
        }
    }

    @Test func `a push of a part leaves what is known of the rest`() async throws {
        try await withNodes(.libp2p) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            try await eventually { server.peers.first?.identification != nil }
            var expected = try #require(server.peers.first?.identification)
            var part = Identification()
            part.listenAddresses = [Multiaddr([.ip4(0x7f00_0001), .tcp(4_097)])]
            expected.listenAddresses = part.listenAddresses
            let push = try await peer.openStream(protocol: LibP2P.identifyPush)
            try await push.write(part.delimited[...])
            push.close()
            try await eventually {
                server.peers.first?.identification?.listenAddresses == part.listenAddresses
            }
            #expect(server.peers.first?.identification == expected)
            // The other side is known to listen to pushes as before.
            try await eventually { peer.identification != nil }
            try server.accept("/new/1.0.0") { _ in }
            try await eventually { peer.identification?.protocols.contains("/new/1.0.0") == true }
        }
    }

    @Test func `lies, endless answers and long ones are not taken`() async throws {
        var other = Identification()
        other.id = try PeerID(publicKey: [UInt8](repeating: 7, count: 32))
        let lie = other.delimited
        let table: [(said: [UInt8], code: ParleyError.Code)] = [
            (lie, .protocolViolation), ([9, 9], .protocolViolation),
            ([UInt8](repeating: 0, count: 70_000), .protocolViolation),
        ]
        for (said, code) in table {
            try await withAnswer(
                { stream in
                    try await stream.write(said[...])
                    try await stream.finish()
                },
                to: LibP2P.identify
            ) { peer in
                let thrown = try await error { try await peer.identify() }
                #expect(thrown.code == code)
                #expect(peer.identification == nil)
            }
        }
        // Its stream never ends. The time of a handshake bounds the dial too, and a busy machine may use it
        // up.
        var hasDialed = false
        for limit in [300, 3_000, 30_000] where !hasDialed {
            do {
                try await withAnswer(
                    { stream in
                        try await stream.write([0])
                        try await eventually { (try? await stream.write([])) == nil }
                    },
                    to: LibP2P.identify,
                    within: .milliseconds(limit)
                ) { peer in
                    hasDialed = true
                    let late = try await error { try await peer.identify() }
                    #expect(late.code == .timedOut)
                }
            } catch let failure as ParleyError where failure.code == .timedOut && !hasDialed { continue }
        }
        #expect(hasDialed)
    }

    @Test func `the library's own protocols are not the application's`() async throws {
        try await withNodes(.libp2p) { nodes in
            let node = nodes.make()
            for name in [LibP2P.ping, LibP2P.identify, LibP2P.identifyPush] {
                for handler in [{ _ in }, nil] as [(@Sendable (PeerStream) async throws -> Void)?] {
                    let refusal = #expect(throws: ParleyError.self) { try node.accept(name, handler) }
                    #expect(refusal?.code == .invalidArgument)
                }
            }
        }
    }
}
