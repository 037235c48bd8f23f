/// The gob wire form: Go's `encoding/gob` for the reference's RPC,
/// `struct { From string; Payload []byte; Stream bool }`.
///
/// It reads what Go's encoder writes for any struct that has at least one of these fields with its type. The
/// fields may come in any order; other fields of any type are skipped. The sender may make one encoder for
/// each message or one for the connection, and may start a fresh one at any time. An RPC whose `Stream` is
/// set opens a stream with `Payload` as its header: everything after it is raw until the reader calls
/// ``Peer/closeStream()``. `From` is read and dropped: the connection's address names the sender.
///
/// It writes what Go's encoder writes for an RPC without `From`. Go programs differ in whether their decoder
/// wants the type defined again in each message; ``Encoding`` chooses. Parley reads both.
///
/// Before anything is allocated, lengths and counts are checked against `maxMessageBytes` and against the
/// bytes that are there, nesting and type definitions against limits of their own. At most 64 KiB of a value
/// may be something other than its payload: skipping them takes time. No message is copied.
///
/// Source: <https://pkg.go.dev/encoding/gob>, and Go's own encoder where that page is silent.
public struct GOBDecoder: Decoder {
    /// How often the type of a message is defined on the wire.
    public enum Encoding: Sendable {
        /// In front of each message, as `gob.NewEncoder(conn).Encode(rpc)` does. It adds 50 bytes to each
        /// message.
        ///
        /// For Go programs that make a decoder for each message, as the reference does. A decoder that lives
        /// as long as the connection refuses the second message ("gob: duplicate type received").
        ///
        /// Such a program has to read through one `io.ByteReader` (for example a `bufio.Reader`) for all its
        /// decoders. Given a bare connection, as in the reference, each decoder reads ahead and drops what it
        /// does not use: the program gets only the first of several messages that arrive together, and loses
        /// the beginning of a stream. With such a program, wait for an answer after each message and after
        /// each stream's opening.
        case selfContained
        /// Once, in front of the first message.
        ///
        /// For Go programs that make one decoder for the connection, as Go's documentation advises. A program
        /// that makes a decoder for each message refuses the second message ("gob: unknown type id or
        /// corrupted data").
        case onePerConnection
    }

    /// The default of `maxMessageBytes`: 16 MiB.
    public static let defaultMaxMessageBytes = 16 << 20

    /// How many bytes of a value may be something other than the payload: `From`, skipped fields, and the
    /// encoding itself.
    static let maxOverheadBytes = 64 * 1024

    private let encoding: Encoding
    private let limits: GOBLimits

    // Reading
    private var types = GOBTypes()
    private var value: GOBValueReader
    /// Whether type definitions have come without the value that they are for.
    private var awaitsValue = false

    // Writing
    private var hasSentDefinition = false

    /// A decoder at the start of a connection.
    ///
    /// - Parameters:
    ///   - maxMessageBytes: the longest payload in bytes, in either direction: 0 to 4,294,967,295. Anything
    ///     else stops the program.
    ///   - encoding: how often the type is defined in what is sent. It has no effect on reading.
    public init(maxMessageBytes: Int = defaultMaxMessageBytes, encoding: Encoding = .selfContained) {
        precondition((0...Int(UInt32.max)).contains(maxMessageBytes), "maxMessageBytes has to fit 32 bits")
        limits = GOBLimits(messageBytes: maxMessageBytes, overheadBytes: Self.maxOverheadBytes)
        value = GOBValueReader(limits: limits)
        self.encoding = encoding
    }

    /// `gob`
    public var name: String { "gob" }

    /// A stream ends when its reader closes it.
    public var streamForm: StreamForm { .untilClosed }

    /// The types that the sender has defined, and the part of a value that goes on in the next message.
    public var retainedBytes: Int { types.retainedBytes + (value.isOpen ? value.retainedBytes : 0) }
}

/// Limits of what one peer may send.
struct GOBLimits: Sendable {
    /// The most bytes of payload.
    let messageBytes: Int
    /// The most bytes of one value beside its payload, in all the messages that it comes in. Also the most
    /// elements of a part of it: each takes at least one byte.
    let overheadBytes: Int

    /// The most bytes of one value, and of one message.
    var valueBytes: Int { messageBytes + overheadBytes }
}

extension WireForm {
    /// Go's `encoding/gob`; see ``GOBDecoder``.
    public static func gob(
        maxMessageBytes: Int = GOBDecoder.defaultMaxMessageBytes,
        encoding: GOBDecoder.Encoding = .selfContained
    ) -> WireForm {
        WireForm(maxMessageBytes: maxMessageBytes, upTo: Int(UInt32.max), checksLengths: false) {
            GOBDecoder(maxMessageBytes: maxMessageBytes, encoding: encoding)
        }
    }
}

// MARK: - Reading

