import Testing

@testable import Parley

/// A node that stops listening and stays.
@Suite(.timeLimit(.minutes(10))) struct StopListeningTests {
    @Test(arguments: [Kind.tcp, .memory, .loops, .secured])
    func `nobody connects any more, and peers stay`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let (client, other) = (nodes.make(), nodes.make())
            let address = server.address
            let peer = try await client.dial(address)
            try await eventually { server.statistics.peers == 1 }
            await server.stopListening()
            #expect(server.address == "127.0.0.1:0")
            #expect(try await error { try await other.dial(address) }.code == .connectionRefused)
            // Its port is free.
            let third = try await nodes.listening { $0.listenAddress = address }
            _ = try await server.dial(third.address)
            try await peer.send(message: "still here")
            #expect(try await server.nextRPC().text == "still here")
            await server.stopListening()
        }
    }

    @Test(arguments: [Kind.tcp, .memory, .loops])
    func `it may listen again`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            for _ in 0..<3 {
                await server.stopListening()
                try await server.listenAndAccept()
                let peer = try await nodes.make().dial(server.address)
                try await peer.send(message: "hello")
                #expect(try await server.nextRPC().text == "hello")
                #expect(try await error { try await server.listenAndAccept() }.code == .alreadyListening)
            }
        }
    }

    @Test(arguments: [Kind.tcp, .memory])
    func `connections that wait for a place are refused`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.limits.maxInboundPeers = 1
            }
            let client = nodes.make { $0.decoder = .framed }
            let peer = try await client.dial(server.address)
            // Its connection waits in the backlog, behind the one that has the only place.
            let second = try await client.dial(server.address)
            try await eventually { server.statistics.acceptPause == .maxInboundPeers }
            await server.stopListening()
            #expect(server.statistics.acceptPause == nil)
            #expect([.connectionReset, .endOfStream].contains(try await second.untilClosed().code))
            await peer.close()
            try await eventually { server.statistics.peers == 0 }
            try await server.listenAndAccept()
            _ = try await client.dial(server.address)
            try await eventually { server.statistics.peers == 1 }
        }
    }

    @Test(arguments: [Kind.tcp, .memory])
    func `it stops and starts from several tasks at once`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = nodes.make()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<60 {
                    group.addTask {
                        guard index.isMultiple(of: 2) else { return await server.stopListening() }
                        do throws(ParleyError) { try await server.listenAndAccept() } catch {
                            #expect([.alreadyListening, .cancelled].contains(error.code), "\(error)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            await server.stopListening()
            try await server.listenAndAccept()
            let peer = try await nodes.make().dial(server.address)
            try await peer.send(message: "hello")
            #expect(try await server.nextRPC().text == "hello")
        }
    }

    @Test func `listening that is under way fails`() async throws {
        try await withNodes(.tcp) { nodes in
            let node = nodes.make { $0.listenAddress = "localhost:0" }
            let server = try #require(node as? TCPTransport)
            // Its loop looks the name up, and binds, once it is let go.
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            let listening = Task { try await node.listenAndAccept() }
            try await eventually {
                server.node.state.withLock { if case .starting = $0.listening { true } else { false } }
            }
            await node.stopListening()
            held.letGo()
            #expect(try await error { try await listening.value }.code == .cancelled)
            #expect(node.address == "localhost:0")
            try await node.listenAndAccept()
            await node.close()
            await node.stopListening()
        }
    }
}
