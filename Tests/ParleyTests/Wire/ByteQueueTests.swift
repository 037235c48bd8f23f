import Testing

@testable import Parley

/// Blocks of received bytes in order.
@Suite struct ByteQueueTests {
    private func block(_ bytes: ClosedRange<UInt8>) -> ArraySlice<UInt8> { Array(bytes)[...] }

    @Test func `blocks come back in order, whole`() {
        var queue = ByteQueue()
        #expect(queue.isEmpty && queue.popFirst() == nil && queue.footprint == 0)
        queue.append([])
        queue.prepend([])
        #expect(queue.popFirst() == nil, "nothing is no block")
        queue.append(block(1...3))
        queue.append(block(4...5))
        #expect(queue.count == 5 && !queue.isEmpty)
        #expect(queue.popFirst() == block(1...3))
        #expect(queue.count == 2)
        queue.prepend(block(2...3))
        #expect(queue.count == 4)
        #expect(queue.popFirst() == block(2...3))
        #expect(queue.popFirst() == block(4...5))
        #expect(queue.popFirst() == nil && queue.count == 0)
        queue.prepend(block(9...9))
        queue.prepend(block(8...8))
        #expect(queue.popFirst() == block(8...8) && queue.popFirst() == block(9...9))
        queue.append(block(1...1))
        queue.removeAll()
        #expect(queue.isEmpty && queue.popFirst() == nil && queue.footprint == 0)
    }

    @Test func `a part of a block leaves the rest at the front`() {
        var queue = ByteQueue()
        queue.append(block(1...5))
        queue.append(block(6...7))
        #expect(queue.popFirst(upTo: 2) == block(1...2))
        #expect(queue.count == 5)
        #expect(queue.popFirst(upTo: 3) == block(3...5), "exactly the block")
        #expect(queue.popFirst(upTo: 100) == block(6...7), "no more than a block")
        #expect(queue.popFirst(upTo: 1) == nil)
    }

    @Test func `a queue that never becomes empty does not grow`() {
        var queue = ByteQueue()
        queue.append(block(0...0))
        var most = 0
        for _ in 0..<10_000 {
            queue.append(block(1...1))
            _ = queue.popFirst()
            most = max(most, queue.placesHeld)
        }
        #expect(queue.count == 1 && most == 32, "31 that are taken, and the one that waits")
    }

    @Test func `a block that was taken is not kept`() {
        var queue = ByteQueue()
        queue.append(patterned(1_000)[...])
        queue.append(block(1...1))
        // While somebody else holds the array, a write to it copies it.
        guard var first = queue.popFirst() else { return #expect(Bool(false)) }
        let place = first.withUnsafeBufferPointer(\.baseAddress)
        first[0] ^= 1
        #expect(first.withUnsafeMutableBufferPointer { UnsafePointer($0.baseAddress) } == place)
    }

    @Test(arguments: [(4, true), (5, false)])
    func `an empty queue keeps places for four blocks`(blocks: Int, areKept: Bool) {
        var queue = ByteQueue()
        for _ in 0..<blocks { queue.append(block(1...1)) }
        while queue.popFirst() != nil {}
        #expect((queue.capacity > 0) == areKept)
    }

    @Test func `the footprint counts each block that waits, and none that is taken`() {
        var queue = ByteQueue()
        for _ in 0..<10 { queue.append(block(1...1)) }
        let each = queue.footprint / 10
        #expect(each > 1 && queue.footprint == 10 * each)
        for taken in 1...10 {
            _ = queue.popFirst()
            #expect(queue.footprint == (10 - taken) * each)
        }
    }

    @Test func `thousands of blocks keep their order while some are put back`() {
        var queue = ByteQueue()
        var expected: [UInt8] = []
        var taken: [UInt8] = []
        for number in 0..<5_000 {
            let byte = UInt8(truncatingIfNeeded: number)
            queue.append([byte])
            expected.append(byte)
            if number.isMultiple(of: 3), let block = queue.popFirst() { taken += block }
            if number.isMultiple(of: 30), let last = taken.popLast() { queue.prepend([last]) }
        }
        #expect(queue.count == expected.count - taken.count)
        while let block = queue.popFirst() { taken += block }
        #expect(taken == expected)
        #expect(queue.count == 0 && queue.footprint == 0)
    }

    @Test func `short bytes are copied behind the last ones, and out of large blocks`() {
        var queue = ByteQueue()
        var expected: [UInt8] = []
        for number in 0..<50_000 {
            queue.append([UInt8(truncatingIfNeeded: number)], keeping: 1)
            expected.append(UInt8(truncatingIfNeeded: number))
        }
        #expect(queue.placesHeld <= 4 && queue.footprint < 50_400)
        let large = patterned(20_000)[...]
        queue.append(large.prefix(9_000), keeping: 20_000)
        #expect(queue.placesHeld <= 5)
        queue.append(large, keeping: 20_000)
        queue.append([], keeping: 0)
        queue.append([7], keeping: 20_000)
        expected += large.prefix(9_000) + large + [7]
        #expect(queue.count == expected.count)
        var taken: [ArraySlice<UInt8>] = []
        while let block = queue.popFirst(upTo: 30_000) { taken.append(block) }
        #expect(same(taken.joined(), expected))
        #expect(!taken.contains { $0.count == 9_000 }, "copied out of the large block")
        #expect(taken.contains { $0.count == 20_000 && $0.startIndex == large.startIndex }, "kept as it is")
    }

    @Test func `bytes behind a block that is taken in part stay in order`() {
        var queue = ByteQueue()
        var expected: [UInt8] = []
        var taken: [UInt8] = []
        for number in 0..<5_000 {
            let bytes = Array(repeating: UInt8(truncatingIfNeeded: number), count: number % 7)
            queue.append(bytes[...], keeping: 100)
            expected += bytes
            if number.isMultiple(of: 3), let some = queue.popFirst(upTo: 5) { taken += some }
        }
        while let block = queue.popFirst() { taken += block }
        #expect(same(taken, expected) && queue.isEmpty)
    }

    @Test func `lent bytes are copied out of their block, if they were not taken before`() {
        let block = patterned(100_000)[...]
        var queue = ByteQueue()
        let isShortLent = queue.append(block.prefix(4_095), lentBy: 100_000)
        let isHalfLent = queue.append(block.dropFirst(4_095).prefix(50_000), lentBy: 100_000)
        #expect(!isShortLent && !isHalfLent, "short ones are copied at once, half of a block keeps it")
        let before = queue.blockCount
        let parts = [block.dropFirst(54_095).prefix(20_000), block.dropFirst(74_095)]
        let areLent = parts.map { queue.append($0, lentBy: 100_000) }
        #expect(areLent == [true, true])
        #expect(queue.blockCount == before + 2 && queue.count == 100_000)

        func starts(_ queue: ByteQueue) -> [Int] {
            var (queue, found) = (queue, [Int]())
            while let bytes = queue.popFirst() { found.append(bytes.startIndex) }
            return found
        }
        #expect(starts(queue) == [0, 4_095, 54_095, 74_095])
        queue.copyOut(last: 2, of: 100_000)
        #expect(starts(queue) == [0, 4_095, 0, 0] && queue.count == 100_000)
        queue.copyOut(last: 100, of: 1)
        var taken: [UInt8] = []
        while let bytes = queue.popFirst() { taken += bytes }
        #expect(same(taken, block))
        queue.copyOut(last: 2, of: 100_000)
        #expect(queue.isEmpty && queue.blockCount == 0)
    }
}
