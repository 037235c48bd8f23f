import Testing

@testable import Parley

/// The send buffers: a buffer grows once, and only the busiest peer keeps a large one.
@Suite(.timeLimit(.minutes(10))) struct SendRoomTests {
    @Test func `the busiest sender of a loop keeps its large buffer until another takes over`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make { $0.decoder = .framed }
            var peers: [Connection] = []
            for _ in 0..<3 {
                peers.append(try #require(try await client.dial(server.address) as? Connection))
            }
            for _ in 0..<2 {
                for peer in peers {
                    for _ in 0..<3 { try await sendMuch(to: peer, of: client, into: server) }
                    #expect(peers.filter(\.isRoomy).map(\.number) == [peer.number])
                }
            }
            let last = try #require(peers.last)
            await last.close()
            try await eventually { client.peers.count == 2 }
            try await sendMuch(to: peers[0], of: client, into: server)
            try await sendMuch(to: peers[0], of: client, into: server)
            #expect(peers[0].isRoomy && !peers[1].isRoomy)
        }
    }

    /// Sends many messages in one turn of the loop.
    private func sendMuch(
        to peer: Connection,
        of client: any Transport,
        into server: any Transport
    ) async throws {
        let held = await HeldLoop(client.eventLoop)
        defer { held.letGo() }
        for _ in 0..<100 { try await peer.send(message: patterned(1_000)) }
        held.letGo()
        for _ in 0..<100 { _ = try await server.nextRPC() }
        try await eventually { peer.statistics.unsentBytes == 0 }
        // Wait for the end of the turn that wrote it.
        await Task(executorPreference: client.eventLoop) {}.value
    }
}

extension Connection {
    fileprivate var isRoomy: Bool { outbound.withLock { $0.queue.buffer.isLarge } }
}
