import Testing

@testable import Parley

/// Each limit on peers is enforced, counted, named in errors, and lifted when there is room.
@Suite(.timeLimit(.minutes(10))) struct LimitTests {
    @Test(arguments: Kind.plain, [AcceptPause.maxPeers, .maxInboundPeers])
    func `connections over the limit wait in the backlog until a peer leaves`(
        kind: Kind,
        limit: AcceptPause
    ) async throws {
        try await withNodes(kind) { nodes in
            let log = Log()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.logger = log.logger
                if limit == .maxPeers { $0.limits.maxPeers = 2 } else { $0.limits.maxInboundPeers = 2 }
            }
            let client = nodes.make { $0.decoder = .framed }
            let first = try await client.dial(server.address)
            let second = try await client.dial(server.address)
            try await eventually { server.statistics.inboundPeers == 2 }
            // The kernel has completed this connection; the node has not accepted it.
            let third = try await client.dial(server.address)
            try await third.send(message: "third")
            try await eventually { server.statistics.acceptPause == limit }
            #expect(server.statistics.inboundPeers == 2 && server.statistics.accepted == 2)
            #expect(server.statistics.acceptPauses[limit] == 1)
            #expect(try await log.first("accepting paused").metadata["limit"] == "\(limit.rawValue)")
            await first.close()
            #expect(try await server.nextRPC().text == "third")
            try await eventually { server.statistics.inboundPeers == 2 && server.statistics.accepted == 3 }
            await second.close()
        }
    }

    @Test(arguments: Kind.plain)
    func `concurrent handshakes are limited, and further connections wait`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening {
                $0.limits.maxHandshakes = 1
                $0.handshake = { peer in _ = try await peer.read(exactly: 1) }
            }
            let client = nodes.make()
            let first = try await client.dial(server.address)
            let second = try await client.dial(server.address)
            try await second.send([1])
            try await eventually { server.statistics.acceptPause == .maxHandshakes }
            #expect(server.statistics.handshaking == 1 && server.statistics.inboundPeers == 0)
            try await first.send([1])
            try await eventually { server.statistics.inboundPeers == 2 && server.statistics.handshaking == 0 }
            #expect(server.statistics.acceptPause == nil)
        }
    }

    @Test(arguments: Kind.plain)
    func `a failed handshake makes room for the next one`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening {
                $0.limits.maxHandshakes = 1
                $0.handshake = { peer in _ = try await peer.read(exactly: 1) }
            }
            let client = nodes.make()
            let first = try await client.dial(server.address)
            let second = try await client.dial(server.address)
            try await second.send([1])
            try await eventually { server.statistics.acceptPause == .maxHandshakes }
            await first.close()
            try await eventually { server.statistics.inboundPeers == 1 }
            #expect(server.statistics.handshakesFailed == 1)
        }
    }

    @Test(arguments: Kind.allCases)
    func `more dials than maxOutboundPeers or maxPeers throw, until one has ended`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            for change: @Sendable (inout Limits) -> Void in [
                { $0.maxOutboundPeers = 1 }, { $0.maxPeers = 1 },
            ] {
                let client = nodes.make { change(&$0.limits) }
                let peer = try await client.dial(server.address)
                let refused = try await error { _ = try await client.dial(server.address) }
                #expect(refused.code == .tooManyPeers)
                #expect(refused.message.contains("peers, the most allowed"))
                #expect(client.statistics.dialsFailed == 1)
                await peer.close()
                try await eventually { client.statistics.peers == 0 }
                _ = try await client.dial(server.address)
                // A failed dial does not count any more.
                let other = nodes.make { change(&$0.limits) }
                await #expect(throws: ParleyError.self) { try await other.dial("127.0.0.1:1") }
                _ = try await other.dial(server.address)
            }
        }
    }

    @Test func `strangers cannot fill the log with connections that were never open`() async throws {
        try await withNodes(.tcp) { nodes in
            let log = Log()
            let server = try await nodes.listening {
                $0.handshake = { peer in _ = try await peer.read(exactly: 1) }
                $0.logger = log.logger
            }
            for count in 1...100 {
                try RawSocket(connectingTo: server.address).close()
                try await eventually { server.statistics.disconnects.values.reduce(0, +) == count }
            }
            // Ten at once, and then one a second.
            let seconds = Int(server.statistics.uptime / .seconds(1))
            #expect((1...11 + seconds).contains(log.lines("peer disconnected").count))
        }
    }

    @Test(arguments: Kind.allCases)
    func `connections from one address are limited`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let log = Log()
            let server = try await nodes.listening {
                $0.limits.exemptsLoopback = false
                $0.limits.maxPeersPerIPv4 = 2
                $0.logger = log.logger
            }
            let client = nodes.make()
            let first = try await client.dial(server.address)
            _ = try await client.dial(server.address)
            try await eventually { server.statistics.inboundPeers == 2 }
            try await expectReset(dialing: server.address, from: nodes)
            try await eventually { server.statistics.refusals == [.tooManyFromAddress: 1] }
            let line = try await log.first("connection refused")
            #expect(line.metadata["reason"] == "tooManyFromAddress")
            #expect(line.metadata["peer"]?.description.hasPrefix("127.0.0.1:") == true)
            #expect(server.statistics.accepted == 2)
            await first.close()
            try await eventually { server.statistics.inboundPeers == 1 }
            _ = try await client.dial(server.address)
            try await eventually { server.statistics.inboundPeers == 2 }
        }
    }

    @Test(arguments: Kind.plain)
    func `connections over the accept rate wait, and all are accepted`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.limits.exemptsLoopback = false
                $0.limits.maxPeersPerIPv4 = 100
                $0.limits.acceptsPerSecond = 1
            }
            let client = nodes.make()
            let began = ContinuousClock.now
            for _ in 0..<3 { _ = try await client.dial(server.address) }
            try await eventually { server.statistics.inboundPeers == 3 }
            // One accept at once, then one a second.
            #expect(began.duration(to: .now) >= .milliseconds(1_500))
            // A slow machine only makes this take longer.
            #expect(
                server.statistics.acceptPauses[.acceptsPerSecond, default: 0] >= 1
                    || began.duration(to: .now) >= .seconds(3)
            )
            #expect(server.statistics.refusals.isEmpty)
            try await eventually { server.statistics.acceptPause == nil }
        }
    }

    @Test(arguments: [false, true])
    func `loopback is exempt from an accept rate that others have used up`(exempt: Bool) async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.limits.exemptsLoopback = exempt }
            let node = server.itsNode
            let hosts = ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "192.0.2.1", "2001:db8::1"]
            let decisions = await onLoop(of: server) {
                // The rate is used up for a minute.
                for _ in 0..<61_000 { node.acceptBudget.take() }
                let permit = if case .now = node.acceptPermit() { true } else { false }
                return [permit]
                    + hosts.map { host in
                        let ip = IPAddress(host)
                        switch node.admit(ip, SocketAddress(host: host, port: 1)) {
                        case .admitted:
                            node.withdraw(ip)
                            return true
                        case .refused, .after, .whenThereIsRoom: return false
                        }
                    }
            }
            #expect(decisions == [exempt, exempt, exempt, exempt, exempt, false, false])
            guard exempt else { return }
            // No token comes in less than a minute.
            let socket = try RawSocket(connectingTo: server.address)
            try await eventually { server.statistics.accepted == 1 }
            socket.close()
        }
    }

    @Test func `a connection waits when a dial has taken the last place meanwhile`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.limits.maxPeers = 1 }
            let node = server.itsNode
            let target = try SocketAddress("127.0.0.1:1")
            let (mayTake, waits) = await onLoop(of: server) {
                let mayTake = if case .now = node.acceptPermit() { true } else { false }
                try? node.beginDial(to: target)
                let decision = node.admit(IPAddress("127.0.0.1"), target)
                let waits = if case .whenThereIsRoom = decision { true } else { false }
                return (mayTake, waits)
            }
            #expect(mayTake && waits && server.statistics.acceptPause == .maxPeers)
            let socket = try RawSocket(connectingTo: server.address)
            defer { socket.close() }
            node.dialFailed(ParleyError(.connectionRefused, ""))
            try await eventually { server.statistics.inboundPeers == 1 }
        }
    }

    private func onLoop<Result: Sendable>(
        of transport: any Transport,
        _ body: @escaping @Sendable () -> Result
    ) async -> Result {
        await withCheckedContinuation { done in
            transport.eventLoop.execute { done.resume(returning: body()) }
        }
    }

    @Test func `close ends connections in the backlog`() async throws {
        try await withNodes(.memory) { nodes in
            let server = try await nodes.listening { $0.limits.maxPeers = 1 }
            let ends = Events<ParleyError>()
            let client = nodes.make { $0.onDisconnect = { _, reason in ends.add(reason) } }
            _ = try await client.dial(server.address)
            _ = try await client.dial(server.address)
            try await eventually { server.statistics.acceptPause == .maxPeers }
            await server.close()
            #expect(
                Set([try await ends.next().code, try await ends.next().code]) == [
                    .endOfStream, .connectionReset,
                ]
            )
        }
    }
}
