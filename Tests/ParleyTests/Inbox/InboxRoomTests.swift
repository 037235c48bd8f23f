import Testing

@testable import Parley

/// How much of an inbox's room one producer gets.
@Suite struct InboxRoomTests {
    private struct Case: Sendable {
        var rpcs: Int
        var bytes: Int
        var turns: Int
        var share: Int
    }

    private static let cases: [Case] = [
        // Alone, with one, three and many others whose turn is still to come.
        Case(rpcs: 100, bytes: 1, turns: 0, share: 100), Case(rpcs: 100, bytes: 1, turns: 1, share: 50),
        Case(rpcs: 100, bytes: 1, turns: 3, share: 25), Case(rpcs: 100, bytes: 1, turns: 99, share: 1),
        Case(rpcs: 7, bytes: 1, turns: 1, share: 3), Case(rpcs: 7, bytes: 1, turns: 2, share: 2),
        // At least one where there is room.
        Case(rpcs: 1, bytes: 1, turns: 1, share: 1), Case(rpcs: 5, bytes: 1, turns: 1_000_000, share: 1),
        // None where there is none, of RPCs or of bytes.
        Case(rpcs: 0, bytes: 1, turns: 0, share: 0), Case(rpcs: -3, bytes: 1, turns: 0, share: 0),
        Case(rpcs: 100, bytes: 0, turns: 0, share: 0), Case(rpcs: 100, bytes: -1, turns: 5, share: 0),
        Case(rpcs: .max, bytes: .max, turns: 0, share: .max),
    ]

    @Test(arguments: cases.indices) func `the share of a producer`(index: Int) {
        let fact = Self.cases[index]
        let room = InboxRoom(rpcs: fact.rpcs, bytes: fact.bytes, turns: fact.turns)
        #expect(room.share.rpcs == fact.share && room.share.bytes == fact.bytes)
        #expect(room.isEmpty == (fact.share == 0))
    }

    @Test func `a producer that has not asked yet has no room`() {
        #expect(InboxRoom.unknown.isEmpty && InboxRoom.unknown.share.rpcs == 0)
    }

    /// Those that were called together: each takes its share, and the next finds one turn less.
    @Test(arguments: [(100, 3), (100, 7), (7, 7), (64, 64), (1_000, 1)])
    func `producers that were called together divide the room`(rpcs: Int, producers: Int) {
        var room = InboxRoom(rpcs: rpcs, bytes: 1 << 20, turns: producers)
        var shares: [Int] = []
        for _ in 0..<producers {
            room.turns -= 1
            shares.append(room.share.rpcs)
            room.rpcs -= room.share.rpcs
        }
        #expect(shares.reduce(0, +) == rpcs, "all of it is offered")
        #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 1, "nobody gets more than another: \(shares)")
    }
}
