import Testing

@testable import Parley

/// What encoders write: bytes in order, large slices without a copy.
@Suite struct WireBufferTests {
    @Test func `everything that is appended is there, in order`() {
        var buffer = WireBuffer()
        var expected: [UInt8] = []
        #expect(buffer.isEmpty && buffer.count == 0 && buffer.contiguous.isEmpty)
        for round in 0..<40 {
            let small = patterned(round, seed: UInt64(round))
            let large = patterned(70_000 + round)
            buffer.append(UInt8(round))
            buffer.append(bigEndian: 0x0102_0304)
            buffer.append(small)
            buffer.append(small.span)
            if round.isMultiple(of: 10) { buffer.append(large[...]) }
            expected += [UInt8(round), 1, 2, 3, 4] + small + small + (round.isMultiple(of: 10) ? large : [])
            #expect(buffer.count == expected.count)
        }
        #expect(same(buffer.contiguous, expected))
        buffer.removeAll()
        #expect(buffer.isEmpty && buffer.contiguous.isEmpty && buffer.segments.isEmpty)
    }

    @Test func `bytes are removed from the front`() {
        var buffer = WireBuffer()
        buffer.append(Array(1...10))
        buffer.removeFirst(3)
        #expect(buffer.contiguous == Array(4...10) && buffer.count == 7)
        buffer.removeFirst(0)
        #expect(buffer.count == 7)
        buffer.removeFirst(7)
        #expect(buffer.isEmpty && buffer.contiguous.isEmpty)
    }

    @Test func `a buffer that is emptied from the front keeps no large allocation`() {
        var buffer = WireBuffer()
        for _ in 0..<1_000 { buffer.append(7) }
        buffer.removeFirst(999)
        #expect(buffer.isLarge)
        buffer.removeFirst(1)
        #expect(buffer.isEmpty && !buffer.isLarge)
    }

    @Test func `small pieces are copied together, and slices of 32 KiB are kept`() {
        var buffer = WireBuffer()
        buffer.append(patterned(32 * 1_024 - 1))
        #expect(buffer.segments.isEmpty)
        let large = patterned(32 * 1_024)
        buffer.append(large[...])
        buffer.append(large[...])
        #expect(buffer.segments.count == 3 && buffer.tail.isEmpty)
        #expect(buffer.count == 3 * 32 * 1_024 - 1)
    }

    @Test func `room is made when it is needed, and then for more than that`() {
        var buffer = WireBuffer()
        buffer.append(patterned(40))
        buffer.removeAll()
        let capacity = buffer.capacity
        while buffer.count < capacity - 5 { buffer.append(1) }
        var header = buffer
        header.append(1, bigEndian: 2)
        #expect(header.count == capacity && header.capacity >= capacity && header.capacity < 2 * capacity)
        while buffer.count < capacity { buffer.append(1) }
        #expect(buffer.capacity == capacity)
        // The allocator may give more than was asked for.
        while buffer.capacity < 64 * 1_024 {
            let full = buffer.capacity
            buffer.append(patterned(full - buffer.count + 1))
            let asked = min(16 * full, 64 * 1_024)
            #expect(buffer.capacity >= asked && buffer.capacity < 2 * asked)
        }
    }

    @Test func `an empty buffer keeps a small allocation, and a large one only where it is asked to`() {
        var buffer = WireBuffer()
        buffer.append(patterned(100))
        let small = buffer.capacity
        #expect(small >= 100 && !buffer.isLarge)
        buffer.removeAll()
        #expect(buffer.capacity == small)
        for _ in 0..<100 { buffer.append(patterned(1_000)) }
        let large = buffer.capacity
        #expect(large >= 100_000 && buffer.isLarge)
        buffer.removeAll(keeping: large)
        #expect(buffer.capacity == large)
        buffer.removeAll()
        #expect(buffer.capacity == 0 && !buffer.isLarge)
    }

    // MARK: Runs

    /// Pieces of 32 KiB and more are segments, shorter ones are joined.
    @Test(arguments: [
        ([], []),
        ([10], [10]),
        ([5, 40_000], [40_005]),
        ([100_000], [65_519, 34_481]),
        ([5, 100_000], [65_519, 34_486]),
        ([5, 200_000, 5, 70_000, 9], [65_519, 131_038, 65_519, 7_943]),
        ([65_519, 65_519], [65_519, 65_519]),
        ([65_519, 1], [65_519, 1]),
        ([1, 65_518], [65_519]),
        ([32_768, 32_768], [65_519, 17]),
        ([65_518, 3], [65_519, 2]),
    ])
    func `runs are as long as can be, and in order`(pieces: [Int], expected: [Int]) throws {
        var buffer = WireBuffer()
        var all: [UInt8] = []
        for (index, count) in pieces.enumerated() {
            let piece = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ index) }
            buffer.append(piece)
            all += piece
        }
        var runs: [Int] = []
        var gathered: [UInt8] = []
        try buffer.forEachRun(of: 65_519) { (run) throws(ParleyError) in
            runs.append(run.count)
            gathered.append(copying: run)
        }
        let isSame = gathered == all
        #expect(isSame && runs == expected)
    }
}
