import Testing

@testable import Parley

/// Direct writes: the thread that sends an answer writes it to the socket, without the event loop.
@Suite(.timeLimit(.minutes(2))) struct DirectWriteTests {
    @Test func `an answer is written while the event loop is busy`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes)
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            try await peer.send(message: "answer")
            #expect(try await stranger.read(exactly: 7) == Array("answer\n".utf8))
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

    /// Makes a node and a raw socket that has sent it a message.
    private func asked(
        _ nodes: Nodes,
        _ change: (inout TransportOptions) -> Void = { _ in }
    ) async throws -> (server: any Transport, stranger: RawSocket, peer: any Peer) {
        let server = try await nodes.listening {
            $0.decoder = WireForm { LineDecoder() }
            change(&$0)
        }
        let stranger = try RawSocket(connectingTo: server.address)
        try stranger.write(Array("question\n".utf8))
        return (server, stranger, try await server.nextRPC().peer)
    }
}
