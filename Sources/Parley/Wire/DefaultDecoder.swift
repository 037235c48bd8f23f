/// The reference's wire form: a type byte, then whatever one read brings.
///
/// `0x1` announces a message: its payload is what is left of the read that brought the type byte or, when nothing
/// is left, the next read, and at most 1,028 bytes of it. `0x2` opens a stream: everything behind it is raw, until
/// the reader calls ``Peer/closeStream()``. Any other byte is a protocol violation.
///
/// This form keeps no message boundaries of its own. Two messages that travel in one segment arrive as one (the
/// second one's type byte in the middle), and a long one may arrive in pieces. Pace it with answers, or use a wire
/// form with lengths.
///
/// Source: `DefaultDecoder.Decode` of the reference, byte for byte; what it leaves open (a read that fails, an
/// unknown type) is an error here.
public struct DefaultDecoder: Decoder {
    /// The most that one message can carry: the size of the reference's read buffer.
    public static let maxMessageBytes = 1_028

    /// A type byte announced a message and the read ended there: the next read is the payload.
    private var awaitsPayload = false

    /// A decoder at the start of a connection.
    public init() {}

    /// `default`
    public var name: String { "default" }

    /// Streams end when the reader closes them.
    public var streamForm: StreamForm { .untilClosed }

    /// Takes a type byte, or the payload that one announced, from the front of `input`; one call's input is
    /// what the reference calls a read.
    public mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        if !awaitsPayload {
            let bytes = input
            switch input.removeFirst() {
            case MessageType.message.rawValue:
                break
            case MessageType.stream.rawValue:
                return .streamOpened(header: [])
            case let byte:
                throw ParleyError(
                    .protocolViolation,
                    "expected 0x1 (message) or 0x2 (stream) as the default wire form's type byte, got "
                        + hex(byte) + WireGuess.sentence(bytes, expected: name)
                )
            }
            guard !input.isEmpty else {
                awaitsPayload = true
                return .incomplete(frameBytes: 0)
            }
        }
        awaitsPayload = false
        let payload = input.prefix(Self.maxMessageBytes)
        input.removeFirst(payload.count)
        return .message(payload)
    }

    /// A type byte without a payload is a message cut off.
    public func endOfInput(unread: ArraySlice<UInt8>) throws(ParleyError) {
        guard !awaitsPayload else {
            throw ParleyError(
                .truncated,
                "the connection ended between a message's type byte and its payload"
            )
        }
    }

    /// Appends type byte and payload.
    ///
    /// - Throws: `messageTooLong` over 1,028 bytes; `invalidArgument` for an empty message, which this wire form
    ///   cannot express (the next message would be taken for its payload).
    public mutating func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError)
    {
        try encode(message: message.span, into: &output)
    }

    /// Appends type byte and payload; throws as for a slice.
    public mutating func encode(message: Span<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        guard message.count <= Self.maxMessageBytes else {
            throw ParleyError(
                .messageTooLong,
                "a message of \(message.count) bytes does not fit the default wire form, which carries at most "
                    + "\(Self.maxMessageBytes)"
            )
        }
        guard !message.isEmpty else {
            throw ParleyError(.invalidArgument, "the default wire form cannot carry an empty message")
        }
        output.append(MessageType.message.rawValue)
        output.append(message)
    }

    /// Appends `0x2`.
    ///
    /// - Throws: `unsupported` when there is a header: this wire form has no place for one.
    public mutating func encodeStreamOpening(
        header: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) {
        guard header.isEmpty else {
            throw ParleyError(.unsupported, "the default wire form cannot carry a stream header")
        }
        output.append(MessageType.stream.rawValue)
    }
}

/// `0x1f`: how bytes are named in error messages.
func hex(_ byte: UInt8) -> String { "0x" + String(byte, radix: 16) }
