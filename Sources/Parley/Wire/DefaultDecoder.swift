/// The unframed wire form, the reference's: a type byte, then the bytes of one read.
///
/// `0x1` begins a message. Its payload is the rest of the read that brought the type byte or, when nothing is
/// left of that, the next read; at most 1,028 bytes of it. `0x2` opens a stream: everything after it is raw
/// until the reader calls ``Peer/closeStream()``. Any other byte is a protocol violation.
///
/// This wire form has no message boundaries. Two messages that travel in one segment arrive as one (with the
/// second one's type byte in the middle), and a long message may arrive in pieces. Wait for an answer after
/// each message, or use a wire form with lengths.
///
/// Source: `DefaultDecoder.Decode` of the reference, byte for byte. Where the reference is undefined (a read
/// that fails, an unknown type) this decoder throws.
public struct DefaultDecoder: Decoder {
    /// The most that one message can carry: the size of the reference's read buffer.
    public static let maxMessageBytes = 1_028

    /// Whether the last read ended with a message's type byte: the next read is its payload then.
    private var awaitsPayload = false

    /// A decoder at the start of a connection.
    public init() {}

    /// `default`
    public var name: String { "default" }

    /// A stream ends when its reader closes it.
    public var streamForm: StreamForm { .untilClosed }

    /// Takes a message or a stream's opening from the front of `input`, which is what one read brought.
    ///
    /// - Throws: `protocolViolation`, naming a type byte that is neither `0x1` nor `0x2`.
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

    /// Throws `truncated` when a type byte has come without its payload.
    public func endOfInput(unread: ArraySlice<UInt8>) throws(ParleyError) {
        guard !awaitsPayload else {
            throw ParleyError(
                .truncated,
                "the connection ended between a message's type byte and its payload"
            )
        }
    }

    /// Appends the type byte and the payload.
    ///
    /// - Throws: `messageTooLong` over 1,028 bytes; `invalidArgument` for an empty message, which this wire
    ///   form cannot express (the next message would be taken for its payload).
    public mutating func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError)
    {
        try encode(message: message.span, into: &output)
    }

    /// Appends the type byte and the payload; throws as for a slice.
    public mutating func encode(message: Span<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        guard message.count <= Self.maxMessageBytes else {
            throw ParleyError(
                .messageTooLong,
                "a message of \(message.count) bytes does not fit the default wire form, "
                    + "which carries at most \(Self.maxMessageBytes)"
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

/// A byte in error messages: `0x1f`.
func hex(_ byte: UInt8) -> String { "0x" + String(byte, radix: 16) }
