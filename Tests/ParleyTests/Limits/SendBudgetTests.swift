import Synchronization
import Testing

@testable import Parley

/// What all peers of a node together may have unwritten.
@Suite struct SendBudgetTests {
    private static let chunk = SendBudget.chunkBytes
    private static let free = SendBudget.freeBytes

    /// What a peer leaves of a budget of 16 chunks, when it has taken so many: two more for each, up to half.
    @Test(arguments: [
        (taken: 0, needed: 1), (taken: 1, needed: 3), (taken: 2, needed: 5), (taken: 3, needed: 7),
        (taken: 4, needed: 9), (taken: 5, needed: 9), (taken: 1_000, needed: 9),
    ]) func `the more a peer has taken, the more it leaves to others`(taken: Int, needed: Int) {
        var budget = SendBudget(bytes: 16 * Self.chunk)
        budget.charge((16 - needed) * Self.chunk)
        let reserved = Self.free + taken * Self.chunk
        budget.charge(1)
        #expect(budget.takeChunk(reserved: reserved) == false, "a byte lacks")
        #expect(budget.available == needed * Self.chunk - 1)
        budget.giveBack(1)
        #expect(budget.takeChunk(reserved: reserved) == true)
        #expect(budget.available == (needed - 1) * Self.chunk)
    }

    @Test func `a peer's free bytes are not taken, and each byte beyond them is`() {
        #expect(Self.free == 16 * 1_024, "as the page of limits says")
        var budget = SendBudget(bytes: 16 * Self.chunk)
        budget.charge(13 * Self.chunk)
        #expect(budget.takeChunk(reserved: Self.free + Self.chunk + 1) == false)
        #expect(budget.takeChunk(reserved: Self.free + Self.chunk) == true)
        budget.charge(Self.chunk)
        #expect(budget.takeChunk(reserved: 0) == true, "less than the free bytes is nothing")
        #expect(budget.available == 0)
    }

    @Test func `a budget without bound can be counted`() {
        var budget = SendBudget(bytes: .max)
        #expect(budget.takeChunk(reserved: .max) == true)
        #expect(budget.available == .max - Self.chunk)
    }

    @Test func `messages are taken whole, so the budget may be overdrawn`() {
        var budget = SendBudget(bytes: 100)
        budget.charge(150)
        #expect(budget.available == -50 && !budget.takeChunk(reserved: 0))
        budget.giveBack(150)
        #expect(budget.available == 100)
        #expect(SendBudget(bytes: -1).available == 0)
    }

    /// Peers that never read, at a budget of 64 MiB: one after the other, or in turn; with a high mark of 1
    /// MiB each or without one.
    @Test(arguments: [true, false], [1 << 20, Int.max])
    func `64 peers that take as much as they can leave a part for one more`(inTurn: Bool, high: Int) {
        let bytes = 64 << 20
        var budget = SendBudget(bytes: bytes)
        var reserved = [Int](repeating: Self.free, count: 64)
        func take(_ peer: Int) -> Bool {
            guard reserved[peer] < high, budget.takeChunk(reserved: reserved[peer]) else { return false }
            reserved[peer] += Self.chunk
            return true
        }
        if inTurn {
            while reserved.indices.map(take).contains(true) {}
        } else {
            for peer in reserved.indices { while take(peer) {} }
        }
        #expect(reserved.allSatisfy { $0 >= Self.free + Self.chunk }, "nobody goes without")
        #expect(budget.available >= bytes / 4, "no more than it takes to let 64 others in")
        #expect(budget.takeChunk(reserved: Self.free) == true)
        for taken in reserved { budget.giveBack(taken - Self.free) }
        #expect(budget.available == bytes - Self.chunk)
    }

    @Test func `a peer alone takes half`() {
        var budget = SendBudget(bytes: 256 * Self.chunk)
        var taken = 0
        while budget.takeChunk(reserved: Self.free + taken * Self.chunk) { taken += 1 }
        #expect(taken == 128 && budget.available == 128 * Self.chunk)
    }

    // MARK: Turns

