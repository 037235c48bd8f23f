/// The unframed wire form, the reference's: a type byte, then the bytes of one read.
///
/// `0x1` begins a message. Its payload is the rest of the read that brought the type byte or, when nothing is
/// left of that, the next read; at most 1,028 bytes of it. `0x2` opens a stream: everything after it is raw
/// until the reader calls ``Peer/closeStream()``. Any other byte is a protocol violation.
///
/// Nothing here marks the end of a message, so what one read of the receiver brings is one message:
///
/// - Two messages that travel in one segment arrive as one, with the second one's type byte in the middle.
///   A message may also arrive in pieces, whose first bytes are then taken for type bytes.
/// - A message that is directly followed by a stream's opening swallows the opening, and as many of the
///   stream's bytes as fit.
/// - The same holds for a Go handler that reads the connection itself after a message: it gets only what
///   arrives in a later segment. Pause after such a message.
/// - A payload of exactly 1,028 bytes is where a read ended. An error right after one says that messages have
///   probably merged.
///
/// So wait for an answer after each message, and before a stream. ``WireForm/framed`` has none of this.
///
/// Source: `DefaultDecoder.Decode` of the reference, byte for byte. Where the reference is undefined (a read
/// that fails, an unknown type) this decoder throws.
public struct DefaultDecoder: Decoder {
    /// The most that one message can carry: the size of the reference's read buffer.
    public static let maxMessageBytes = 1_028

    /// What the next byte is.
    private enum Position {
        case type
        /// A type byte after a payload of ``maxMessageBytes``, which may have been cut off there.
        case typeAfterFullPayload
        /// The first byte of a payload: the last read ended with the type byte.
        case payload
    }

    private var position = Position.type

    /// A decoder at the start of a connection.
    public init() {}

    /// `unframed`
    public var name: String { "unframed" }

    /// A stream ends when its reader closes it.
    public var streamForm: StreamForm { .untilClosed }

    /// Takes a message or a stream's opening from the front of `input`, which is what one read brought.
    ///
    /// - Throws: `protocolViolation`, naming a type byte that is neither `0x1` nor `0x2`.
    public mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        if position != .payload {
            switch input.first {
            case MessageType.message.rawValue:
                input.removeFirst()
            case MessageType.stream.rawValue:
                input.removeFirst()
                position = .type
                return .streamOpened(header: [])
            default:
                throw violation(input)
            }
            guard !input.isEmpty else {
                position = .payload
                return .incomplete(frameBytes: 0)
            }
        }
        let payload = input.prefix(Self.maxMessageBytes)
        position = payload.count == Self.maxMessageBytes ? .typeAfterFullPayload : .type
        input.removeFirst(payload.count)
        return .message(payload)
    }

    /// The error for bytes that begin with an unknown type. Never inlined: errors are rare.
    @inline(never)
    private func violation(_ bytes: ArraySlice<UInt8>) -> ParleyError {
        let cause =
            position == .typeAfterFullPayload
            ? " after a payload of exactly \(Self.maxMessageBytes) bytes: messages have probably merged, "
                + "since the \(name) wire form has no lengths"
            : WireGuess.sentence(bytes, expected: name)
        return ParleyError(
            .protocolViolation,
            "expected 0x1 (message) or 0x2 (stream) as the \(name) wire form's type byte, got "
                + hex(bytes[bytes.startIndex]) + cause
        )
    }

    /// Throws `truncated` when a type byte has come without its payload.
    public func endOfInput(unread: ArraySlice<UInt8>) throws(ParleyError) {
        guard position != .payload else {
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
                "a message of \(message.count) bytes does not fit the unframed wire form, "
                    + "which carries at most \(Self.maxMessageBytes)"
            )
        }
        guard !message.isEmpty else {
            throw ParleyError(.invalidArgument, "the unframed wire form cannot carry an empty message")
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
            throw ParleyError(.unsupported, "the unframed wire form cannot carry a stream header")
        }
        output.append(MessageType.stream.rawValue)
    }
}

/// A byte in error messages: `0x1f`.
func hex(_ byte: UInt8) -> String { "0x" + String(byte, radix: 16) }
