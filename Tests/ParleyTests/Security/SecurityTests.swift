import FaultProxy
import ParleyNoise
import Testing

@testable import Parley

/// Links that are secured with Noise: who the other side is, and that nobody changes what it sends.
@Suite(.timeLimit(.minutes(5))) struct SecurityTests {
    private static let secured: [Kind] = [.secured, .securedMemory]

    @Test(arguments: secured) func `both sides know who the other is`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let (one, other) = (Identity(), Identity())
            let seen = Events<PeerID?>()
            let server = try await nodes.listening {
                $0.security = .noise(one)
                $0.handshake = { peer in seen.add(peer.id) }
            }
            let client = nodes.make { $0.security = .noise(other) }
            let peer = try await client.dial(server.address)
            #expect(peer.id == one.id)
            #expect(client.peer(one.id) === peer && client.peer(other.id) == nil)
            try await peer.send(message: "hello")
            let rpc = try await server.nextRPC()
            #expect(rpc.text == "hello" && rpc.peer.id == other.id)
            #expect(try await seen.next() == other.id)
            #expect(server.peer(other.id) === rpc.peer)
        }
    }

    @Test(arguments: [Kind.tcp, .memory]) func `without security nobody has an id`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            #expect(try await client.dial(server.address).id == nil)
            let refused = try await error {
                _ = try await client.dial("\(Identity().id)@\(server.address)")
            }
            #expect(refused.code == .invalidArgument)
        }
    }

    @Test(arguments: secured) func `a dial to an id reaches that node or none`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let (identity, wrong) = (Identity(), Identity())
            let asked = Events<PeerID>()
            let server = try await nodes.listening {
                $0.security = .noise(
                    identity,
                    allow: .asking { id in
                        asked.add(id)
                        return true
                    }
                )
            }
            let client = nodes.make { $0.security = .noise(Identity()) }
            let port = try SocketAddress(server.address).port
            let multiaddr = "/ip4/127.0.0.1/tcp/\(port)/p2p/\(identity.id)"
            for text in ["\(identity.id)@\(server.address)", multiaddr] {
                #expect(try await client.dial(text).id == identity.id)
            }
            // The server asks after the dialer's side is done.
            try await eventually { asked.soFar.count == 2 }
            let mismatch = try await error { _ = try await client.dial("\(wrong.id)@\(server.address)") }
            #expect(mismatch.code == .identityMismatch)
            #expect(mismatch.message.contains("\(wrong.id)") && mismatch.message.contains("\(identity.id)"))
            // The wrong node does not learn who dialed.
            try await eventually { server.statistics.disconnects.values.reduce(0, +) == 1 }
            #expect(asked.soFar.count == 2)
        }
    }

    @Test(arguments: secured) func `only ids on the list are let in`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let (identity, friend) = (Identity(), Identity())
            let server = try await nodes.listening {
                $0.security = .noise(identity, allow: .only([friend.id]))
                $0.onPeer = { peer in #expect(peer.id == friend.id) }
            }
            let stranger = nodes.make { $0.security = .noise(Identity()) }
            // The stranger's own side may be done before it is refused.
            if let peer = try? await stranger.dial(server.address) { _ = try await peer.untilClosed() }
            try await eventually { server.statistics.refusals == [.identityNotAllowed: 1] }
            #expect(server.statistics.peers == 0)
            let peer = try await nodes.make { $0.security = .noise(friend) }.dial(server.address)
            try await peer.send(message: "hello")
            #expect(try await server.nextRPC().peer.id == friend.id)
            // The list is asked about dials too.
            let picky = nodes.make { $0.security = .noise(friend, allow: .only([])) }
            let refused = try await error { _ = try await picky.dial(server.address) }
            #expect(refused.code == .identityNotAllowed && refused.message.contains("\(identity.id)"))
        }
    }

    @Test(arguments: secured)
    func `a ban of an id ends its connections and refuses new ones`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let banned = Identity()
            let server = try await nodes.listening()
            let client = nodes.make { $0.security = .noise(banned) }
            let peer = try await client.dial(server.address)
            try await peer.send(message: "hello")
            _ = try await server.nextRPC()
            server.itsNode.ban(banned.id, for: .seconds(3_600))
            _ = try await peer.untilClosed()
            try await eventually { server.statistics.disconnects == [.banned: 1] }
            #expect(Array(server.itsNode.bannedIDs.keys) == [banned.id])
            if let again = try? await client.dial(server.address) { _ = try await again.untilClosed() }
            try await eventually { server.statistics.refusals == [.banned: 1] }
            // The address is not banned.
            let other = try await nodes.make().dial(server.address)
            try await other.send(message: "hello")
            _ = try await server.nextRPC()
            server.itsNode.unban(banned.id)
            #expect(server.itsNode.bannedIDs.isEmpty)
            try await client.dial(server.address).send(message: "again")
            #expect(try await server.nextRPC().peer.id == banned.id)
        }
    }

    @Test(arguments: secured)
    func `whoever is asked about an id has the time of a handshake`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.handshakeTimeout = .milliseconds(500)
                $0.security = .noise(
                    Identity(),
                    allow: .asking { _ in
                        try? await Task.sleep(for: .seconds(3_600))
                        return true
                    }
                )
            }
            let peer = try? await nodes.make { $0.security = .noise(Identity()) }.dial(server.address)
            try await eventually { server.statistics.disconnects == [.timedOut: 1] }
            _ = try await peer?.untilClosed()
            #expect(server.statistics.peers == 0)
        }
    }

    @Test func `a limit of its own replaces the handshake's while somebody is asked`() async throws {
        try await withNodes(.secured) { nodes in
            let asked = Events<ProvenPeer>()
            let answer = Events<Bool>()
            let friend = Identity()
            let server = try await nodes.listening {
                $0.handshakeTimeout = .seconds(600)
                let allowed = AllowedPeers.only([]).or(within: .seconds(3_600)) { peer in
                    asked.add(peer)
                    return (try? await answer.next()) ?? false
                }
                $0.security = .noise(Identity(), allow: allowed)
            }
            let peer = try await nodes.make { $0.security = .noise(friend) }.dial(server.address)
            let newcomer = try await asked.next()
            #expect(newcomer.id == friend.id && !newcomer.isOutbound)
            #expect(newcomer.remoteAddress == peer.localAddress)
            // One that came later and proves nothing is dropped by the time-out: the question outlives it.
            let silent = try RawSocket(connectingTo: server.address)
            try await eventually { server.statistics.handshaking == 2 }
            let connections = server.itsNode.state.withLock { $0.connections.elements.map(\.connection) }
            for connection in connections { await connection.look(behind: 601_000) }
            try await eventually { server.statistics.disconnects == [.timedOut: 1] }
            answer.add(true)
            try await peer.send(message: "hello")
            #expect(try await server.nextRPC().peer.id == friend.id)
            silent.close()
        }
    }

    @Test func `the limit of a question ends the connection`() async throws {
        try await withNodes(.secured) { nodes in
            let server = try await nodes.listening {
                $0.handshakeTimeout = .seconds(3_600)
                let allowed = AllowedPeers.only([]).or(within: .milliseconds(300)) { _ in
                    try? await Task.sleep(for: .seconds(3_600))
                    return true
                }
                $0.security = .noise(Identity(), allow: allowed)
            }
            let peer = try await nodes.make { $0.security = .noise(Identity()) }.dial(server.address)
            try await eventually { server.statistics.disconnects == [.timedOut: 1] }
            _ = try await peer.untilClosed()
        }
    }

    @Test func `plain and secured nodes do not come together`() async throws {
        try await withNodes(.tcp) { nodes in
            let secured = try await nodes.listening {
                $0.security = .noise(Identity())
                $0.handshakeTimeout = .milliseconds(300)
            }
            let plain = try await nodes.listening()
            // It may be dropped before the dial is done, or the message is sent.
            if let peer = try? await plain.dial(secured.address) {
                try? await peer.send(message: "hello")
                _ = try await peer.untilClosed()
            }
            try await eventually { secured.statistics.handshakesFailed == 1 }
            #expect(secured.statistics.accepted == 1 && secured.statistics.peers == 0)
            let failure = try await error { _ = try await secured.dial(plain.address) }
            #expect([.endOfStream, .connectionReset, .timedOut, .securityFailed].contains(failure.code))
        }
    }

    /// Each connection goes through a proxy that changes one byte of it, at another place each time. The
    /// sides send until the connection ends.
    @Test(arguments: [Direction.toTarget, .fromTarget])
    func `a changed byte ends the connection and reaches nobody`(direction: Direction) async throws {
        try await withNodes(.secured) { nodes in
            let change: (inout TransportOptions) -> Void = {
                $0.decoder = .framed
                $0.handshakeTimeout = .seconds(60)
            }
            let server = try await nodes.listening(change)
            let client = nodes.make(change)
            let offsets = Array(stride(from: 0, to: 400, by: 9)) + [205, 206, 5_000, 70_000]
            let plan = FaultPlan(
                seed: 1,
                chosen: offsets.enumerated().map {
                    FaultPlan.Chosen(.corrupt(mask: 0x10), at: $1, direction, ofConnection: $0)
                }
            )
            let proxy = FaultProxy(to: try SocketAddress(server.address).port, plan)
            defer { proxy.close() }
            let text = String(repeating: "message ", count: 50)
            let echo = Task {
                for await rpc in server.consume() {
                    #expect(rpc.text == text)
                    try? await rpc.peer.send(message: rpc.payload)
                }
            }
            let answers = Task { for await rpc in client.consume() { #expect(rpc.text == text) } }
            for _ in offsets {
                guard let peer = try? await client.dial("127.0.0.1:\(proxy.port)") else { continue }
                while (try? await peer.send(message: text)) != nil { await Task.yield() }
                _ = try await peer.untilClosed()
            }
            try await eventually {
                server.statistics.disconnects.values.reduce(0, +) == UInt64(offsets.count)
            }
            #expect(proxy.faults[.corrupt] == offsets.count)
            await client.close()
            await server.close()
            _ = await (echo.value, answers.value)
        }
    }

    /// With a small inbox this side reads no more after the first message, though others are opened.
    @Test(arguments: [1, 1_024], [60_000, 10])
    func `what comes before a message with a wrong tag arrives, in order`(
        inboxCapacity: Int,
        size: Int
    ) async throws {
        try await withNodes(.secured) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) { $0.inboxCapacity = inboxCapacity }
            let stranger = try LibP2PDialer(to: server.address, offering: [])
            _ = try await stranger.shakeHands()
            try await eventually { server.statistics.peers == 1 }
            let messages = (0..<40).map { [UInt8](repeating: UInt8($0), count: size) }
            var wire: [UInt8] = []
            for message in messages {
                var frame = WireBuffer()
                var encoder = FramedDecoder()
                try encoder.encode(message: message[...], into: &frame)
                wire += try stranger.sealed(frame.contiguous)
            }
            wire[wire.count - 1] ^= 1
            let written = Task.detached { [wire] in try? stranger.write(wire) }
            for message in messages.dropLast() {
                let isRight = try await server.nextRPC().payload == message[...]
                try #require(isRight)
            }
            let end = try await ends.next()
            #expect(end.code == .securityFailed && end.message.contains("message 39"))
            #expect(server.statistics.traffic.messagesReceived == 39)
            await written.value
        }
    }

    @Test(arguments: secured) func `the keys of a link are gone with it`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let connection = try #require(peer as? Connection)
            #expect(connection.outbound.withLock { $0.proven?.session != nil })
            await peer.close()
            #expect(connection.outbound.withLock { $0.proven?.session == nil } && peer.id != nil)
        }
    }

    @Test func `two nodes that dial each other keep the same one connection`() async throws {
        for _ in 0..<20 {
            try await withNodes(.secured) { nodes in
                func node() async throws -> any Transport {
                    let identity = Identity()
                    return try await nodes.listening {
                        $0.decoder = .framed
                        $0.security = .noise(identity)
                        $0.duplicates = .smallerDials(identity.id)
                    }
                }
                let (a, b) = (try await node(), try await node())
                try await dialEachOther(a, b)
                try await a.peers[0].send(message: "hello")
                #expect(try await b.nextRPC().text == "hello")
            }
        }
    }

    @Test(arguments: secured)
    func `a connection that loses against an open one has no handshake`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ids = [Identity(), Identity()].sorted { "\($0.id)" < "\($1.id)" }
            let asked = Events<Bool>()
            let server = try await nodes.listening {
                $0.security = .noise(ids[0])
                $0.duplicates = .smallerDials(ids[0].id)
                $0.handshake = { asked.add($0.isOutbound) }
            }
            let client = try await nodes.listening { $0.security = .noise(ids[1]) }
            // The smaller id has dialed this one, so it stays.
            let kept = try await server.dial(client.address)
            #expect(try await asked.next())
            // This side may be done before it is refused.
            if let peer = try? await client.dial(server.address) { _ = try await peer.untilClosed() }
            try await eventually { server.statistics.refusals == [.duplicate: 1] }
            #expect(asked.soFar == [true])
            try await kept.send(message: "hello")
            #expect(try await client.nextRPC().text == "hello")
            // Of two that the same node dials, the newer stays.
            let newer = try await server.dial(client.address)
            #expect(try await asked.next())
            #expect(try await kept.untilClosed().code == .duplicate)
            #expect(server.peers.count == 1 && server.peer(ids[1].id) === newer)
        }
    }

    @Test(arguments: secured)
    func `a dial that the other side refuses as a duplicate says so`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let identity = Identity()
            let opened = Lock(0)
            let server = try await nodes.listening {
                $0.duplicates = DuplicateRule(identify: { peer in peer.id.map { "\($0)" } }) { _, _ in
                    .keepExisting
                }
            }
            let client = nodes.make {
                $0.security = .noise(identity)
                // Ends with the connection, except for the first.
                $0.handshake = { peer in
                    let isFirst = opened.withLock { count in
                        count += 1
                        return count == 1
                    }
                    if !isFirst { _ = try await peer.read(exactly: 1) }
                }
                // This side finds out last, as it may when both dial at once.
                $0.duplicates = DuplicateRule(identify: { peer in peer.id.map { "\($0)" } }) { _, _ in
                    opened.withLock { $0 } == 1 ? .keepNew : .keepExisting
                }
            }
            let first = try await client.dial(server.address)
            let refused = try await error { _ = try await client.dial(server.address) }
            #expect(refused.code == .duplicate)
            #expect(server.statistics.refusals == [.duplicate: 1])
            try await first.send(message: "hello")
            #expect(try await server.nextRPC().text == "hello")
        }
    }

    @Test(arguments: secured)
    func `a reconnection to an id goes on until that node answers`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let identity = Identity()
            let impostor = try await nodes.listening()
            let address = impostor.address
            let client = nodes.make()
            let backoff = Backoff(initial: .milliseconds(5), longest: .milliseconds(20))
            let reconnection = try client.keepConnected(to: "\(identity.id)@\(address)", backoff: backoff)
            try await eventually { reconnection.failures >= 2 }
            #expect(reconnection.peer == nil && reconnection.lastError?.code == .identityMismatch)
            #expect(reconnection.lastError?.message.contains("\(identity.id)") == true)
            await impostor.close()
            let server = try await nodes.listening {
                $0.security = .noise(identity)
                $0.listenAddress = address
            }
            try await eventually { reconnection.peer != nil }
            #expect(reconnection.peer?.id == identity.id)
            try await reconnection.peer?.send(message: "hello")
            #expect(try await server.nextRPC().text == "hello")
            reconnection.cancel()
        }
    }
}

