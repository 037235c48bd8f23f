import Parley

/// One direction of a session: a key, and the number of the next message.
///
/// A number is never used twice: `seal` counts before anything can fail, and the last number is refused.
///
/// Source: the Noise Protocol Framework, section 5.1, <https://noiseprotocol.org/noise.html>.
struct CipherState: Sendable {
    let key: Secret
    /// The number of the next message.
    private(set) var nonce: UInt64

    init(key: Secret, nonce: UInt64 = 0) {
        self.key = key
        self.nonce = nonce
    }

    /// Seals `count` bytes of `buffer` from `start` on in place. The 16 bytes after them become the tag.
    ///
    /// - Throws: `securityFailed` when 2^64 - 1 messages were sealed.
    mutating func seal(
        _ buffer: inout [UInt8],
        at start: Int,
        count: Int,
        associated: [UInt8] = []
    ) throws(ParleyError) {
        let number = try takeNonce()
        Sodium.seal(&buffer, at: start, count: count, associated: associated, nonce: number, key: key)
    }

    /// Seals `content` and appends it to `output` with its tag, without associated data.
    ///
    /// - Throws: as ``seal(_:at:count:associated:)``.
    mutating func seal(_ content: Span<UInt8>, into output: inout [UInt8]) throws(ParleyError) {
        let number = try takeNonce()
        Sodium.seal(content, into: &output, nonce: number, key: key)
    }

    /// Opens `count` bytes of `buffer` from `start` on in place, of which the last 16 are the tag.
    ///
    /// - Throws: `securityFailed` when the tag is wrong; when 2^64 - 1 messages were opened.
    mutating func open(
        _ buffer: inout [UInt8],
        at start: Int,
        count: Int,
        associated: [UInt8] = []
    ) throws(ParleyError) {
        let number = try takeNonce()
        let isRight = Sodium.open(
            &buffer,
            at: start,
            count: count,
            associated: associated,
            nonce: number,
            key: key
        )
        guard isRight else { throw ParleyError(.securityFailed, "message \(number) has a wrong tag") }
    }

    private mutating func takeNonce() throws(ParleyError) -> UInt64 {
        guard nonce != .max else {
            throw ParleyError(.securityFailed, "the session has used up its 2^64 - 1 messages")
        }
        defer { nonce += 1 }
        return nonce
    }
}
