import Testing

@testable import Parley

@Suite("Who shares the time of a loop, as a value")
struct TurnQueueTests {
    /// Takes everybody who has a turn now; each does `work`.
    private func take(_ queue: inout TurnQueue<Int>, in turn: UInt64, work: Int = 1) -> [Int] {
        var taken: [Int] = []
        while let next = queue.next(in: turn) {
            taken.append(next)
            queue.count(work)
        }
        return taken
    }

    @Test(arguments: [1, 4, 100])
    func `a turn does so much work, in order, and the rest wait for the next`(limit: Int) {
        var queue = TurnQueue<Int>(limit: limit)
        for number in 0..<300 { queue.add(number) }
        var all: [Int] = []
        var turn: UInt64 = 7
        while !queue.isEmpty {
            turn += 1
            let taken = take(&queue, in: turn)
            #expect(taken.count == min(limit, 300 - all.count))
            #expect(take(&queue, in: turn).isEmpty && queue.hasRoom(in: turn) == (taken.count < limit))
            all += taken
        }
        #expect(all == Array(0..<300))
    }

    @Test(arguments: [(1, 10), (3, 4), (10, 1), (11, 1)])
    func `how many have their turn depends on what they have to do`(work: Int, number: Int) {
        var queue = TurnQueue<Int>(limit: 10)
        for number in 0..<50 { queue.add(number) }
        for turn in 1...3 { #expect(take(&queue, in: UInt64(turn), work: work).count == number) }
    }

    @Test func `whoever has had a turn waits behind the others`() {
        var queue = TurnQueue<Int>(limit: 2)
        for number in 0..<3 { queue.add(number) }
        var all: [Int] = []
        for turn in 1...6 {
            for number in take(&queue, in: UInt64(turn)) {
                all.append(number)
                queue.add(number)
            }
        }
        #expect(all == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
    }

    @Test func `those that are gone take no room`() {
        var queue = TurnQueue<Int>(limit: 2)
        for number in 0..<100 { queue.add(number) }
        #expect(take(&queue, in: 1, work: 0).count == 100)
        for number in 0..<3 { queue.add(number) }
        #expect(take(&queue, in: 1) == [0, 1])
        #expect(take(&queue, in: 2) == [2])
    }
}
