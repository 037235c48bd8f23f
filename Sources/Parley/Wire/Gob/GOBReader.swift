/// Reads the primitives of one gob message from its front: numbers, lengths, strings and type ids.
///
/// It copies nothing. It reads a number only from bytes that are there, and accepts a length only when that
/// many bytes follow.
///
/// Source: <https://pkg.go.dev/encoding/gob>, "Encoding Details".
struct GOBReader {
    /// One message, without its length prefix.
    private let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ message: ArraySlice<UInt8>) {
        bytes = message
        position = message.startIndex
    }

    /// The bytes of the message that are not read yet.
    var remaining: Int { bytes.endIndex - position }

    /// The bytes of the message that are read.
    var readBytes: Int { position - bytes.startIndex }

    /// Reads an unsigned number: one byte below 128, else the negated count of the big-endian bytes that
    /// follow.
    ///
    /// It accepts leading zero bytes, as Go's decoder does; Go's encoder never writes them.
    mutating func uint(_ what: StaticString) throws(ParleyError) -> UInt64 {
        guard position < bytes.endIndex else { throw endOfMessage(inside: what) }
        let first = bytes[position]
        position += 1
        guard first >= 0x80 else { return UInt64(first) }
        let width = Int(0 &- first)
        guard width <= 8 else {
            throw violation("\(what) claims to be a number of \(width) bytes; gob numbers have at most 8")
        }
        guard width <= remaining else { throw endOfMessage(inside: what) }
        var value: UInt64 = 0
        for byte in bytes[position..<position + width] { value = value << 8 | UInt64(byte) }
        position += width
        return value
    }

    /// Reads a signed number: bit 0 says whether the bits above it are complemented.
    mutating func int(_ what: StaticString) throws(ParleyError) -> Int64 {
        let value = try uint(what)
        let magnitude = Int64(bitPattern: value >> 1)
        return value & 1 == 0 ? magnitude : ~magnitude
    }

    /// Reads a count of elements. It refuses a count above `limit`: each element takes at least one byte.
    mutating func count(_ what: StaticString, limit: Int) throws(ParleyError) -> Int {
        let value = try uint(what)
        guard let count = Int(exactly: value), count <= limit else {
            throw violation("\(what) is \(value), more than the \(limit) that can follow")
        }
        return count
    }

    /// Reads a string or a byte slice, a length and that many bytes, as a slice of the message.
    mutating func block(_ what: StaticString) throws(ParleyError) -> ArraySlice<UInt8> {
        let length = try uint(what)
        guard let length = Int(exactly: length), length <= remaining else {
            throw violation("\(what) claims \(length) bytes, but \(remaining) are left")
        }
        let block = bytes[position..<position + length]
        position += length
        return block
    }

    /// Reads the number of the next field of a struct with `count` fields; nil at the struct's end.
    ///
    /// Fields come in order. Each number is sent as the distance from the last one (-1 before the first).
    mutating func nextField(
        after last: Int,
        of count: Int,
        in what: StaticString
    ) throws(ParleyError) -> Int? {
        let delta = try uint(what)
        guard delta != 0 else { return nil }
        guard let delta = Int(exactly: delta), delta < count - last else {
            throw violation("field \(last) plus \(delta) is out of range: \(what) has \(count) fields")
        }
        return last + delta
    }

    /// A protocol violation that names the current position.
    func violation(_ text: String) -> ParleyError {
        ParleyError(
            .protocolViolation,
            "\(text), before byte \(readBytes) of a gob message of \(bytes.count) bytes"
        )
    }

    private func endOfMessage(inside what: StaticString) -> ParleyError {
        ParleyError(
            .protocolViolation,
            "a gob message of \(bytes.count) bytes ends inside \(what)"
        )
    }
}

// MARK: - Type ids

extension GOBReader {
    /// What follows a type id.
    enum Announcement {
        /// A value of that type.
        case value(GOBTypeID)
        /// The definition of that type; its id is sent negated.
        case definition(GOBTypeID)
    }

    /// Reads the type id in front of a value or, negated, in front of a type definition.
    mutating func announcement() throws(ParleyError) -> Announcement {
        let value = try int("a type id")
        guard let id = Int32(exactly: value.magnitude) else {
            throw violation("the type id \(value) is out of range")
        }
        return value < 0 ? .definition(GOBTypeID(rawValue: id)) : .value(GOBTypeID(rawValue: id))
    }

    /// Reads the id of another type inside a type definition.
    mutating func typeID(_ what: StaticString) throws(ParleyError) -> GOBTypeID {
        let value = try int(what)
        guard let id = Int32(exactly: value) else { throw violation("\(what) is \(value), out of range") }
        return GOBTypeID(rawValue: id)
    }
}

// MARK: - Frames

extension GOBReader {
    /// The sizes of the length prefix at the front of `input` and of the message after it; nil while the
    /// prefix is incomplete.
    ///
    /// - Throws: `protocolViolation` for a message of no bytes or of more than `limit`.
    static func frameHeader(
        _ input: ArraySlice<UInt8>,
        limit: Int
    ) throws(ParleyError) -> (headerBytes: Int, messageBytes: Int)? {
        guard let first = input.first else { return nil }
        let headerBytes = first < 0x80 ? 1 : 1 + Int(0 &- first)
        guard headerBytes <= 9 else {
            throw ParleyError(.protocolViolation, "expected the length of a gob message, got \(hex(first))")
        }
        guard headerBytes <= input.count else { return nil }
        var reader = GOBReader(input.prefix(headerBytes))
        let length = try reader.uint("the length of a gob message")
        guard let messageBytes = Int(exactly: length), messageBytes <= limit else {
            throw ParleyError(
                .protocolViolation,
                "a gob message of \(length) bytes is over the limit of \(limit)"
            )
        }
        guard messageBytes > 0 else {
            throw ParleyError(.protocolViolation, "a gob message of no bytes, without even a type id")
        }
        return (headerBytes, messageBytes)
    }
}
