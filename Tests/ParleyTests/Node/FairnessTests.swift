import Testing

@testable import Parley

/// What one peer does must not cost another one its turn.
@Suite(.timeLimit(.minutes(2))) struct FairnessTests {
    @Test(arguments: Kind.allCases)
    func `those who fill the inbox are served in turn, and one with little is not behind one with much`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let capacity = 64
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = capacity
            }
            let flooders = 24
            for number in 0..<flooders {
                let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
                for _ in 0..<2_000 { try await peer.send(message: "flood") }
                try await eventually { server.peers.filter(\.statistics.isReadingPaused).count == number + 1 }
            }
            let quiet = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            try await quiet.send(message: "quiet")
            try await eventually { server.peers.filter(\.statistics.isReadingPaused).count == flooders + 1 }

            // The pause shows a moment before the peer is in the queue of those that wait: that turn shall be over.
            for loop in server.eventLoops { await Task(executorPreference: loop) {}.value }

            var before = 0
            while try await server.nextRPC().text != "quiet" { before += 1 }
            // What is there already, and a few rounds of what the others get when it is their turn: while turns are handed
            // out on one thread and used on another, some have more than one. Without shares each flooder has a whole round first.
            #expect(before <= 6 * capacity, "one of the flooders was served \(before) times before it")
        }
    }
}
