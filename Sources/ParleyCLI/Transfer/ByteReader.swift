/// Reads numbers and bytes off the front of a record.
struct ByteReader {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    mutating func bytes(_ count: Int) throws(Refusal) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw Refusal("a record is cut short") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func byte() throws(Refusal) -> UInt8 {
        let byte = try bytes(1)
        return byte[byte.startIndex]
    }

    mutating func uint32() throws(Refusal) -> UInt32 { try bytes(4).reduce(0) { $0 << 8 | UInt32($1) } }

    mutating func uint64() throws(Refusal) -> UInt64 { try bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// A number of bytes or of entries.
    mutating func count() throws(Refusal) -> Int {
        guard let count = try countOrUnknown() else { throw Refusal("a record leaves its size out") }
        return count
    }

    /// The same; nil when it is not known.
    mutating func countOrUnknown() throws(Refusal) -> Int? {
        let number = try uint64()
        guard number != .max else { return nil }
        guard let count = Int(exactly: number) else { throw Refusal("a record has a size of \(number)") }
        return count
    }

    mutating func metadata() throws(Refusal) -> Metadata? {
        switch try byte() {
        case 0: return nil
        case 1:
            let mode = try uint32()
            let seconds = Int64(bitPattern: try uint64())
            return Metadata(mode: mode, modified: Timestamp(seconds: seconds, nanoseconds: try uint32()))
        case let flags: throw Refusal("a record has the unknown flags \(flags)")
        }
    }
}

extension [UInt8] {
    mutating func append(bigEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.bigEndian) { append(contentsOf: $0) }
    }

    /// A record of a transfer, or an answer: kind u8, length u32, and the body.
    init(record kind: UInt8, _ body: [UInt8]) {
        self = []
        reserveCapacity(5 + body.count)
        append(kind)
        append(bigEndian: UInt32(body.count))
        append(contentsOf: body)
    }
}
