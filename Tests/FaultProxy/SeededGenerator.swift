/// A random number generator (SplitMix64): the same seed gives the same numbers.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// A generator for one purpose: different `purposes` give different numbers from the same seed.
    public init(seed: UInt64, _ purposes: Int...) {
        state = seed
        for purpose in purposes {
            state = next() ^ UInt64(truncatingIfNeeded: purpose) &* 0xD6E8_FEB8_6659_FD93
        }
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ bits >> 30) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ bits >> 27) &* 0x94D0_49BB_1331_11EB
        return bits ^ bits >> 31
    }

    /// True once in `count` calls, on average.
    public mutating func oneIn(_ count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

    /// A number up to `limit`, uniform in the logarithm: small values are as frequent as large ones.
    public mutating func size(upTo limit: Int) -> Int {
        let bits = Int.random(in: 0...(Int.bitWidth - limit.leadingZeroBitCount), using: &self)
        return min(limit, Int.random(in: 0...((1 << bits) - 1), using: &self))
    }
}