extension GOBDecoder {
    /// Takes the next RPC from the front of `input`, and the type definitions before it.
    ///
    /// It removes definitions, and the parts of a value that comes in several messages, as they come: `input`
    /// may be empty after an `incomplete`.
    ///
    /// - Throws: `protocolViolation` for bytes that are no gob stream, for a value that is no RPC, and for
    ///   anything over the limits.
    public mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        while let (headerBytes, messageBytes) = try GOBReader.frameHeader(input, limit: limits.valueBytes) {
            guard messageBytes <= input.count - headerBytes else {
                return .incomplete(frameBytes: headerBytes + messageBytes)
            }
            input.removeFirst(headerBytes)
            let message = input.prefix(messageBytes)
            input.removeFirst(messageBytes)
            if let event = try read(message) { return event }
        }
        return .incomplete(frameBytes: 0)
    }

    /// Throws `truncated` in the middle of a message, in the middle of a value, and between a definition and
    /// its value.
    public func endOfInput(unread: ArraySlice<UInt8>) throws(ParleyError) {
        guard unread.isEmpty else {
            throw ParleyError(
                .truncated,
                "the connection ended inside a gob message, \(unread.count) bytes into it"
            )
        }
        guard !value.isOpen else {
            throw ParleyError(
                .truncated,
                "the connection ended inside a gob value, between two of its messages"
            )
        }
        guard !awaitsValue else {
            throw ParleyError(.truncated, "the connection ended between a gob type definition and the value")
        }
    }

    /// Reads one whole gob message; nil when it completes no RPC.
    private mutating func read(_ message: ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent? {
        var reader = GOBReader(message)
        if !value.isOpen {
            switch try reader.announcement() {
            case .definition(let id):
                try types.define(id, from: &reader)
                awaitsValue = true
                try expectEnd(of: reader, after: "a type definition")
                return nil
            case .value(let id):
                try value.begin(id, &reader, types)
                awaitsValue = false
            }
        }
        guard try value.resume(&reader, &types) else { return nil }
        try expectEnd(of: reader, after: "a value")
        let payload = value.takePayload()
        return value.isStream ? .streamOpened(header: payload) : .message(payload)
    }

    private func expectEnd(of reader: GOBReader, after what: String) throws(ParleyError) {
        guard reader.remaining == 0 else {
            throw reader.violation("\(reader.remaining) bytes too many after \(what)")
        }
    }
}

// MARK: - Writing

extension GOBDecoder {
    /// Appends an RPC with `Payload` set, and the definition of its type when ``Encoding`` asks for one.
    ///
    /// - Throws: `messageTooLong` over `maxMessageBytes`.
    public mutating func encode(
        message: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) {
        try encode(payload: message, isStream: false, into: &output)
    }

    /// Appends an RPC with `Payload` (the header) and `Stream` set.
    ///
    /// - Throws: `messageTooLong` when the header is over `maxMessageBytes`.
    public mutating func encodeStreamOpening(
        header: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) {
        try encode(payload: header, isStream: true, into: &output)
    }

    /// Appends one RPC. A field with its zero value is not sent; the next field's number is relative to the
    /// last field sent.
    private mutating func encode(
        payload: ArraySlice<UInt8>,
        isStream: Bool,
        into output: inout WireBuffer
    ) throws(ParleyError) {
        guard payload.count <= limits.messageBytes else {
            throw ParleyError(
                .messageTooLong,
                "a payload of \(payload.count) bytes is over the gob wire form's limit of "
                    + "\(limits.messageBytes)"
            )
        }
        if encoding == .selfContained || !hasSentDefinition { output.append(Self.definition) }
        hasSentDefinition = true

        let length = GOBNumber(payload.count)
        let payloadFieldBytes = payload.isEmpty ? 0 : 1 + length.encodedBytes + payload.count
        let streamFieldBytes = isStream ? 2 : 0
        output.append(GOBNumber(Self.typeID.count + payloadFieldBytes + streamFieldBytes + 1))
        output.append(Self.typeID)
        if !payload.isEmpty {
            output.append(0x02)  // from field -1 to 1, Payload: From is not sent
            output.append(length)
            output.append(payload)
        }
        if isStream {
            output.append(payload.isEmpty ? 0x03 : 0x01)  // to field 2, Stream
            output.append(0x01)  // true
        }
        output.append(0x00)  // the end of the fields
    }

    /// 65, the first user-defined id of older Go releases; newer ones start at 64. Receivers take any from
    /// 64.
    private static let typeID: [UInt8] = [0xff, 0x82]

    /// The definition of RPC, as Go's encoder writes it.
    private static let definition: [UInt8] =
        [0x31, 0xff, 0x81]  // 49 bytes follow; they define the type 65
        + [0x03]  // wireType's field 2, StructT:
        + [0x01, 0x01, 0x03] + Array("RPC".utf8)  // its CommonType's Name
        + [0x01] + typeID + [0x00]  // its CommonType's Id, and CommonType's end
        + [0x01, 0x03]  // its three fields:
        + [0x01, 0x04] + Array("From".utf8) + [0x01, 0x0c, 0x00]  // 6, string
        + [0x01, 0x07] + Array("Payload".utf8) + [0x01, 0x0a, 0x00]  // 5, bytes
        + [0x01, 0x06] + Array("Stream".utf8) + [0x01, 0x02, 0x00]  // 1, bool
        + [0x00, 0x00]  // StructT's end, and wireType's
}

/// An unsigned number in gob's encoding: one byte below 128, else the negated count of the big-endian bytes
/// that follow.
private struct GOBNumber {
    let value: UInt64

    init(_ value: Int) { self.value = UInt64(value) }

    private var significantBytes: Int { (71 - value.leadingZeroBitCount) / 8 }

    var encodedBytes: Int { value < 0x80 ? 1 : 1 + significantBytes }

    func write(into output: inout WireBuffer) {
        guard value >= 0x80 else { return output.append(UInt8(value)) }
        output.append(0 &- UInt8(significantBytes))
        for shift in stride(from: 8 * (significantBytes - 1), through: 0, by: -8) {
            output.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }
}

extension WireBuffer {
    fileprivate mutating func append(_ number: GOBNumber) { number.write(into: &self) }
}
