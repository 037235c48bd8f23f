/// The header of every message between the nodes of a run. A checksum covers the fields, since some proxies
/// corrupt bytes. Every payload is a part of ``Content``, so that it can be compared byte by byte.
struct Envelope: Equatable {
    enum Kind: UInt8 {
        /// The two sides of the handshake: the dialer's bytes and the answer.
        case hello = 1, welcome
        case data, acknowledgement
        /// A stream's header, and the acknowledgement of a whole stream.
        case stream, streamAcknowledgement
        case request, answer
    }

    static let bytes = 40

    var kind: Kind
    /// The sending half of the connection; see ``ConnectionID``.
    var half: UInt64
    /// The number of the message or stream, from 1.
    var number: UInt64 = 0
    /// The offset in ``Content`` at which the payload begins.
    var offset: UInt64 = 0
    /// The payload's length in bytes.
    var length: UInt64 = 0

    /// The encoded form: the fields, their checksum, and a message's payload.
    func encoded(payload: ArraySlice<UInt8> = []) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(Self.bytes + payload.count)
        output.append(kind.rawValue)
        output.append(contentsOf: [0, 0, 0])
        for field in [half, number, offset, length] {
            for shift in stride(from: 56, through: 0, by: -8) {
                output.append(UInt8(truncatingIfNeeded: field >> shift))
            }
        }
        let sum = checksum(output[...])
        for shift in stride(from: 24, through: 0, by: -8) {
            output.append(UInt8(truncatingIfNeeded: sum >> shift))
        }
        output.append(contentsOf: payload)
        return output
    }

    /// Decodes an envelope; nil when the checksum is wrong or the bytes are malformed.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count >= Self.bytes else { return nil }
        let fields = bytes.prefix(Self.bytes)
        func number(_ index: Int, _ count: Int) -> UInt64 {
            fields.dropFirst(index).prefix(count).reduce(0) { $0 << 8 | UInt64($1) }
        }
        guard number(36, 4) == UInt64(checksum(fields.dropLast(4))), let kind = Kind(rawValue: fields.first!)
        else {
            return nil
        }
        self.kind = kind
        half = number(4, 8)
        self.number = number(12, 8)
        offset = number(20, 8)
        length = number(28, 8)
    }

    /// - Parameter part: where the payload lies in ``Content``.
    init(_ kind: Kind, _ half: UInt64, number: UInt64 = 0, part: Range<Int> = 0..<0) {
        self.kind = kind
        self.half = half
        self.number = number
        offset = UInt64(part.lowerBound)
        length = UInt64(part.count)
    }
}

/// CRC-32 (IEEE 802.3).
private func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    ~bytes.reduce(~0) { $0 >> 8 ^ checksumTable[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
}

private let checksumTable: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
}

/// The id of a connection, chosen by its dialer. It is unique over all nodes and their restarts.
struct ConnectionID: Hashable {
    /// The id; its two lowest bits are zero.
    private let bits: UInt64

    init(throughCorruption: Bool) {
        bits = UInt64.random(in: 0 ... .max) << 2 | (throughCorruption ? 1 : 0)
    }

    init(half: UInt64) { bits = half & ~2 }

    /// Whether the connection's proxy corrupts bytes.
    var isCorruptible: Bool { bits & 1 == 1 }

    /// The id of one direction: what the dialer sends, or what it receives.
    func half(ofDialer: Bool) -> UInt64 { bits | (ofDialer ? 0 : 2) }
}