/// What has arrived of a secured link's messages.
@Suite struct SecureInputTests {
    private func bytes(_ messages: [UInt8]...) -> [UInt8] {
        messages.flatMap { [UInt8($0.count >> 8), UInt8($0.count & 0xff)] + $0 }
    }

    @Test(arguments: [1, 2, 3, 7, 1_000]) func `messages come whole, however they are cut`(piece: Int) {
        let messages: [[UInt8]] = [[1], [], [2, 3, 4], [UInt8](repeating: 5, count: 300)]
        let all = messages.reduce(into: []) { $0 += bytes($1) }
        var input = SecureInput()
        var found: [[UInt8]] = []
        for start in stride(from: 0, to: all.count, by: piece) {
            input.append(all[start..<min(start + piece, all.count)].span)
            while case .message(let place, let count) = input.next() {
                found.append(Array(input.bytes[place..<place + count]))
            }
            input.compact()
        }
        #expect(found == messages)
        #expect(input.isEmpty && input.bytes.isEmpty)
    }

    @Test(arguments: [0, 1, 5, 40, 70_000])
    func `a read goes behind what is there`(already: Int) {
        let message = [UInt8](repeating: 5, count: 60_000)
        let all = bytes(message, message, [1, 2, 3])
        var input = SecureInput()
        input.append(all[0..<already].span)
        if already > 60_002 { _ = input.next() }
        let rest = input.count
        var lent = input.lend(room: 131_072)
        #expect(input.isEmpty && lent.missing == 131_072 && lent.bytes.count == rest)
        lent.bytes.append(contentsOf: all[already...])
        input.takeBack(lent)
        var found: [[UInt8]] = already > 60_002 ? [message] : []
        while case .message(let place, let count) = input.next() {
            found.append(Array(input.bytes[place..<place + count]))
        }
        let isRight = found == [message, message, [1, 2, 3]]
        #expect(isRight && input.isEmpty)
    }

