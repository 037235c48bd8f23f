import Testing

@testable import Parley

@Suite("A capacity that the queues of several peers share")
struct InboxPoolTests {
    struct Case: Sendable {
        let own: InboxPool.Amount
        let free: InboxPool.Amount
        let rpcs: Int
        let bytes: Int
        let isHalfFree: Bool

        init(_ own: (Int, Int), free: (Int, Int), room: (Int, Int), isHalfFree: Bool) {
            self.own = .init(rpcs: own.0, bytes: own.1)
            self.free = .init(rpcs: free.0, bytes: free.1)
            (rpcs, bytes) = room
            self.isHalfFree = isHalfFree
        }
    }

    @Test(
        arguments: [
            // Empty: all that is free, and at least one RPC.
            Case((0, 0), free: (16, 100), room: (16, 100), isHalfFree: true),
            Case((0, 0), free: (1, 1), room: (1, 1), isHalfFree: true),
            Case((0, 0), free: (0, 0), room: (1, 1), isHalfFree: true),
            Case((0, 0), free: (-3, -90), room: (1, 1), isHalfFree: true),
            // As much as is free besides.
            Case((4, 10), free: (12, 90), room: (8, 80), isHalfFree: true),
            Case((6, 10), free: (12, 90), room: (6, 80), isHalfFree: true),
            Case((7, 10), free: (12, 90), room: (5, 80), isHalfFree: false),
            Case((4, 45), free: (12, 90), room: (8, 45), isHalfFree: true),
            Case((4, 46), free: (12, 90), room: (8, 44), isHalfFree: false),
            // Full.
            Case((8, 10), free: (8, 90), room: (0, 80), isHalfFree: false),
            Case((9, 10), free: (8, 90), room: (0, 80), isHalfFree: false),
            Case((1, 95), free: (12, 5), room: (11, 0), isHalfFree: false),
            Case((1, 0), free: (0, 90), room: (0, 90), isHalfFree: false),
            Case((1, 0), free: (2, 0), room: (1, 0), isHalfFree: true),
        ]
    )
    func `a queue may hold as much as is free`(fact: Case) {
        let room = InboxPool.room(holding: fact.own, free: fact.free, turns: 3)
        #expect(room.rpcs == fact.rpcs)
        #expect(room.bytes == fact.bytes)
        #expect(room.turns == 3)
        #expect(room.isOfOnePeer && room.isToBeAsked)
        #expect(InboxPool.isHalfFree(holding: fact.own, free: fact.free) == fact.isHalfFree)
    }

    /// Offers RPCs of a peer one at a time until there is no room; returns how many.
    private func fill(_ inbox: Inbox, _ peer: NoPeer) -> Int {
        var offered = 0
        while !inbox.queues[0].room(for: peer).isEmpty, offered < 1_000 {
            inbox.offer([RPC(peer: peer, payload: [UInt8(offered % 256)])])
            offered += 1
        }
        return offered
    }

    @Test func `slow peers take a half, a quarter, and leave every other peer one RPC`() throws {
        let inbox = Inbox(capacity: 16)
        try inbox.queues[0].beginLanes(PeerArrivals(queues: 1))
        let peers = (0..<8).map { _ in NoPeer() }
        #expect(peers.map { fill(inbox, $0) } == [8, 4, 2, 1, 1, 1, 1, 1])
        // Three RPCs above the capacity: one for each peer that came when all was taken.
        #expect(inbox.depth.rpcs == 19)
        #expect(inbox.space == 0)
        #expect(inbox.queues[0].endLanes() == 19)
        #expect(inbox.depth.rpcs == 19)
    }

    @Test func `a peer waits until its own consumer has taken half of its part`() async throws {
        let inbox = Inbox(capacity: 16)
        let arrivals = PeerArrivals(queues: 1)
        try inbox.queues[0].beginLanes(arrivals)
        let (slow, other) = (NoPeer(), NoPeer())
        let called = Lock<[String]>([])
        func isCalled() -> [String] { called.withLock { $0 } }
        #expect(fill(inbox, slow) == 8)
        #expect(fill(inbox, other) == 4)
        inbox.queues[0].whenSpace(for: slow) { called.withLock { $0.append("slow") } }
        inbox.queues[0].whenSpace(for: NoPeer()) { called.withLock { $0.append("new") } }
        #expect(isCalled() == ["new"])
        let lanes = try #require(await arrivals.next())
        #expect(lanes.map { $0.peer === slow } == [true, false])
        _ = lanes[1].queue.takeBatch()
        #expect(isCalled() == ["new"], "another peer's room is not its own")
        // It holds 8, 7, ... and 8, 9, ... are free.
        for expected in [false, false, true] {
            _ = lanes[0].queue.takeNext()
            #expect(isCalled().contains("slow") == expected)
        }
        _ = inbox.queues[0].endLanes()
    }

    @Test func `a producer of several peers waits for room of all of them`() async throws {
        let inbox = Inbox(capacity: 4)
        let arrivals = PeerArrivals(queues: 1)
        try inbox.queues[0].beginLanes(arrivals)
        let called = Lock(0)
        #expect(inbox.offer((0..<3).map { RPC(peer: NoPeer(), payload: [$0]) }) == 1)
        inbox.whenSpace { called.withLock { $0 += 1 } }
        for (index, lane) in try #require(await arrivals.next()).enumerated() {
            #expect(lane.queue.takeNext()?.payload == [UInt8(index)])
            #expect(called.withLock { $0 } == 1, "half of it is free with the first")
        }
        #expect(inbox.space == 4)
        _ = inbox.queues[0].endLanes()
    }

    @Test func `what is taken back is in each peer's order, and wakes consumers`() async throws {
        let inbox = Inbox(capacity: 16)
        let (one, other) = (NoPeer(), NoPeer())
        inbox.offer([RPC(peer: one, payload: [0]), RPC(peer: other, payload: [100])])
        try inbox.queues[0].beginLanes(PeerArrivals(queues: 1))
        inbox.offer([RPC(peer: other, payload: [101]), RPC(peer: one, payload: [1])])
        #expect(inbox.queues[0].takeNext() == nil)
        async let taken = inbox.next()
        #expect(inbox.queues[0].endLanes() == 4)
        inbox.offer([RPC(peer: one, payload: [2]), RPC(peer: other, payload: [102])])
        inbox.finish()
        var payloads = [try #require(await taken).payload[0]]
        while let rpc = await inbox.next() { payloads.append(rpc.payload[0]) }
        #expect(payloads.filter { $0 < 100 } == [0, 1, 2])
        #expect(payloads.filter { $0 >= 100 } == [100, 101, 102])
    }
}
