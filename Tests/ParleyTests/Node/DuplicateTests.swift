import Testing

@testable import Parley

/// Two connections with one node, of which one is ending already.
@Suite(.timeLimit(.minutes(10))) struct DuplicateTests {
    @Test(arguments: [false, true])
    func `a new connection stays when the existing one is closing`(smallerDials: Bool) async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let listener = try RawListener()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.close = .seconds(60)
                $0.onDisconnect = { _, reason in ends.add(reason) }
                // Either rule prefers the connection that this side has dialed first.
                $0.duplicates =
                    smallerDials
                    ? .smallerDials(identity: "a") { _ in "b" }
                    : DuplicateRule(identify: { _ in "b" }, settle: { _, _ in .keepExisting })
            }
            let existing = try await server.dial(listener.address)
            let first = try await listener.accept()
            // More than the sockets hold: closing has to wait for the reader.
            let size = 15 << 20
            try await existing.send(message: patterned(size))
            let closing = Task { await existing.close() }
            try await eventually { (try? existing.trySend(message: "too late")) == nil }
            let second = try RawSocket(connectingTo: server.address)
            try second.write([1, 0, 0, 0, 3] + Array("new".utf8))
            try await eventually { server.statistics.traffic.messagesReceived == 1 }
            let rpc = try await server.nextRPC()
            #expect(rpc.text == "new")
            #expect(ends.soFar.isEmpty)
            // What was sent on the old one arrives, and the new one goes on.
            try await first.skip(5 + size)
            #expect(await first.read()?.isEmpty == true)
            first.close()
            await closing.value
            #expect(try await ends.next().code == .closed)
            try await rpc.peer.send(message: "answer")
            #expect(try await second.read(exactly: 11).dropFirst(5) == Array("answer".utf8)[...])
            #expect(server.peers.map(\.remoteAddress) == [rpc.peer.remoteAddress])
        }
    }

    @Test func `a new connection stays when the existing one is half-closed`() async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) {
                $0.timeouts.close = .seconds(60)
                $0.duplicates = DuplicateRule(identify: { _ in "b" }, settle: { _, _ in .keepExisting })
            }
            let first = try RawSocket(connectingTo: server.address)
            try first.write([1, 0, 0, 0, 3] + Array("old".utf8))
            var consumer = server.consume().makeAsyncIterator()
            let existing = try #require(await consumer.next()?.peer as? Connection)
            // The consumer is not done with the message until it asks for more.
            first.finish()
            try await eventually { existing.isHalfClosed }
            let second = try RawSocket(connectingTo: server.address)
            try await eventually { server.peers.contains { $0 !== existing } }
            try second.write([1, 0, 0, 0, 3] + Array("new".utf8))
            let rpc = try #require(await consumer.next())
            #expect(rpc.text == "new" && server.peers.contains { $0 === rpc.peer })
        }
    }

    @Test func `a new connection that ends while the rule is asked leaves no identity`() async throws {
        try await withNodes(.tcp) { nodes in
            let asked = Events<Bool>()
            let server = try await nodes.listening {
                // With onPeer, the rule is applied on a thread that is not the loop's.
                $0.onPeer = { _ in }
                $0.duplicates = DuplicateRule(
                    identify: { _ in "b" },
                    settle: { _, new in
                        guard let new = new as? Connection else { return .keepBoth }
                        new.fail(ParleyError(.closed, "it ends now"))
                        let deadline = ContinuousClock.now + .seconds(30)
                        while new.node.connection(new.number) != nil, .now < deadline {}
                        asked.add(new.node.connection(new.number) == nil)
                        return .keepNew
                    }
                )
            }
            let first = try RawSocket(connectingTo: server.address)
            try await eventually { server.statistics.peers == 1 }
            let second = try RawSocket(connectingTo: server.address)
            #expect(try await asked.next())
            first.close()
            second.close()
            try await eventually { server.statistics.peers + server.statistics.handshaking == 0 }
            try await eventually {
                server.itsNode.state.withLock { $0.identities.isEmpty && $0.identityOf.isEmpty }
            }
        }
    }

    @Test func `of two dials at once one stays, whichever the other side opens first`() async throws {
        try await withNodes(.tcp) { nodes in
            // The client's addresses, in the order in which it opens its connections.
            let order = Lock<[SocketAddress?]>([])
            let (clients, servers) = (Lock<[any Transport]>([]), Lock<[any Transport]>([]))
            @Sendable func hasOpenedOne(_ nodes: Lock<[any Transport]>) -> Bool {
                nodes.withLock { $0.first }?.statistics.peers == 1
            }
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.duplicates = .smallerDials(identity: "b") { _ in "a" }
                $0.onPeer = { peer in
                    try await eventually { order.withLock { $0.count >= 2 } }
                    // It opens the client's first one last.
                    if order.withLock({ $0[0] == peer.remoteAddress }) {
                        try await eventually { hasOpenedOne(servers) }
                    }
                }
            }
            let client = nodes.make {
                $0.decoder = .framed
                $0.duplicates = .smallerDials(identity: "a") { _ in "b" }
                $0.onPeer = { peer in
                    let number = order.withLock { order in
                        order.append(peer.localAddress)
                        return order.count
                    }
                    try await eventually { order.withLock { $0.count >= 2 } }
                    if number == 2 { try await eventually { hasOpenedOne(clients) } }
                }
            }
            clients.withLock { $0 = [client] }
            servers.withLock { $0 = [server] }
            // These lists hold the nodes, whose options hold the lists.
            defer { for nodes in [clients, servers] { nodes.withLock { $0 = [] } } }
            async let one = try? client.dial(server.address)
            async let other = try? client.dial(server.address)
            _ = await (one, other)
            try await eventually { server.statistics.disconnects == [.duplicate: 1] }
            try await eventually { client.statistics.peers == 1 && server.statistics.peers == 1 }
            #expect(client.peers[0].localAddress == server.peers[0].remoteAddress)
            try await client.peers[0].send(message: "hello")
            #expect(try await server.nextRPC().text == "hello")
            // One that begins when the other is open is newer on both sides.
            let again = try await client.dial(server.address)
            try await eventually { client.peers.count == 1 && client.peers[0] === again }
        }
    }

    @Test(arguments: Kind.allCases)
    func `the identity of a gone connection is forgotten`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let asked = Events<Bool>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.duplicates = DuplicateRule(
                    identify: { _ in "b" },
                    settle: { _, _ in
                        asked.add(true)
                        return .keepBoth
                    }
                )
            }
            let client = nodes.make { $0.decoder = .framed }
            let identities = {
                server.itsNode.state.withLock { ($0.identities.count, $0.identityOf.count) }
            }
            // One after the other: each is the only one with its identity.
            for _ in 0..<3 {
                let peer = try await client.dial(server.address)
                try await eventually { server.statistics.inboundPeers == 1 }
                #expect(identities() == (1, 1))
                await peer.close()
                // A peer is no longer counted a moment before its identity is forgotten.
                try await eventually { identities() == (0, 0) }
            }
            #expect(asked.soFar.isEmpty, "a gone connection is no duplicate")
            // Of two, the first represents the identity, and goes on to when the second has gone.
            let first = try await client.dial(server.address)
            try await eventually { server.statistics.inboundPeers == 1 }
            let second = try await client.dial(server.address)
            #expect(try await asked.next())
            try await eventually { server.statistics.inboundPeers == 2 }
            #expect(identities() == (1, 2))
            await second.close()
            try await eventually { identities() == (1, 1) }
            await first.close()
            try await eventually { identities() == (0, 0) }
        }
    }
}
