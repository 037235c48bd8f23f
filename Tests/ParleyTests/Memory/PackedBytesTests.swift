import FaultProxy
import Testing

@testable import Parley

/// Bytes that are appended at the end and removed at the front, against an array.
@Suite struct PackedBytesTests {
    private func append(_ bytes: [UInt8], to packed: inout PackedBytes) {
        bytes.withUnsafeBytes { packed.append($0) }
    }

    @Test func `whatever is appended and removed, the bytes are those of an array`() {
        var random = SeededGenerator(seed: 1)
        func next(_ end: Int) -> Int { .random(in: 0..<end, using: &random) }
        var packed = PackedBytes()
        var expected: [UInt8] = []
        for round in 0..<4_000 {
            switch next(4) {
            case 0, 1:
                let piece = patterned(next(300), seed: UInt64(round))
                append(piece, to: &packed)
                expected += piece
            case 2:
                let count = next(expected.count + 1)
                packed.removeFirst(count)
                expected.removeFirst(count)
            default:
                guard next(16) == 0 else { continue }
                packed.removeAll(keeping: next(4_096))
                expected = []
            }
            let isSame = packed.copied == expected
            #expect(isSame && packed.count == expected.count && packed.isEmpty == expected.isEmpty)
        }
    }

    @Test func `a copy keeps its bytes, whatever becomes of the other one`() {
        var one = PackedBytes()
        append([1, 2, 3, 4], to: &one)
        var other = one
        one.removeFirst(2)
        append([5], to: &one)
        append([9, 9], to: &other)
        #expect(one.copied == [3, 4, 5] && other.copied == [1, 2, 3, 4, 9, 9])
        let third = one
        one.removeAll(keeping: .max)
        append([7, 7, 7], to: &one)
        #expect(one.copied == [7, 7, 7] && third.copied == [3, 4, 5])
    }

    @Test func `a queue that never empties uses its allocation again`() {
        var packed = PackedBytes()
        append(patterned(1_000), to: &packed)
        let capacity = packed.capacity
        for _ in 0..<10_000 {
            packed.removeFirst(packed.count - 300)
            append(patterned(200), to: &packed)
        }
        #expect(packed.count == 500 && packed.capacity <= 16 * capacity)
    }
}