    @Test func `a message keeps the memory that it came in only when it is a fair part of it`() {
        var input = SecureInput()
        // The rest of a read before it, as it comes in a bulk transfer.
        let rest = Array(bytes([UInt8](repeating: 5, count: 65_500)).dropLast())
        input.append(rest.span)
        var lent = input.lend(room: ReadBlock.capacityBytes)
        lent.bytes.append(contentsOf: [1])
        input.takeBack(lent)
        #expect(!input.isWorthKeeping(2..<102), "the memory is there, whether or not it is filled")
        #expect(!input.isWorthKeeping(2..<20_000) && input.isWorthKeeping(2..<65_521))
    }

    @Test func `what is left of a large read keeps no large allocation`() {
        var input = SecureInput()
        input.append((bytes([UInt8](repeating: 5, count: 60_000)) + [1]).span)
        guard case .message = input.next() else { return #expect(Bool(false)) }
        input.compact()
        #expect(input.count == 1 && input.bytes.capacity < 1_024)
        input.append([1, 7].span)
        #expect(input.next() == .unfinished)
        // All of it is the beginning of a message.
        input = SecureInput()
        var lent = input.lend(room: ReadBlock.capacityBytes)
        lent.bytes.append(1)
        input.takeBack(lent)
        input.compact()
        #expect(input.count == 1 && input.bytes.capacity < 1_024)
    }

    @Test func `a length over the limit is told before its bytes are there`() {
        var input = SecureInput()
        input.append([0x10].span)
        #expect(input.next(atMost: 4_096) == .unfinished)
        input.append([0x01].span)
        #expect(input.next(atMost: 4_096) == .tooLong(4_097))
        #expect(input.next(atMost: 4_097) == .unfinished)
        #expect(input.count == 2)
    }
}

@Suite struct DialTargetTests {
    static let id = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
    static let cid = "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6"

