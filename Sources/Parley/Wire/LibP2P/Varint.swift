/// Unsigned numbers of variable length: seven bits in each byte, the least significant first, and the high
/// bit set in all but the last.
///
/// Source: <https://github.com/multiformats/unsigned-varint>,
/// <https://protobuf.dev/programming-guides/encoding/#varints>.
package enum Varint {
    /// Takes a number from the front of `bytes`; nil when it is not whole or has more than 64 bits.
    package static func take(from bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = bytes.popFirst(), shift < 63 || byte <= 1 else { return nil }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }

    package static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