    @Test func `turns come in the order of waiting, while there is a chunk`() {
        var budget = SendBudget(bytes: 0)
        for number in UInt64(1)...5 { budget.enqueue(number, reserved: Self.free) }
        #expect(budget.waitingCount == 5 && budget.nextWaiting() == nil)
        budget.giveBack(Self.chunk - 1)
        #expect(budget.nextWaiting() == nil, "it is not whole")
        budget.giveBack(1)
        #expect(budget.nextWaiting() == 1)
        #expect(budget.takeChunk(reserved: Self.free) == true)
        #expect(budget.nextWaiting() == nil)
        budget.giveBack(Self.chunk)
        #expect(
            budget.nextWaiting() == 2 && budget.nextWaiting() == 3,
            "whoever takes nothing leaves it to the next"
        )
        budget.enqueue(6, reserved: Self.free)
        #expect((0..<4).map { _ in budget.nextWaiting() } == [4, 5, 6, nil])
        #expect(budget.waitingCount == 0)
    }

    @Test func `who has taken too much for what is free stays, and lets others go first`() {
        var budget = SendBudget(bytes: 8 * Self.chunk)
        for _ in 0..<8 { _ = budget.takeChunk(reserved: Self.free) }
        budget.enqueue(1, reserved: Self.free + SendBudget.largeBytes)
        budget.enqueue(2, reserved: Self.free)
        budget.giveBack(Self.chunk)
        #expect(budget.nextWaiting() == 2 && budget.nextWaiting() == nil && budget.waitingCount == 1)
        budget.giveBack(4 * Self.chunk)
        #expect(budget.nextWaiting() == 1 && budget.waitingCount == 0)
    }

    @Test func `2,000 turns keep their order and move each place a bounded number of times`() {
        var budget = SendBudget(bytes: 0)
        var served: [UInt64] = []
        var moved = 0
        func turn() {
            let places = budget.placesHeld
            if let number = budget.nextWaiting() { served.append(number) }
            if budget.placesHeld < places { moved += budget.placesHeld }
            #expect(budget.placesHeld <= budget.waitingCount + max(64, budget.waitingCount))
        }
        // Two come for each that goes, until all go.
        for number in UInt64(1)...2_000 {
            budget.enqueue(number, reserved: Self.free)
            guard number.isMultiple(of: 2) else { continue }
            budget.giveBack(Self.chunk)
            turn()
            #expect(budget.takeChunk(reserved: Self.free) == true)
        }
        #expect(served.count == 1_000 && budget.waitingCount == 1_000)
        for _ in 0..<1_000 {
            budget.giveBack(Self.chunk)
            turn()
            #expect(budget.takeChunk(reserved: Self.free) == true)
        }
        #expect(served == Array(1...2_000))
        #expect(budget.waitingCount == 0 && budget.placesHeld == 0)
        #expect(moved <= 2_000)
    }

    // MARK: The node's

    @Test func `who comes while there is a chunk is served at once, and once`() {
        let served = Lock<[UInt64]>([])
        let budget = SharedSendBudget(bytes: Self.chunk) { number in
            served.withLock { $0.append(number) }
            return nil
        }
        budget.enqueue(7, reserved: Self.free)
        #expect(served.withLock { $0 } == [7])
        budget.giveBack(Self.chunk)
        #expect(served.withLock { $0 } == [7])
        #expect(budget.freeBytes == 2 * Self.chunk)
        budget.giveBack(0)
        budget.giveBack(-5)
        #expect(budget.freeBytes == 2 * Self.chunk, "nothing is no return")
        budget.giveBack(1)
        #expect(budget.freeBytes == 2 * Self.chunk + 1)
    }

    @Test func `who still waits after a turn has another one when more is free`() {
        let served = Lock(0)
        let budget = SharedSendBudget(bytes: 8 * Self.chunk) { _ in
            served.withLock { served in
                served += 1
                return served == 1 ? Self.free + SendBudget.largeBytes : nil
            }
        }
        budget.charge(8 * Self.chunk)
        budget.enqueue(7, reserved: Self.free)
        budget.giveBack(Self.chunk)
        #expect(served.withLock { $0 } == 1 && budget.waitingCount == 1)
        budget.giveBack(4 * Self.chunk)
        #expect(served.withLock { $0 } == 2 && budget.waitingCount == 0)
    }

    @Test func `2,000 that wait are called once each`() {
        let calls = Lock<[UInt64]>([])
        let taker = Lock<SharedSendBudget?>(nil)
        let budget = SharedSendBudget(bytes: 0) { number in
            calls.withLock { $0.append(number) }
            // Every other one takes its chunk, the rest leave it.
            if number.isMultiple(of: 2) { _ = taker.withLock { $0 }?.takeChunk(reserved: Self.free) }
            return nil
        }
        taker.withLock { $0 = budget }
        for number in UInt64(1)...2_000 { budget.enqueue(number, reserved: Self.free) }
        #expect(calls.withLock { $0 }.isEmpty)
        for returned in 1...1_000 {
            budget.giveBack(Self.chunk)
            #expect(calls.withLock { $0.count } == 2 * returned)
        }
        #expect(calls.withLock { $0 } == Array(1...2_000))
        #expect(budget.freeBytes == 0)
        taker.withLock { $0 = nil }
    }

    // MARK: A connection's turn

    /// The loop is held, so that nothing is written: only the budget lets these senders go on.
    @Test(.timeLimit(.minutes(10)), arguments: [Kind.tcp, .memory])
    func `a turn wakes all senders of a connection that wait for the budget`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make { $0.decoder = .framed }
            let connection = try #require(try await client.dial(server.address) as? Connection)
            let budget = try #require(client.itsNode.sendBudget)
            let held = await HeldLoop(client.eventLoop)
            defer { held.letGo() }
            let all = budget.freeBytes
            budget.charge(all)
            // More than the free bytes, taken whole.
            let first = Array(repeating: UInt8(1), count: Self.free)[...]
            #expect(try connection.submit(message: first) == nil)
            let message = Array(repeating: UInt8(2), count: 1_000)[...]
            var refusals: [Connection.Refusal] = []
            for _ in 0..<5 {
                let refusal = try #require(try connection.submit(message: message))
                #expect(refusal.wait == .room)
                refusals.append(refusal)
            }
            let accepted = Lock(0)
            for refusal in refusals {
                Task {
                    try await connection.waitToSend(refusal)
                    if try connection.submit(message: message, waited: refusal) == nil {
                        accepted.withLock { $0 += 1 }
                    }
                }
            }
            try await eventually { connection.outbound.withLock { $0.sendWaiters.count } == 5 }
            budget.giveBack(all)
            try await eventually { accepted.withLock { $0 } == 5 }
            held.letGo()
            for count in [Self.free] + Array(repeating: 1_000, count: 5) {
                #expect(try await server.nextRPC().payload.count == count)
            }
        }
    }
}
