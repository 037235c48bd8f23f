import Parley

// As much of protocol buffers as the handshake needs.
// Source: <https://protobuf.dev/programming-guides/encoding/>.

/// Reads the fields of a message one after another.
struct ProtobufReader {
    /// One field. Numbers of fixed length are skipped over, since no known field has one.
    struct Field {
        enum Content {
            case number(UInt64)
            case bytes(ArraySlice<UInt8>)
            case skipped
        }

        let number: UInt32
        let content: Content
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }
    init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    /// The next field; nil at the end.
    ///
    /// - Throws: `securityFailed` when the bytes are no message.
    mutating func next() throws(ParleyError) -> Field? {
        guard !rest.isEmpty else { return nil }
        let tag = try varint()
        guard let number = UInt32(exactly: tag >> 3), number > 0 else { throw malformed }
        switch tag & 7 {
        case 0: return Field(number: number, content: .number(try varint()))
        case 1: _ = try take(8)
        case 2: return Field(number: number, content: .bytes(try take(try varint())))
        case 5: _ = try take(4)
        default: throw malformed
        }
        return Field(number: number, content: .skipped)
    }

    /// A varint: seven bits in each byte, the least significant first.
    private mutating func varint() throws(ParleyError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else { throw malformed }
            guard shift < 63 || byte <= 1 else { throw malformed }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
        }
        throw malformed
    }

    private mutating func take(_ count: UInt64) throws(ParleyError) -> ArraySlice<UInt8> {
        guard count <= UInt64(rest.count) else { throw malformed }
        defer { rest = rest.dropFirst(Int(count)) }
        return rest.prefix(Int(count))
    }

    private var malformed: ParleyError {
        ParleyError(.securityFailed, "what the other side shows of itself is malformed")
    }
}

/// Writes fields of bytes.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    mutating func append(_ field: UInt32, _ content: [UInt8]) {
        append(UInt64(field) << 3 | 2)
        append(UInt64(content.count))
        bytes += content
    }

    private mutating func append(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7f) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
