import Testing

@testable import Parley

/// Answers are written by the thread that sends them, past the event loop.
@Suite(.timeLimit(.minutes(2))) struct DirectWriteTests {
    @Test func `an answer leaves while the event loop is busy with something else`() async throws {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes)
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            try await peer.send(message: "answer")
            #expect(try await stranger.read(exactly: 7) == Array("answer\n".utf8))
        }
    }

    @Test func `what is not an answer, and what follows it, leaves in the order in which it was sent`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes)
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            // The first goes past the loop; the second has nothing to answer and waits for it; the third is long.
            let sent = ["one", "two", String(repeating: "3", count: 10_000), "four"]
            for message in sent { try await peer.send(message: ArraySlice(message.utf8)) }
            #expect(try await stranger.read(exactly: 4) == Array("one\n".utf8))
            held.letGo()
            let rest = sent.dropFirst().map { $0 + "\n" }.joined()
            #expect(same(try await stranger.read(exactly: rest.utf8.count), rest.utf8))
        }
    }

    @Test func `an answer for which the socket has no room is not lost, and nothing overtakes it`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let (server, stranger, peer) = try await asked(nodes)
            // Answers that nobody reads: one of them is the first that the kernel does not take whole.
            let answer = String(repeating: "a", count: 3_999) + "\n"
            var count = 0
            repeat {
                try await peer.send(message: ArraySlice(answer.utf8.dropLast()))
                count += 1
                try #require(count < 10_000, "the socket took everything")
                try stranger.write(Array("again\n".utf8))
                #expect(try await server.nextRPC().text == "again")
            } while peer.statistics.unsentBytes == 0
            // There is room again, but the loop has not written the rest of it yet.
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

    @Test func `a reset that such a write meets first is not taken for the end`() async throws {
        try await withNodes(.tcp) { nodes in
            let gone = Events<ParleyError>()
            let (server, stranger, peer) = try await asked(nodes) { $0.onDisconnect = { gone.add($1) } }
            let held = await HeldLoop(server.eventLoop)
            stranger.reset()
            // The socket tells its error once, and this write is told.
            try await peer.send(message: "answer")
            held.letGo()
            #expect(try await gone.next().code == .connectionReset)
        }
    }

    /// A node and a stranger that has asked it something.
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