    @Test(arguments: [
        ("host:3000", "host", 3000, false), (":3000", "", 3000, false), ("[::1]:3000", "::1", 3000, false),
        ("\(id)@host:3000", "host", 3000, true), ("\(cid)@[::1]:3000", "::1", 3000, true),
        ("/ip4/192.168.1.5/tcp/3000", "192.168.1.5", 3000, false),
        ("/ip4/192.168.1.5/tcp/3000/p2p/\(id)", "192.168.1.5", 3000, true),
        ("/ip4/192.168.1.5/tcp/3000/ipfs/\(cid)", "192.168.1.5", 3000, true),
        ("/ip6/::1/tcp/3000/p2p/\(id)", "::1", 3000, true),
        ("/dns/example.org/tcp/3000/p2p/\(id)", "example.org", 3000, true),
        ("/dns4/example.org/tcp/3000", "example.org", 3000, false),
        ("/dns4/example.org/tcp/3000/p2p/\(id)", "example.org", 3000, true),
        ("/dns6/example.org/tcp/3000/p2p/\(id)", "example.org", 3000, true),
    ])
    func `it parses addresses with and without an id`(
        text: String,
        host: String,
        port: Int,
        hasID: Bool
    ) throws {
        let target = try DialTarget(text)
        #expect(target.address == SocketAddress(host: host, port: UInt16(port)))
        #expect(target.id?.description == (hasID ? Self.id : nil))
        #expect(try DialTarget(target.description) == target)
        #expect(!text.hasPrefix("/") || (try? DialTarget(text + "/")) == target)
    }

