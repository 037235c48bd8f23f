import Testing

@testable import Parley

/// Gates and bans.
@Suite(.timeLimit(.minutes(10))) struct GateTests {
    @Test(arguments: Kind.allCases)
    func `connections that the gate denies are reset before the handshake`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let asked = Events<String>()
            let log = Log()
            let server = try await nodes.listening {
                $0.gate = .denying(AddressRange.loopback).and(
                    Gate { address, _ in
                        asked.add(address.host)
                        return true
                    }
                )
                $0.logger = log.logger
                $0.onPeer = { _ in Issue.record("a denied peer was announced") }
            }
            try await expectReset(dialing: server.address, from: nodes)
            #expect(server.statistics.refusals == [.notAllowed: 1] && server.statistics.accepted == 0)
            #expect(asked.soFar.isEmpty)
            #expect(try await log.first("connection refused").metadata["reason"] == "notAllowed")
        }
    }

    @Test(arguments: Kind.allCases) func `the gate is asked about dials`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let closed = nodes.make { $0.gate = .allowing([]) }
            let refused = try await error { _ = try await closed.dial(server.address) }
            #expect(refused.code == .notAllowed && refused.message.contains(server.address))
            let open = nodes.make { $0.gate = Gate.allowing([]).forInbound }
            _ = try await open.dial(server.address)
            let asked = Events<Bool>()
            let asking = nodes.make {
                $0.gate = Gate { _, isOutbound in
                    asked.add(isOutbound)
                    return true
                }
            }
            _ = try await asking.dial(server.address)
            #expect(asked.soFar == [true])
        }
    }

    /// The kernel connects an unspecified address to this host.
    @Test(arguments: ["0.0.0.0", "[::]", "[0::0]", "[::ffff:0.0.0.0]", "[::ffff:0:0]"])
    func `an unspecified address is this host, for the gate too`(host: String) async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.listenAddress = ":0" }
            let port = try SocketAddress(server.address).port
            let closed = nodes.make { $0.gate = .denying(AddressRange.loopback) }
            #expect(try await error { _ = try await closed.dial("\(host):\(port)") }.code == .notAllowed)
            let peer = try await nodes.make().dial("\(host):\(port)")
            #expect(peer.remoteAddress.ip?.isLoopback == true)
        }
    }

    @Test(arguments: Kind.plain)
    func `a ban ends all connections with the address and refuses new ones until it ends`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let (ends, log) = (Events<ParleyError>(), Log())
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.onDisconnect = { _, reason in ends.add(reason) }
                $0.logger = log.logger
            }
            let client = nodes.make { $0.decoder = .framed }
            _ = try await client.dial(server.address)
            let second = try await client.dial(server.address)
            try await second.send(message: "hello")
            let rpc = try await server.nextRPC()
            try await eventually { server.statistics.inboundPeers == 2 }
            rpc.peer.ban(for: .seconds(3_600))
            #expect(try await ends.next().code == .banned)
            #expect(try await ends.next().code == .banned)
            #expect(try await log.first("banned").metadata["address"] == "127.0.0.1/32")
            _ = try? await client.dial(server.address)
            try await eventually { server.statistics.refusals == [.banned: 1] }
            let dialed = try await error { _ = try await server.dial(client.address) }
            #expect(dialed.code == .invalidAddress || dialed.code == .banned)
            try server.takeBack("127.0.0.1")
            _ = try await client.dial(server.address)
            try await eventually { server.statistics.inboundPeers == 1 }
        }
    }

    @Test func `a ban ends a dial that is under way`() async throws {
        try await withNodes(.memory) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let held = await HeldLoop(client.eventLoop)
            defer { held.letGo() }
            let dialing = Task { try await client.dial(server.address) }
            // It has passed what is asked before a dial.
            try await eventually { server.statistics.accepted == 1 }
            client.itsNode.ban(try Node.ip("127.0.0.1"), for: .seconds(60))
            held.letGo()
            let refused = try await error { _ = try await dialing.value }
            #expect(refused.code == .banned && client.peers.isEmpty)
            #expect(client.statistics.refusals == [.banned: 1] && client.statistics.dialed == 0)
        }
    }

    @Test func `a ban of an IPv6 network ends no connection over IPv4`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try #require(try await nodes.listening() as? TCPTransport)
            let peer = try await nodes.make().dial(server.address)
            try await eventually { server.statistics.inboundPeers == 1 }
            // IPv4 addresses are written as ::ffff:0:0/96 inside of it.
            try server.ban("::1", for: .seconds(60))
            try await peer.send(message: "still here")
            #expect(try await server.nextRPC().text == "still here")
            #expect(server.statistics.inboundPeers == 1)
        }
    }

    @Test func `bans expire and are listed`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try #require(try await nodes.listening() as? TCPTransport)
            try server.ban("127.0.0.1", for: .milliseconds(50))
            try server.ban("2001:db8::1", for: .seconds(60))
            #expect(server.bans.keys.contains(try AddressRange("2001:db8::/64")))
            #expect(throws: ParleyError.self) { try server.ban("example.org", for: .seconds(1)) }
            try await eventually { server.bans.count == 1 }
            _ = try await nodes.make().dial(server.address)
            try await eventually { server.statistics.inboundPeers == 1 }
            let refused = try await error { _ = try await server.dial("[2001:db8::1]:80") }
            #expect(refused.code == .banned)
        }
    }
}

extension Transport {
    fileprivate func takeBack(_ host: String) throws {
        try (self as? TCPTransport)?.unban(host)
        try (self as? InMemoryTransport)?.unban(host)
    }
}

/// Expects that a connection is refused: the dial fails, or succeeds just before the reset.
func expectReset(dialing address: String, from nodes: Nodes) async throws {
    let ends = Events<ParleyError>()
    let client = nodes.make { $0.onDisconnect = { _, reason in ends.add(reason) } }
    do {
        _ = try await client.dial(address)
        #expect(try await ends.next().code == .connectionReset)
    } catch let error as ParleyError {
        #expect(error.code == .connectionReset)
    }
}
