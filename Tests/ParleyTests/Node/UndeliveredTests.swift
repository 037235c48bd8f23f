import Testing

@testable import Parley

/// What peers that have ended had sent, and the inbox had no room for.
@Suite(.timeLimit(.minutes(10))) struct UndeliveredTests {
    @Test(arguments: [Kind.tcp, .loops])
    func `what reset peers had sent is bounded and counted, and ends with the consumer`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let limit = 1 << 20
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 16
                $0.limits.receiveBufferBytes = limit
            }
            let message: [UInt8] = [1, 0, 0, 0x10, 0] + patterned(4_096)
            for number in 1...60 {
                let socket = try RawSocket(connectingTo: server.address)
                try socket.write(joined(repeatElement(message, count: 46)))
                try await eventually { server.statistics.pausedPeers == 1 }
                socket.reset()
                try await eventually {
                    // A paused peer is looked at once a second.
                    for peer in server.peers { await (peer as? Connection)?.look(behind: 0) }
                    return server.statistics.disconnects.values.reduce(0, +) == number
                }
                // The last one that came is counted before another one goes for it.
                try await eventually { server.statistics.unreadBytes <= limit }
            }
            #expect(server.statistics.peers == 0)
            #expect(server.statistics.unreadBytes > limit / 2)
            #expect(server.statistics.undeliveredDropped > 0)

            let taken = Lock(0)
            let consuming = Task {
                for await rpc in server.consume() { taken.withLock { $0 += rpc.payload.count } }
            }
            let node = server.itsNode
            try await eventually {
                let statistics = server.statistics
                return statistics.unreadBytes == 0 && statistics.inboxRPCs == 0
                    && node.heldBytes.load(ordering: .relaxed) == 0
                    && node.state.withLock { $0.undelivered.isEmpty }
            }
            await server.close()
            await consuming.value
            #expect(taken.withLock { $0 } > limit / 2)
            #expect(taken.withLock { $0 } <= limit + 16 * 4_096)
        }
    }

    @Test func `a connection that has ended counts for what it costs while one byte waits for the inbox`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([1, 0, 0, 0, 1, 7, 1, 0, 0, 0, 1, 8])
            try await eventually { server.statistics.pausedPeers == 1 }
            socket.reset()
            try await eventually {
                for peer in server.peers { await (peer as? Connection)?.look(behind: 0) }
                return server.statistics.peers == 0
            }
            let node = server.itsNode
            try await eventually { node.heldBytes.load(ordering: .relaxed) >= 4_096 }
            for byte in [7, 8] as [UInt8] { #expect(try await server.nextRPC().payload == [byte]) }
            try await eventually { node.heldBytes.load(ordering: .relaxed) == 0 }
        }
    }

    /// Waits until the only peer of a node is gone, whose connection was reset while it was not read.
    private func untilGone(from server: any Transport) async throws {
        try await eventually {
            for peer in server.peers { await (peer as? Connection)?.look(behind: 0) }
            return server.statistics.peers == 0
        }
    }

    @Test(arguments: [Kind.tcp, .loops])
    func `what is delivered after its connection has ended is counted once`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 4 * kind.loops
            }
            let socket = try RawSocket(connectingTo: server.address)
            let message: [UInt8] = [1, 0, 0, 0, 1, 7]
            try socket.write(joined(repeatElement(message, count: 1_000)))
            try await eventually { server.statistics.pausedPeers == 1 }
            socket.reset()
            try await untilGone(from: server)
            var before = server.statistics.traffic
            #expect(before.messagesReceived < 1_000 && before.bytesReceived == 6_000)
            for taken in UInt64(1)...1_000 {
                _ = try await server.nextRPC()
                let traffic = server.statistics.traffic
                #expect(traffic.messagesReceived >= max(taken, before.messagesReceived))
                #expect(traffic.readPauses >= before.readPauses)
                before = traffic
            }
            #expect(before.messagesReceived == 1_000 && before.bytesReceived == 6_000)
        }
    }

    @Test func `what an ended connection delivers behind a stream is counted, too`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let socket = try RawSocket(connectingTo: server.address)
            // A stream, its end, and a message.
            try socket.write([2, 0, 0, 0, 0, 4, 0, 0, 0, 0, 1, 0, 0, 0, 1, 7])
            let opening = try await server.nextRPC()
            try await eventually { opening.peer.statistics.traffic.bytesReceived == 16 }
            socket.reset()
            try await untilGone(from: server)
            #expect(server.statistics.traffic.messagesReceived == 0)
            #expect(server.statistics.traffic.streamsReceived == 1)
            opening.peer.closeStream()
            #expect(try await server.nextRPC().payload == [7])
            #expect(server.statistics.traffic.messagesReceived == 1)
            #expect(server.statistics.traffic.streamsReceived == 1)
        }
    }

    @Test func `the event of a peer's end comes although its messages do not, when the node closes`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 4
                $0.peerEventCapacity = 16
            }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            for number in 0..<10 { try await peer.send(message: "\(number)") }
            try await eventually { server.statistics.pausedPeers == 1 }
            await server.close()
            var events: [PeerEvent] = []
            for await batch in server.consume().batches { events += batch.deliveries.compactMap(\.run.event) }
            guard events.count == 2, case .connected = events[0], case .disconnected = events[1] else {
                return #expect(Bool(false), "\(events)")
            }
        }
    }

    @Test func `what an ended connection still holds is dropped before that of others`() async throws {
        try await withNodes(.multiplexed) { nodes in
            let server = try await nodes.listening { $0.limits.receiveBufferBytes = 300_000 }
            let accepted = Events<PeerStream>()
            try server.itsNode.accept("/bytes") { accepted.add($0) }
            func send() async throws -> (any Peer, PeerStream) {
                let peer = try await nodes.make().dial(server.address)
                let stream = try await peer.openStream(protocol: "/bytes")
                try await stream.write(patterned(200_000))
                try await stream.finish()
                return (peer, stream)
            }
            let node = server.itsNode
            let (gone, _) = try await send()
            try await eventually { node.heldBytes.load(ordering: .relaxed) >= 200_000 }
            await gone.close()
            try await eventually { server.peers.isEmpty }
            let (other, stream) = try await send()
            let unread = [try await accepted.next(), try await accepted.next()]
            guard case .channel(let last, let link) = unread[1].source else { return }
            try await eventually { link.channels.withLock { _ in last.inputEnd != nil } }
            try await eventually { server.statistics.undeliveredDropped == 1 }
            let dropped = try await error { while try await unread[0].read(upTo: 1 << 20) != nil {} }
            #expect(dropped.code == .receiveBufferFull)
            #expect(same(try await unread[1].read(exactly: 200_000), patterned(200_000)))
            withExtendedLifetime((other, stream)) {}
        }
    }

    @Test func `a reader of what is dropped hears of it`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([1, 0, 0, 0, 1, 7] + [1, 0, 0, 0, 1, 8] + [1, 0, 0, 0, 1, 9])
            try await eventually { server.statistics.pausedPeers == 1 }
            let connection = try #require(server.peers[0] as? Connection)
            let reading = Task { try await connection.read(upTo: 1) }
            try await eventually { connection.inbound.withLock { $0.readWaiters.count } == 1 }
            socket.reset()
            try await eventually {
                await connection.look(behind: 0)
                return server.peers.isEmpty
            }
            await connection.close()
            _ = await reading.result
        }
    }

    @Test func `what is not delivered is counted once, also while its peer ends`() async throws {
        let observer = StatisticsAtTheEnd()
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
        options.inboxCapacity = 1
        let server = TCPTransport(options, observer: observer)
        observer.transport.withLock { $0 = server }
        try await server.listenAndAccept()
        let socket = try RawSocket(connectingTo: server.address)
        let message: [UInt8] = [1, 0, 0, 0, 100] + patterned(100)
        try socket.write(joined(repeatElement(message, count: 10)))
        try await eventually { server.statistics.pausedPeers == 1 }
        socket.reset()
        try await eventually {
            for peer in server.peers { await (peer as? Connection)?.look(behind: 0) }
            return server.statistics.peers == 0
        }
        let after = server.statistics.unreadBytes
        #expect(after > 0)
        #expect(try await observer.seen.next().unreadBytes == after)
        observer.transport.withLock { $0 = nil }
        await server.close()
    }
}
