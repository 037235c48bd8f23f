import Testing

@testable import Parley

/// Who has to go when all connections together hold too much.
@Suite struct ReceiveBufferTests {
    private func held(_ bytes: Int, since: UInt64 = 0) -> HeldBytes {
        var held = HeldBytes()
        #expect(held.change(to: bytes, false, at: since) == bytes)
        return held
    }

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
        #expect(held(bytes).weight(at: milliseconds) == weight)
        #expect(held(bytes, since: 70).weight(at: 70 + milliseconds) == weight)
        #expect(held(bytes).weight(at: 70 + milliseconds, notBefore: 70) == weight)
    }

    @Test func `the time begins with the first byte, and again when something is delivered`() {
        var held = HeldBytes()
        #expect(held.change(to: 100, false, at: 5) == 100 && held.since == 5)
        #expect(held.change(to: 150, false, at: 9) == 50 && held.since == 5, "more came")
        #expect(held.change(to: 120, true, at: 11) == -30 && held.since == 11, "a part was delivered")
        #expect(held.change(to: 180, true, at: 12) == 60 && held.since == 12, "a part was, and more came")
        #expect(held.change(to: 0, false, at: 14) == -180 && held.since == 12)
        #expect(held.change(to: 1, false, at: 20) == 1 && held.since == 20 && held.bytes == 1)
    }

    @Test func `a clock that another thread has read later is no age`() {
        #expect(held(1_000, since: 50).weight(at: 49) == 1_000)
        #expect(held(1_000, since: 50).weight(at: 60, notBefore: 70) == 1_000)
    }

    @Test func `a large message at full speed weighs less than a stale small one`() {
        // 16 MiB that got bytes 2 ms ago, and the beginning of a frame that has lain there for an hour.
        let fast = held(16 << 20).weight(at: 2)
        #expect(fast < held(64 << 10).weight(at: 3_600_000))
        #expect(fast > held(64 << 10).weight(at: 2), "of equal age the larger goes")
        let weights = (0..<100).map { held(1_000).weight(at: $0) }
        #expect(zip(weights, weights.dropFirst()).allSatisfy(<), "it weighs more each millisecond")
    }

    @Test(
        arguments: [
            (Int.max, 1 << 44), (Int.max, UInt64.max - 1), (1 << 40, 1 << 30), (2, UInt64.max - 1),
        ] as [(Int, UInt64)]
    ) func `a weight too large to count is the largest`(bytes: Int, milliseconds: UInt64) {
        #expect(held(bytes).weight(at: milliseconds) == .max)
        #expect(held(1).weight(at: milliseconds) < .max || milliseconds > 1 << 60)
    }

    @Test func `a time without end is the largest weight, not the least`() {
        #expect(held(1_000).weight(at: .max) == .max)
        #expect(held(0).weight(at: .max) == 0)
    }
}
