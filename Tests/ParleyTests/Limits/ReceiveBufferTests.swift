import Testing

@testable import Parley

/// Who has to go when all connections together hold too much.
@Suite struct ReceiveBufferTests {
    @Test(
        arguments: [
            (0, 0, 0), (0, 1_000_000, 0), (1, 0, 1), (10, 0, 10), (10, 1, 20), (1_000, 999, 1_000_000),
            (-5, 10, 0),
        ] as [(Int, UInt64, UInt64)]
    ) func `bytes weigh by how long they are held`(
        bytes: Int,
        milliseconds: UInt64,
        weight: UInt64
    ) {
        #expect(ReceiveBuffer.weight(bytes: bytes, milliseconds: milliseconds) == weight)
    }

    @Test func `a large message at full speed weighs less than a stale small one`() {
        // 16 MiB that got bytes 2 ms ago, and the beginning of a frame that has lain there for an hour.
        let fast = ReceiveBuffer.weight(bytes: 16 << 20, milliseconds: 2)
        #expect(fast < ReceiveBuffer.weight(bytes: 64 << 10, milliseconds: 3_600_000))
        #expect(fast > ReceiveBuffer.weight(bytes: 64 << 10, milliseconds: 2), "of equal age the larger goes")
        let weights = (0..<100).map { ReceiveBuffer.weight(bytes: 1_000, milliseconds: $0) }
        #expect(zip(weights, weights.dropFirst()).allSatisfy(<), "it weighs more each millisecond")
    }

    @Test(
        arguments: [
            (Int.max, 1 << 44), (Int.max, UInt64.max - 1), (1 << 40, 1 << 30), (2, UInt64.max - 1),
        ] as [(Int, UInt64)]
    ) func `a weight too large to count is the largest`(bytes: Int, milliseconds: UInt64) {
        #expect(ReceiveBuffer.weight(bytes: bytes, milliseconds: milliseconds) == .max)
        #expect(ReceiveBuffer.weight(bytes: 1, milliseconds: milliseconds) < .max || milliseconds > 1 << 60)
    }

    @Test func `a time without end is the largest weight, not the least`() {
        #expect(ReceiveBuffer.weight(bytes: 1_000, milliseconds: .max) == .max)
        #expect(ReceiveBuffer.weight(bytes: 0, milliseconds: .max) == 0)
    }
}
