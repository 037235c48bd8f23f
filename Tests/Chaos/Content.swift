import FaultProxy
import Foundation

/// The bytes of which every payload is a part; the same in every process.
enum Content {
    /// The number of offsets at which a payload may begin.
    static let offsets = 65_521
    static let largestBytes = 1 << 20

    private static let bytes: [UInt8] = {
        var random = SeededGenerator(seed: 1)
        return (0..<(offsets + largestBytes)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }()

    static func part(at offset: Int, count: Int) -> ArraySlice<UInt8> { bytes[offset..<(offset + count)] }

    /// Whether these are the bytes at `offset`.
    static func isPart(_ part: ArraySlice<UInt8>, at offset: Int) -> Bool {
        guard offset >= 0, offset + part.count <= bytes.count else { return false }
        return part.withUnsafeBytes { part in
            bytes.withUnsafeBytes { all in
                part.isEmpty || memcmp(part.baseAddress!, all.baseAddress! + offset, part.count) == 0
            }
        }
    }
}
