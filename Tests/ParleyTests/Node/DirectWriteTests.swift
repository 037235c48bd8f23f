import Testing

@testable import Parley

/// Direct writes: the thread that sends an answer writes it to the socket, without the event loop.
@Suite(.timeLimit(.minutes(10))) struct DirectWriteTests {
    @Test func `an answer is written while the event loop is busy`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes)
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            try await peer.send(message: "answer")
            #expect(try await stranger.read(exactly: 7) == Array("answer\n".utf8))
        }
    }

    @Test(arguments: [Kind.tcp, .secured])
    func `a dialer's first message is written while the event loop is busy`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            let held = await HeldLoop(client.eventLoop)
            defer { held.letGo() }
            try await peer.send(message: "first")
            #expect(try await server.nextRPC().text == "first")
        }
    }

    @Test func `messages that are no answers, and those after them, leave in order`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes)
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            // The first is written directly; the second answers nothing and waits for the loop; the third is
            // long.
            let sent = ["one", "two", String(repeating: "3", count: 10_000), "four"]
            for message in sent { try await peer.send(message: ArraySlice(message.utf8)) }
            #expect(try await stranger.read(exactly: 4) == Array("one\n".utf8))
            held.letGo()
            let rest = sent.dropFirst().map { $0 + "\n" }.joined()
            #expect(same(try await stranger.read(exactly: rest.utf8.count), rest.utf8))
        }
    }

    @Test func `an answer that the socket has no room for is neither lost nor overtaken`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes)
            // Answers that are not read: at some point the kernel takes only a part of one.
            let answer = String(repeating: "a", count: 3_999) + "\n"
            var count = 0
            repeat {
                try await peer.send(message: ArraySlice(answer.utf8.dropLast()))
                count += 1
                try #require(count < 10_000, "the socket took everything")
                try stranger.write(Array("again\n".utf8))
                #expect(try await server.nextRPC().text == "again")
            } while peer.statistics.unsentBytes == 0
            // The socket has room again, but the loop has not written the rest yet.
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            let rest = peer.statistics.unsentBytes
            var received = try await stranger.read(exactly: count * answer.utf8.count - rest)
            try await peer.send(message: "last")
            held.letGo()
            received += try await stranger.read(exactly: rest + 5)
            let isInOrder = same(received, (String(repeating: answer, count: count) + "last\n").utf8)
            #expect(isInOrder)
        }
    }

    @Test func `a reset that a direct write meets first is reported as a reset`() async throws {
        try await withNodes(.tcp) { nodes in
            let gone = Events<ParleyError>()
            let (server, stranger, peer) = try await asked(nodes) { $0.onDisconnect = { gone.add($1) } }
            let held = await HeldLoop(server.eventLoop)
            stranger.reset()
            // The socket reports its error once, to this write.
            try await peer.send(message: "answer")
            held.letGo()
            #expect(try await gone.next().code == .connectionReset)
        }
    }

    // MARK: Secured

    @Test func `a secured answer is written while the event loop is busy, and counted`() async throws {
        try await withNodes(.secured) { nodes in
            let (server, client, peer) = try await askedSecurely(nodes)
            let before = peer.statistics.traffic.wireBytesSent
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            try await peer.send(message: "answer")
            #expect(try await client.nextRPC().text == "answer")
            // The frame has 5 bytes beside the message, the sealed message 18.
            #expect(peer.statistics.traffic.wireBytesSent == before + 6 + 5 + 18)
        }
    }

    @Test func `a secured answer that the socket takes in part is not lost, overtaken or sealed again`()
        async throws
    {
        try await withNodes(.secured) { nodes in
            let (server, client, peer) = try await askedSecurely(nodes) { $0.inboxCapacity = 10 }
            let answer = [UInt8](repeating: 97, count: 3_999)
            var count = 0
            repeat {
                try await peer.send(message: answer + [UInt8(truncatingIfNeeded: count)])
                count += 1
                try #require(count < 10_000, "the socket took everything")
                try await client.peers[0].send(message: "again")
                #expect(try await server.nextRPC().text == "again")
            } while peer.statistics.unsentBytes == 0
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            try await peer.send(message: "last")
            held.letGo()
            for number in 0..<count {
                let isRight =
                    try await client.nextRPC().payload == answer + [UInt8(truncatingIfNeeded: number)]
                try #require(isRight, "answer \(number) of \(count)")
            }
            #expect(try await client.nextRPC().text == "last")
        }
    }

    /// Makes two nodes with secured links, of which one has asked the other.
    private func askedSecurely(
        _ nodes: Nodes,
        _ change: (inout TransportOptions) -> Void = { _ in }
    ) async throws -> (server: any Transport, client: any Transport, peer: any Peer) {
        let server = try await nodes.listening { $0.decoder = .framed }
        let client = nodes.make {
            $0.decoder = .framed
            change(&$0)
        }
        try await client.dial(server.address).send(message: "question")
        return (server, client, try await server.nextRPC().peer)
    }

    // MARK: Time-outs

    @Test func `a slow reader of direct writes is not stalled`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes, receiveBufferBytes: 16 << 10) {
                $0.timeouts.writeStall = .seconds(3_600)
                $0.timeouts.leastBytesPerSecond = 1
            }
            let connection = try #require(peer as? Connection)
            // The second one is no answer, so the loop writes it; all later ones are written directly.
            for message in ["one", "two"] { try await peer.send(message: message) }
            try await eventually { peer.statistics.unsentBytes == 0 }
            let count = 100
            try await answer(count, to: stranger, from: peer, of: server)
            try #require(peer.statistics.unsentBytes == 0, "the loop has to write the rest")
            // The checks span three times the time-out.
            var left = await connection.unacknowledgedBytes
            for number in 1...8 {
                try await stranger.skip(40_000)
                try await eventually { await connection.unacknowledgedBytes <= left - 2_000 }
                left = await connection.unacknowledgedBytes
                await connection.look(behind: UInt64(number) * 1_500_000)
                try #require(server.statistics.disconnects.isEmpty)
            }
            try await stranger.skip(8 + count * 4_000 - 8 * 40_000)
            try await peer.send(message: "last")
            #expect(try await stranger.read(exactly: 5) == Array("last\n".utf8))
        }
    }

    @Test func `direct writes that nobody reads are noticed as stalled`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes, receiveBufferBytes: 16 << 10) {
                $0.timeouts.writeStall = .seconds(3_600)
            }
            let connection = try #require(peer as? Connection)
            try await peer.send(message: "first")
            try await answer(50, to: stranger, from: peer, of: server)
            try #require(peer.statistics.unsentBytes == 0, "the loop has to write the rest")
            for hours in UInt64(1)...3 { await connection.look(behind: hours * 3_700_000) }
            try await eventually { server.statistics.disconnects == [.writeStalled: 1] }
        }
    }

    @Test func `a peer that gets a direct write is not idle`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes) { $0.timeouts.idle = .seconds(3_600) }
            let connection = try #require(peer as? Connection)
            let asked = connection.inbound.withLock { $0.lastActivity }
            while MonotonicTime.millisecondsNow < asked + 200 { try await Task.sleep(for: .milliseconds(20)) }
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            try await peer.send(message: "answer")
            #expect(try await stranger.read(exactly: 7) == Array("answer\n".utf8))
            held.letGo()
            // An hour behind the question, and less behind the answer.
            await connection.look(at: asked + 3_600_100)
            #expect(try peer.trySend(message: "still here"))
            await connection.look(behind: 3_700_000)
            try await eventually { server.statistics.disconnects == [.idle: 1] }
        }
    }

    /// Lets the stranger ask so often, and answers each time with a line of 4,000 bytes.
    private func answer(
        _ count: Int,
        to stranger: RawSocket,
        from peer: any Peer,
        of server: any Transport
    ) async throws {
        let answer = String(repeating: "a", count: 3_999)
        for _ in 0..<count {
            try stranger.write(Array("again\n".utf8))
            #expect(try await server.nextRPC().text == "again")
            try await peer.send(message: answer)
        }
    }

    /// Makes a node and a raw socket that has sent it a message.
    private func asked(
        _ nodes: Nodes,
        receiveBufferBytes: Int32? = nil,
        _ change: (inout TransportOptions) -> Void = { _ in }
    ) async throws -> (server: any Transport, stranger: RawSocket, peer: any Peer) {
        let server = try await nodes.listening {
            $0.decoder = WireForm { LineDecoder() }
            change(&$0)
        }
        let stranger = try RawSocket(
            connectingTo: server.address,
            receiveBufferBytes: receiveBufferBytes
        )
        try stranger.write(Array("question\n".utf8))
        return (server, stranger, try await server.nextRPC().peer)
    }
}
