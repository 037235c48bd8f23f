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
}
