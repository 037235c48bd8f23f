// As much of protocol buffers as handshakes and libp2p's messages need.
// Source: <https://protobuf.dev/programming-guides/encoding/>.

/// Reads the fields of a message one after another.
package struct ProtobufReader {
    /// One field. Numbers of fixed length are skipped over, since no known field has one.
    package struct Field {
        package enum Content {
            case number(UInt64)
            case bytes(ArraySlice<UInt8>)
            case skipped
        }

        package let number: UInt32
        package let content: Content
    }

    private var rest: ArraySlice<UInt8>
    private let malformed: ParleyError

    /// - Parameter malformed: what ``next()`` throws when the bytes are no message.
    package init(_ bytes: ArraySlice<UInt8>, malformed: ParleyError) {
        rest = bytes
        self.malformed = malformed
    }

    /// The next field; nil at the end.
    package mutating func next() throws(ParleyError) -> Field? {
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

    private mutating func varint() throws(ParleyError) -> UInt64 {
        guard let value = Varint.take(from: &rest) else { throw malformed }
        return value
    }

    private mutating func take(_ count: UInt64) throws(ParleyError) -> ArraySlice<UInt8> {
        guard count <= UInt64(rest.count) else { throw malformed }
        defer { rest = rest.dropFirst(Int(count)) }
        return rest.prefix(Int(count))
    }
}

/// Writes fields of bytes.
package struct ProtobufWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func append(_ field: UInt32, _ content: [UInt8]) {
        Varint.append(UInt64(field) << 3 | 2, to: &bytes)
        Varint.append(UInt64(content.count), to: &bytes)
        bytes += content
    }
}
