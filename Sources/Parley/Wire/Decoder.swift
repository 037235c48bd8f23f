/// A wire form: how messages and streams are written as bytes, and read back.
///
/// A decoder is a value without I/O. Each connection makes two of them (see ``WireForm``): one is fed what arrives
/// and asked for events, the other encodes what is sent, so the two directions share no state. A decoder of your own needs ``name``, ``decode(_:)`` and
/// ``encode(message:into:)``; streams are optional.
public protocol Decoder: Sendable {
    /// What error messages call this wire form.
    var name: String { get }

    /// How streams end in this wire form; ``StreamForm/none`` unless you say otherwise.
    var streamForm: StreamForm { get }

    /// Takes the next event from the front of `input`.
    ///
    /// `input` is never empty, and starts with what the last call left there. Remove what the event used up
    /// (`input.removeFirst(n)`); return ``DecoderEvent/incomplete(frameBytes:)`` and leave the rest when a frame
    /// is not whole yet. A call that removes nothing and returns another event is a fault.
    ///
    /// - Throws: ``ParleyError`` with the code `protocolViolation`; the peer is then dropped with it as the reason.
    mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent

    /// Finds whole messages at the front of `input`, at most `limit`, and appends where they lie in it to `bounds`;
    /// stops, without an error, at whatever is not a whole message. `input` may be less than what has arrived.
    ///
    /// A shortcut that wire forms of many small messages can take: what it leaves goes to ``decode(_:)``, so it may
    /// as well do nothing, and does unless you say otherwise.
    ///
    /// - Returns: how many bytes of the input are used up.
    mutating func decodeMessages(_ input: Span<UInt8>, limit: Int, into bounds: inout [Range<Int>]) -> Int

    /// The connection has ended with `unread` left over; throw when that is in the middle of a frame.
    func endOfInput(unread: ArraySlice<UInt8>) throws(ParleyError)

    /// Appends one message.
    ///
    /// - Throws: ``ParleyError`` when this wire form cannot carry it; then nothing may have been appended.
    mutating func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError)

    /// The same for bytes that are only lent; by way of a copy unless you say otherwise.
    mutating func encode(message: Span<UInt8>, into output: inout WireBuffer) throws(ParleyError)

    /// Appends the opening of a stream. `header` is the application's own, and may be empty.
    mutating func encodeStreamOpening(header: ArraySlice<UInt8>, into output: inout WireBuffer)
        throws(ParleyError)

    /// Appends bytes of the open stream.
    mutating func encodeStreamBytes(_ bytes: ArraySlice<UInt8>, into output: inout WireBuffer)

    /// Appends what goes before `count` bytes of the open stream that are written some other way, by the kernel
    /// from a file for example; false when this wire form needs to see the bytes.
    mutating func encodeStreamBytesHeader(count: Int, into output: inout WireBuffer) -> Bool

    /// Appends the end of the open stream.
    mutating func encodeStreamEnd(into output: inout WireBuffer)

    /// Appends that the open stream ends early; false when this wire form cannot say so.
    mutating func encodeStreamAbort(code: UInt32, reason: String, into output: inout WireBuffer) -> Bool

    /// Appends a question whether the other side is there, between any two frames; false when this wire form has none,
    /// and there are no heartbeats then. The other side's decoder returns ``DecoderEvent/ping(_:)``.
    mutating func encodePing(_ token: UInt64, into output: inout WireBuffer) -> Bool

    /// Appends the answer to a ping, with its token.
    mutating func encodePong(_ token: UInt64, into output: inout WireBuffer)
}

/// How a wire form ends a stream.
public enum StreamForm: Sendable {
    /// It has no streams.
    case none
    /// Everything behind the opening is raw stream bytes until the reader closes the stream: the reader has to
    /// know by other means how much belongs to it. ``Decoder/decode(_:)`` does not see those bytes.
    case untilClosed
    /// The stream's bytes come in frames, and its end has one of its own.
    case delimited
}

