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
        for _ in 0..<10_000 {
            queue.append(block(1...1))
            _ = queue.popFirst()
        }
        #expect(queue.count == 1 && queue.placesHeld <= 64)
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
}
