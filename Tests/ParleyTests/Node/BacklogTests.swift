import Testing

@testable import Parley

/// Backlogs: what peers that have ended had sent, and the inbox had no room for.
@Suite(.timeLimit(.minutes(2))) struct BacklogTests {
    @Test(arguments: [Kind.tcp, .loops])
    func `backlogs of reset peers are bounded and counted, and end with the consumer`(
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
                try socket.write(Array(repeatElement(message, count: 46).joined()))
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
            #expect(server.statistics.backlogsDropped > 0)

            let taken = Lock(0)
            let consuming = Task {
                for await rpc in server.consume() { taken.withLock { $0 += rpc.payload.count } }
            }
            let node = server.itsNode
            try await eventually {
                let statistics = server.statistics
                return statistics.unreadBytes == 0 && statistics.inboxRPCs == 0
                    && node.heldBytes.load(ordering: .relaxed) == 0
            }
            #expect(node.state.withLock { $0.backlogs.isEmpty })
            await server.close()
            await consuming.value
            #expect(taken.withLock { $0 } > limit / 2)
            #expect(taken.withLock { $0 } <= limit + 16 * 4_096)
        }
    }
}