/// What a decoder found at the front of its input.
public enum DecoderEvent: Sendable, Equatable {
    /// A whole message.
    case message(ArraySlice<UInt8>)
    /// A stream begins; its header may be empty.
    case streamOpened(header: ArraySlice<UInt8>)
    /// Bytes of the open stream (``StreamForm/delimited`` only).
    case streamBytes(ArraySlice<UInt8>)
    /// The open stream is complete (``StreamForm/delimited`` only).
    case streamEnded
    /// The sender gave up the open stream (``StreamForm/delimited`` only).
    case streamAborted(code: UInt32, reason: String)
    /// The other side asks whether this one is there; it is answered at once, also inside a stream.
    case ping(UInt64)
    /// The other side answers a ping.
    case pong(UInt64)
    /// Nothing whole yet. `frameBytes` is how long the frame at the front of the input is in all, when known, so
    /// that one buffer of that size can be made ready; otherwise zero.
    case incomplete(frameBytes: Int)
}

extension Decoder {
    /// Finds nothing.
    public mutating func decodeMessages(
        _ input: Span<UInt8>,
        limit: Int,
        into bounds: inout [Range<Int>]
    ) -> Int { 0 }

    /// No streams.
    public var streamForm: StreamForm { .none }

    /// Left-over bytes mean a frame was cut off.
    public func endOfInput(unread: ArraySlice<UInt8>) throws(ParleyError) {
        guard unread.isEmpty else {
            throw ParleyError(
                .truncated,
                "the connection ended inside a \(name) frame, \(unread.count) bytes into it"
            )
        }
    }

    /// Copies the message.
    public mutating func encode(message: Span<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        try encode(message: message.copied[...], into: &output)
    }

    /// Throws: this wire form has no streams.
    public mutating func encodeStreamOpening(
        header: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) {
        throw ParleyError(.unsupported, "the \(name) wire form has no streams")
    }

    /// Appends them as they are.
    public mutating func encodeStreamBytes(_ bytes: ArraySlice<UInt8>, into output: inout WireBuffer) {
        output.append(bytes)
    }

    /// Nothing goes before raw bytes; other wire forms need to see them.
    public mutating func encodeStreamBytesHeader(count: Int, into output: inout WireBuffer) -> Bool {
        streamForm == .untilClosed
    }

    /// Appends nothing.
    public mutating func encodeStreamEnd(into output: inout WireBuffer) {}

    /// Cannot be said.
    public mutating func encodeStreamAbort(
        code: UInt32,
        reason: String,
        into output: inout WireBuffer
    ) -> Bool { false }

    /// There are no heartbeats.
    public mutating func encodePing(_ token: UInt64, into output: inout WireBuffer) -> Bool { false }

    /// Appends nothing.
    public mutating func encodePong(_ token: UInt64, into output: inout WireBuffer) {}
}

/// The choice of a wire form: both ends of a connection must make the same one.
public struct WireForm: Sendable {
    let makeDecoder: @Sendable () -> any Decoder
    /// The longest message, or stream header, that is taken or sent.
    let maxMessageBytes: Int
    /// Whether its decoder finds no longer ones.
    let checksLengths: Bool

    /// A wire form of your own.
    ///
    /// - Parameters:
    ///   - maxMessageBytes: the longest message or stream header. A frame that is longer by more than 64 KiB is refused
    ///     as soon as its length is known.
    ///   - makeDecoder: called twice for each connection (one value reads, one writes), on any thread.
    public init(maxMessageBytes: Int = 16 << 20, _ makeDecoder: @escaping @Sendable () -> any Decoder) {
        self.init(maxMessageBytes: maxMessageBytes, checksLengths: false, makeDecoder)
    }

    init(maxMessageBytes: Int, checksLengths: Bool, _ makeDecoder: @escaping @Sendable () -> any Decoder) {
        self.maxMessageBytes = max(0, maxMessageBytes)
        self.checksLengths = checksLengths
        self.makeDecoder = makeDecoder
    }

    /// The reference's: a type byte, then what one read brings. See ``DefaultDecoder``.
    public static let `default` = WireForm { DefaultDecoder() }
}
