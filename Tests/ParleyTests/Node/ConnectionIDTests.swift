import Testing

@testable import Parley

/// What an application keeps about a peer.
@Suite(.timeLimit(.minutes(10))) struct ConnectionIDTests {
    @Test(arguments: Kind.allCases)
    func `a peer is a key: the same in every RPC, and another than every other's`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let servers = [
                try await nodes.listening { $0.decoder = .framed },
                try await nodes.listening { $0.decoder = .framed },
            ]
            let client = nodes.make { $0.decoder = .framed }
            var counts: [ConnectionID: Int] = [:]
            var ids: Set<ConnectionID> = []
            for server in servers {
                for _ in 0..<2 {
                    let peer = try await client.dial(server.address)
                    ids.insert(peer.connectionID)
                    for _ in 0..<3 {
                        try await peer.send(message: "x")
                        counts[try await server.nextRPC().peer.connectionID, default: 0] += 1
                    }
                    let id = peer.connectionID
                    await peer.close()
                    #expect(peer.connectionID == id)
                }
            }
            #expect(counts.values.sorted() == [3, 3, 3, 3])
            #expect(ids.count == 4)
            #expect(ids.isDisjoint(with: counts.keys))
            let texts = Set(ids.union(counts.keys).map(\.description))
            #expect(texts.count == 8)
        }
    }

    private final class Session: Sendable {
        let number: Int
        private let ended: Events<Int>

        init(_ number: Int, _ ended: Events<Int>) { (self.number, self.ended) = (number, ended) }

        deinit { ended.add(number) }
    }

    @Test(arguments: Kind.allCases)
    func `a peer keeps a value of the application's, and lets it go`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ended = Events<Int>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.onPeer = { $0.userValue = Session(1, ended) }
            }
            do {
                let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
                #expect(peer.userValue == nil)
                try await peer.send(message: "x")
                let rpc = try await server.nextRPC()
                #expect((rpc.peer.userValue as? Session)?.number == 1)
                rpc.peer.userValue = Session(2, ended)
                #expect(try await ended.next() == 1)
                #expect((server.peers.first?.userValue as? Session)?.number == 2)
                await peer.close()
            }
            // Nobody refers to the peer any more.
            #expect(try await ended.next() == 2)
        }
    }

    @Test func `a peer of the application's own has a key, and may keep no value`() {
        let (one, other) = (NoPeer(), NoPeer())
        #expect(one.connectionID == one.connectionID)
        #expect(one.connectionID != other.connectionID)
        one.userValue = 1
        #expect(one.userValue == nil)
    }
}
