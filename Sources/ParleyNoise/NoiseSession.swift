import Parley

/// The two directions of a secured link after its handshake. They share nothing: one thread may seal while
/// another opens.
struct NoiseSession: Sendable {
    var sending: CipherState
    var receiving: CipherState
}

// On the wire each Noise message follows its length: an unsigned 16-bit number, big-endian.
// Source: <https://github.com/libp2p/specs/blob/master/noise/README.md>, "Wire Format".
extension CipherState {
    /// Appends `bytes` to `output` as messages with their lengths, each as long as can be. No bytes are no
    /// message.
    mutating func sealMessages(_ bytes: Span<UInt8>, into output: inout [UInt8]) throws(ParleyError) {
        var start = 0
        while start < bytes.count {
            let count = min(bytes.count - start, SecureMessage.maxContentBytes)
            output.append(lengthOfMessage: count + Sodium.tagBytes)
            try seal(bytes.extracting(start..<start + count), into: &output)
            start += count
        }
    }

    /// Opens a message in place: `count` bytes of `buffer` from `start` on, without their length. Its content
    /// then has 16 bytes less.
    ///
    /// - Returns: where the content is.
    /// - Throws: `securityFailed`; this direction is of no further use then, and the bytes mean nothing.
    mutating func openMessage(
        _ buffer: inout [UInt8],
        at start: Int,
        count: Int
    ) throws(ParleyError) -> Range<Int> {
        guard count >= Sodium.tagBytes else {
            throw ParleyError(.securityFailed, "a message of \(count) bytes is shorter than its tag")
        }
        try open(&buffer, at: start, count: count)
        return start..<start + count - Sodium.tagBytes
    }
}

extension [UInt8] {
    /// Appends the length that precedes a message.
    mutating func append(lengthOfMessage count: Int) {
        append(UInt8(truncatingIfNeeded: count >> 8))
        append(UInt8(truncatingIfNeeded: count))
    }
}
