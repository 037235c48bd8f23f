import Testing

@testable import Parley

/// The statistics of transports and peers.
@Suite(.timeLimit(.minutes(10))) struct StatisticsTests {
    @Test(arguments: Kind.allCases)
    func `bytes, messages and streams are counted in each direction, on both sides`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make { $0.decoder = .framed }
            let peer = try await client.dial(server.address)
            for _ in 0..<10 { try await peer.send(message: patterned(100)) }
            let writer = try await peer.openStream()
            try await writer.write(patterned(1_000))
            try await writer.finish()
            for _ in 0..<10 { _ = try await server.nextRPC() }
            let opening = try await server.nextRPC()
            #expect(opening.stream)
            #expect(try await opening.peer.read(exactly: 1_000).count == 1_000)
            opening.peer.closeStream()
            // Ten message frames, an opening, data and an end.
            let bytes: UInt64 = 10 * 105 + 5 + 1_005 + 5
            try await eventually { opening.peer.statistics.traffic.bytesReceived == bytes }
            try await eventually { peer.statistics.traffic.bytesSent == bytes }
            let (sent, received) = (peer.statistics, opening.peer.statistics)
            #expect(sent.traffic.messagesSent == 10 && sent.traffic.streamsSent == 1)
            #expect(received.traffic.messagesReceived == 10 && received.traffic.streamsReceived == 1)
            #expect(sent.traffic.messagesReceived == 0 && received.traffic.messagesSent == 0)
            try await eventually { opening.peer.statistics.unreadBytes == 0 }
            #expect(sent.unsentBytes == 0)
            #expect(sent.uptime > .zero && received.silence < .seconds(30))
            #expect(server.statistics.traffic == received.traffic)
            #expect(client.statistics.traffic == sent.traffic)
        }
    }

    @Test(arguments: Kind.multiplexing)
    func `streams that are announced beside the messages are no messages`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            for _ in 0..<3 {
                let writer = try await peer.openStream(header: [1, 2])
                let opening = try await server.nextRPC()
                #expect(opening.stream && opening.payload == [1, 2])
                try await writer.finish()
                opening.body?.close()
            }
            try await peer.send(message: "one")
            let rpc = try await server.nextRPC()
            #expect(rpc.text == "one")
            #expect(rpc.peer.statistics.traffic.messagesReceived == 1)
            #expect(rpc.peer.statistics.traffic.streamsReceived >= 3)
            #expect(server.statistics.traffic.messagesReceived == 1)
        }
    }

    @Test(arguments: Kind.allCases)
    func `what a secured link adds is counted apart`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make { $0.decoder = .framed }
            let peer = try await client.dial(server.address)
            try await peer.send(message: patterned(100))
            let rpc = try await server.nextRPC()
            try await eventually { peer.statistics.traffic.bytesSent == 105 }
            let (sent, received) = (peer.statistics.traffic, rpc.peer.statistics.traffic)
            #expect(received.bytesReceived == 105)
            #expect(sent.wireBytesSent == received.wireBytesReceived)
            #expect(sent.wireBytesReceived == received.wireBytesSent)
            #expect(peer.statistics.id == peer.id && (peer.id != nil) == kind.isSecured)
            if kind.isSecured {
                // The listener's message of the handshake; the dialer's two, whose payload is as long, and
                // the sealed message. Each follows its length.
                let payload = received.wireBytesSent - (2 + 32 + 48 + 16)
                #expect(sent.wireBytesSent == 2 + 32 + 2 + 48 + payload + 16 + 2 + 105 + 16)
            } else {
                #expect(sent.wireBytesSent == 105 && received.wireBytesSent == 0)
            }
            #expect(server.statistics.traffic.wireBytesReceived == received.wireBytesReceived)
            await peer.close()
            try await eventually { server.statistics.peers == 0 }
            #expect(server.statistics.traffic.wireBytesReceived == received.wireBytesReceived)
        }
    }

    @Test(arguments: Kind.allCases)
    func `a large message read straight into its buffer is counted once`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            try await peer.send(message: patterned(3 << 20))
            let rpc = try await server.nextRPC()
            #expect(rpc.payload.count == 3 << 20)
            #expect(rpc.peer.statistics.traffic.bytesReceived == 3 << 20 + 5)
            #expect(rpc.peer.statistics.traffic.messagesReceived == 1)
        }
    }

    @Test(arguments: Kind.allCases)
    func `peers are counted by direction, and their traffic is kept after they leave`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make { $0.decoder = .framed }
            let peer = try await client.dial(server.address)
            try await peer.send(message: "hello")
            _ = try await server.nextRPC()
            try await eventually { server.statistics.inboundPeers == 1 }
            #expect(client.statistics.outboundPeers == 1 && client.statistics.peers == 1)
            #expect(server.statistics.outboundPeers == 0 && server.statistics.handshaking == 0)
            #expect(server.statistics.accepted == 1 && client.statistics.dialed == 1)
            await peer.close()
            try await eventually { server.statistics.peers == 0 && client.statistics.peers == 0 }
            let uptime = peer.statistics.uptime
            #expect(uptime > .zero && peer.statistics.uptime == uptime, "it ends with the connection")
            #expect(server.statistics.traffic.messagesReceived == 1)
            #expect(server.statistics.traffic.bytesReceived == 10)
            #expect(client.statistics.traffic.bytesSent == 10)
            #expect(server.statistics.disconnects == [.endOfStream: 1])
            #expect(client.statistics.disconnects == [.closed: 1])
            #expect(server.statistics.uptime > .zero)
        }
    }

    @Test func `a peer counts as one until its disconnect is counted`() async throws {
        let observer = StatisticsAtTheEnd()
        let server = TCPTransport(
            TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed),
            observer: observer
        )
        observer.transport.withLock { $0 = server }
        try await server.listenAndAccept()
        let socket = try RawSocket(connectingTo: server.address)
        try await eventually { server.statistics.peers == 1 }
        socket.reset()
        let seen = try await observer.seen.next()
        #expect(seen.peers == 1 && seen.handshaking == 0 && seen.disconnects.isEmpty)
        try await eventually { server.statistics.peers == 0 }
        #expect(server.statistics.disconnects.values.reduce(0, +) == 1)
        observer.transport.withLock { $0 = nil }
        await server.close()
    }

    @Test(arguments: Kind.allCases)
    func `handshakes that fail and peers that are refused are counted apart`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            struct No: Error {}
            let strict = try await nodes.listening { $0.handshake = { _ in throw No() } }
            let choosy = try await nodes.listening { $0.onPeer = { _ in throw No() } }
            let client = nodes.make()
            _ = try await client.dial(strict.address)
            _ = try await client.dial(choosy.address)
            try await eventually { strict.statistics.handshakesFailed == 1 }
            try await eventually { choosy.statistics.peersRefused == 1 }
            #expect(strict.statistics.peersRefused == 0 && choosy.statistics.handshakesFailed == 0)
            #expect(strict.statistics.disconnects == [.handshakeFailed: 1])
            #expect(choosy.statistics.disconnects == [.peerRefused: 1])
            await #expect(throws: ParleyError.self) { try await client.dial("127.0.0.1:1") }
            #expect(client.statistics.dialsFailed == 1)
        }
    }

    @Test(arguments: Kind.allCases)
    func `a transport's unread bytes are those of all its peers`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            // The beginning of a frame; the rest never comes.
            let client = nodes.make {
                $0.decoder = .framed
                $0.handshake = { peer in try await peer.send([1, 0, 0x10, 0, 0] + patterned(100_000)) }
            }
            for _ in 0..<2 { _ = try await client.dial(server.address) }
            try await eventually {
                server.peers.map(\.statistics.unreadBytes).reduce(0, +) >= 200_000
                    && server.statistics.unreadBytes >= 200_000
            }
            #expect(server.statistics.unreadBytes == server.peers.map(\.statistics.unreadBytes).reduce(0, +))
            #expect(client.statistics.unreadBytes == 0)
            await client.close()
            try await eventually { server.statistics.unreadBytes == 0 }
        }
    }

    @Test(arguments: Kind.allCases)
    func `statistics show a full inbox and a full send buffer`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                // Each loop has its part of the inbox.
                $0.inboxCapacity = 4 * kind.loops
            }
            let client = nodes.make {
                $0.decoder = .framed
                $0.sendHighWaterBytes = 1 << 16
                $0.sendLowWaterBytes = 1 << 14
            }
            let peer = try await client.dial(server.address)
            let flood = Task { while true { try await peer.send(message: patterned(10_000)) } }
            try await eventually { server.statistics.pausedPeers == 1 }
            try await eventually { peer.statistics.traffic.sendWaits > 0 }
            // Reading is paused a moment before the last read's messages are in the inbox.
            try await eventually {
                server.statistics.inboxRPCs == 4 && server.statistics.inboxBytes == 40_000
            }
            #expect(server.statistics.traffic.readPauses > 0)
            try await eventually { peer.statistics.unsentBytes >= 1 << 14 }
            try await eventually { client.statistics.unsentBytes >= 1 << 14 }
            flood.cancel()
            _ = await flood.result
            let rpc = try await server.nextRPC()
            #expect(rpc.peer.statistics.isReadingPaused)
            for _ in 0..<3 { _ = try await server.nextRPC() }
        }
    }
}