    static let families: [(String, AddressFamily?)] = [
        ("host:3000", nil), ("/ip4/192.168.1.5/tcp/3000", nil), ("/dns/example.org/tcp/3000", nil),
        ("/dns4/example.org/tcp/3000", .ipv4), ("/dns6/example.org/tcp/3000", .ipv6),
    ]

    @Test(arguments: families)
    func `dns4 and dns6 want one kind of addresses`(text: String, family: AddressFamily?) throws {
        #expect(try DialTarget(text).family == family)
    }

    @Test(arguments: [
        ("/unix/tmp/x", "begins with /unix"), ("/unix/tmp/x/y", "begins with /unix"),
        ("/dnsaddr/example.org/tcp/1", "begins with /dnsaddr"), ("/ip4/127.0.0.1", "/ip4/host/tcp/port"),
        ("/dns4/127.0.0.1/tcp/1", "has no name"), ("/dns6/::1/tcp/1", "has no name"),
        ("/ip4/::1/tcp/1", "has no IPv4 address"), ("/dns4//tcp/1", "has no host"),
        ("/ip4/127.0.0.1/tcp/3000/ws", "has /ws after its port"),
        ("/ip4/127.0.0.1/tcp/3000/ws/p2p/\(id)", "has /ws/p2p/\(id) after its port"),
    ])
    func `what cannot be dialed is named`(text: String, complaint: String) throws {
        let error = try #require(throws: ParleyError.self) { try DialTarget(text) }
        #expect(error.code == .invalidAddress)
        #expect(error.message.contains(complaint) && error.message.contains(text), "\(error.message)")
    }

    @Test(arguments: [
        "@host:3000", "x@host:3000", "\(id)@", "\(id)@host", "\(id)@\(id)@host:1", "\(id):3000@host", "",
        "/", "//", "/ip4/host/tcp/3000", "/ip4/::1/tcp/3000", "/ip6/127.0.0.1/tcp/3000", "/ip4/127.0.0.1/tcp",
        "/ip4/127.0.0.1/udp/3000", "/ip4/127.0.0.1/tcp/x", "/ip4/127.0.0.1/tcp/70000", "/dns/1.2.3.4/tcp/1",
        "/ip4/127.0.0.1/tcp/3000//", "/ip4/127.0.0.1/tcp/3000/p2p", "/ip4/127.0.0.1/tcp/3000/p2p/x",
        "/ip4/127.0.0.1/tcp/3000/peer/\(id)", "/ip4/127.0.0.1/tcp/3000/ws", "/ip4/127.0.0.1/tcp/3000/ws/x",
        "/unix/tmp/x/y", "/ip4//tcp/3000",
    ])
    func `everything else is an invalid address`(text: String) {
        let error = #expect(throws: ParleyError.self) { try DialTarget(text) }
        #expect(error?.code == .invalidAddress)
    }
}
