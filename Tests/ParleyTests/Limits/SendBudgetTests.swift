import Synchronization
import Testing

@testable import Parley

/// What all peers of a node together may have unwritten.
@Suite struct SendBudgetTests {
    private static let chunk = SendBudget.chunkBytes
    private static let free = SendBudget.freeBytes

    /// Of a budget of 16 chunks; a peer that has taken four chunks leaves half of them. `reserved` counts the
    /// free bytes, as a queue does.
    @Test(arguments: [
        (taken: 0, available: 1, isGiven: true),
        (taken: 0, available: 0, isGiven: false),
        (taken: 1, available: 3, isGiven: true),
        (taken: 1, available: 2, isGiven: false),
        (taken: 2, available: 5, isGiven: true),
        (taken: 2, available: 4, isGiven: false),
        (taken: 4, available: 9, isGiven: true),
        (taken: 4, available: 8, isGiven: false),
        (taken: 6, available: 9, isGiven: true),
        (taken: 6, available: 8, isGiven: false),
    ]) func `the more a peer has taken, the more it leaves`(taken: Int, available: Int, isGiven: Bool) {
        var budget = SendBudget(bytes: 16 * Self.chunk)
        budget.charge((16 - available) * Self.chunk)
        #expect(budget.takeChunk(reserved: Self.free + taken * Self.chunk) == isGiven)
        #expect(budget.available == (isGiven ? available - 1 : available) * Self.chunk)
        var short = SendBudget(bytes: 16 * Self.chunk)
        short.charge((16 - available) * Self.chunk + 1)
        if isGiven, taken <= 4, available == 2 * taken + 1 {
            #expect(short.takeChunk(reserved: Self.free + taken * Self.chunk) == false, "a byte lacks")
        }
    }

    @Test func `a peer's free bytes are no part of the budget, and less than those is nothing taken`() {
        var budget = SendBudget(bytes: Self.chunk)
        #expect(budget.takeChunk(reserved: Self.free + Self.chunk) == false)
        #expect(budget.takeChunk(reserved: 0) == true)
        #expect(budget.available == 0)
    }

    @Test func `messages are taken whole, so the budget may be overdrawn`() {
        var budget = SendBudget(bytes: 100)
        budget.charge(150)
        #expect(budget.available == -50 && !budget.takeChunk(reserved: 0))
        budget.giveBack(150)
        #expect(budget.available == 100)
        #expect(SendBudget(bytes: -1).available == 0)
    }

    /// 64 MiB, and a high mark of 1 MiB for each peer: the options as they are.
    @Test(arguments: [true, false])
    func `64 peers that take as much as they can leave a part for one more`(inTurn: Bool) {
        var budget = SendBudget(bytes: Limits().sendBufferBytes)
        let high = TransportOptions().sendHighWaterBytes
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
        #expect(budget.available >= Self.chunk)
        #expect(budget.takeChunk(reserved: Self.free) == true)
        for bytes in reserved { budget.giveBack(bytes - Self.free) }
        #expect(budget.available == Limits().sendBufferBytes - Self.chunk)
    }

    /// Without a mark of its own a peer alone takes half.
    @Test func `a peer alone takes half, and peers in turn leave a part however many they are`() {
        var alone = SendBudget(bytes: 256 * Self.chunk)
        var taken = 0
        while alone.takeChunk(reserved: Self.free + taken * Self.chunk) { taken += 1 }
        #expect(taken == 128)
        for peers in [1, 2, 3, 10, 64, 200, 255] {
            var budget = SendBudget(bytes: 256 * Self.chunk)
            var taken = [Int](repeating: 0, count: peers)
            var goesOn = true
            while goesOn {
                goesOn = false
                for peer in 0..<peers where budget.takeChunk(reserved: Self.free + taken[peer] * Self.chunk) {
                    taken[peer] += 1
                    goesOn = true
                }
            }
            #expect(budget.available >= Self.chunk, "\(peers) peers")
        }
    }

    // MARK: Turns

    @Test func `turns come in the order of waiting, while there is a chunk`() {
        var budget = SendBudget(bytes: 0)
        for number in UInt64(1)...5 { budget.enqueue(number) }
        #expect(budget.waitingCount == 5 && budget.nextTurn() == nil)
        budget.giveBack(Self.chunk - 1)
        #expect(budget.nextTurn() == nil, "it is not whole")
        budget.giveBack(1)
        #expect(budget.nextTurn() == 1)
        #expect(budget.takeChunk(reserved: Self.free) == true)
        #expect(budget.nextTurn() == nil)
        budget.giveBack(Self.chunk)
        #expect(
            budget.nextTurn() == 2 && budget.nextTurn() == 3,
            "whoever takes nothing leaves it to the next"
        )
        budget.enqueue(6)
        #expect((0..<4).map { _ in budget.nextTurn() } == [4, 5, 6, nil])
        #expect(budget.waitingCount == 0)
    }

    @Test func `2,000 turns keep their order and move each place a bounded number of times`() {
        var budget = SendBudget(bytes: 0)
        var served: [UInt64] = []
        var moved = 0
        func turn() {
            let places = budget.placesHeld
            if let number = budget.nextTurn() { served.append(number) }
            if budget.placesHeld < places { moved += budget.placesHeld }
            #expect(budget.placesHeld <= budget.waitingCount + max(64, budget.waitingCount))
        }
        // Two come for each that goes, until all go.
        for number in UInt64(1)...2_000 {
            budget.enqueue(number)
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
        let budget = SharedSendBudget(bytes: Self.chunk) { number in served.withLock { $0.append(number) } }
        budget.enqueue(7)
        #expect(served.withLock { $0 } == [7])
        budget.giveBack(Self.chunk)
        #expect(served.withLock { $0 } == [7])
        #expect(budget.freeBytes == 2 * Self.chunk)
        budget.giveBack(0)
        budget.giveBack(-5)
        #expect(budget.freeBytes == 2 * Self.chunk, "nothing is no return")
    }

    @Test func `2,000 that wait are called once each`() {
        let calls = Lock<[UInt64]>([])
        let taker = Lock<SharedSendBudget?>(nil)
        let budget = SharedSendBudget(bytes: 0) { number in
            calls.withLock { $0.append(number) }
            // Every other one takes its chunk, the rest leave it.
            if number.isMultiple(of: 2) { _ = taker.withLock { $0 }?.takeChunk(reserved: Self.free) }
        }
        taker.withLock { $0 = budget }
        for number in UInt64(1)...2_000 { budget.enqueue(number) }
        #expect(calls.withLock { $0 }.isEmpty)
        for returned in 1...1_000 {
            budget.giveBack(Self.chunk)
            #expect(calls.withLock { $0.count } == 2 * returned)
        }
        #expect(calls.withLock { $0 } == Array(1...2_000))
        #expect(budget.freeBytes == 0)
        taker.withLock { $0 = nil }
    }
}
