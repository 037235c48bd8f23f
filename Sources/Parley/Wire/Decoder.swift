/// A wire form: how messages and streams are encoded as bytes and decoded again.
///
/// A decoder is a value without I/O. Each connection makes two of them (see ``WireForm``): one decodes what
/// arrives, the other encodes what is sent, so the two directions share no state. A decoder of your own needs
/// ``name``, ``decode(_:)`` and ``encode(message:into:)-(ArraySlice<UInt8>,_)``; streams are optional.
public protocol Decoder: Sendable {
    /// The name of this wire form in error messages.
    var name: String { get }

    /// How streams end in this wire form. Default: ``StreamForm/none``.
    var streamForm: StreamForm { get }

    /// Takes the next event from the front of `input`.
    ///
    /// `input` is never empty. It starts with what the last call left there. Remove the event's bytes
    /// (`input.removeFirst(n)`). While a frame is incomplete, return ``DecoderEvent/incomplete(frameBytes:)``
    /// and leave its bytes. A call that removes nothing and returns another event breaks the contract; the
    /// peer is dropped.
    ///
    /// - Throws: ``ParleyError`` `protocolViolation`. The peer is then dropped with it as the reason.
    mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent

    /// Finds at most `limit` whole messages at the front of `input` and appends their payloads' positions in
    /// it to `bounds`. It stops, without an error, at anything else. `input` may be a part of what has
    /// arrived.
    ///
    /// This is an optional fast path for many small messages: ``decode(_:)`` gets what it leaves. The default
    /// finds nothing.
    ///
    /// - Returns: the number of bytes of `input` that the messages take, headers included.
    mutating func decodeMessages(_ input: Span<UInt8>, limit: Int, into bounds: inout [Range<Int>]) -> Int

    /// Whether `input` begins with something that the inbox does not get, whole or not: a reply, a refusal, a
    /// ping or a pong. It is then decoded although the inbox is full. The default is false.
    func needsNoRoom(_ input: ArraySlice<UInt8>) -> Bool

    /// Checks the end of the connection. `unread` is what ``decode(_:)`` left.
    ///
    /// - Throws: ``ParleyError`` `truncated` when the connection ended in the middle of a frame.
    func endOfInput(unread: ArraySlice<UInt8>) throws(ParleyError)

    /// About how many bytes this decoder keeps between two calls, for example type definitions. The default
    /// is 0. They count towards ``Limits/receiveBufferBytes``.
    var retainedBytes: Int { get }

    /// Appends one message.
    ///
    /// - Throws: ``ParleyError`` when this wire form cannot carry it. Nothing may be appended then.
    mutating func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError)

    /// Appends one message from borrowed bytes. The default copies them and calls the other method.
    ///
    /// - Throws: as for a slice.
    mutating func encode(message: Span<UInt8>, into output: inout WireBuffer) throws(ParleyError)

    /// Appends the opening of a stream. `header` is the application's own and may be empty.
    mutating func encodeStreamOpening(header: ArraySlice<UInt8>, into output: inout WireBuffer)
        throws(ParleyError)

    /// Appends bytes of the open stream.
    mutating func encodeStreamBytes(_ bytes: ArraySlice<UInt8>, into output: inout WireBuffer)

    /// Appends the header for `count` stream bytes that are written by other means, for example by the kernel
    /// from a file.
    ///
    /// - Returns: false when this wire form has to see the bytes.
    mutating func encodeStreamBytesHeader(count: Int, into output: inout WireBuffer) -> Bool

    /// Appends the end of the open stream.
    mutating func encodeStreamEnd(into output: inout WireBuffer)

    /// Appends the abort of the open stream.
    ///
    /// - Returns: false when this wire form has none.
    mutating func encodeStreamAbort(code: UInt32, reason: String, into output: inout WireBuffer) -> Bool

    /// Appends a request, whose answer will carry the same number. The other side's decoder returns
    /// ``DecoderEvent/request(_:_:)`` for it.
    ///
    /// - Throws: ``ParleyError`` `unsupported` when this wire form has no requests; otherwise as for a
    ///   message.
    mutating func encode(request: UInt32, _ message: ArraySlice<UInt8>, into output: inout WireBuffer)
        throws(ParleyError)

    /// Appends the answer to a request.
    ///
    /// - Throws: as ``encode(request:_:into:)``.
    mutating func encode(replyTo request: UInt32, _ message: ArraySlice<UInt8>, into output: inout WireBuffer)
        throws(ParleyError)

    /// Appends the refusal of a request.
    ///
    /// - Throws: as ``encode(request:_:into:)``.
    mutating func encode(
        refusalOf request: UInt32,
        code: UInt32,
        reason: String,
        into output: inout WireBuffer
    ) throws(ParleyError)

    /// Appends a ping, which may stand between any two frames. The other side's decoder returns
    /// ``DecoderEvent/ping(_:)`` for it.
    ///
    /// - Returns: false when this wire form has no pings; there are no heartbeats then.
    mutating func encodePing(_ token: UInt64, into output: inout WireBuffer) -> Bool

    /// Appends the answer to a ping, with the ping's token.
    mutating func encodePong(_ token: UInt64, into output: inout WireBuffer)
}

/// How a wire form ends a stream.
public enum StreamForm: Sendable {
    /// The wire form has no streams.
    case none
    /// Everything after the opening is raw stream bytes until the reader closes the stream. The reader must
    /// know the stream's length by other means. ``Decoder/decode(_:)`` does not see those bytes.
    case untilClosed
    /// The stream's bytes come in frames, and a frame marks its end.
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
    /// A whole message that asks for an answer with the same number.
    case request(UInt32, ArraySlice<UInt8>)
    /// The answer to a request of this side.
    case reply(to: UInt32, ArraySlice<UInt8>)
    /// The other side refuses to answer a request of this side.
    case refusal(of: UInt32, code: UInt32, reason: String)
    /// The other side sent a ping. It is answered at once, also inside a stream.
    case ping(UInt64)
    /// The other side answered a ping.
    case pong(UInt64)
    /// The frame at the front of the input is incomplete. `frameBytes` is its whole length, header included,
    /// so that one buffer of that size can be allocated; zero while the length is not known.
    case incomplete(frameBytes: Int)
}

extension Decoder {
    /// Finds no messages.
    public mutating func decodeMessages(
        _ input: Span<UInt8>,
        limit: Int,
        into bounds: inout [Range<Int>]
    ) -> Int { 0 }

    /// Returns false.
    public func needsNoRoom(_ input: ArraySlice<UInt8>) -> Bool { false }

    /// No streams.
    public var streamForm: StreamForm { .none }

    /// Returns 0.
    public var retainedBytes: Int { 0 }

    /// Throws `truncated` when bytes are left: a frame was cut off.
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

    /// Appends the bytes as they are.
    public mutating func encodeStreamBytes(_ bytes: ArraySlice<UInt8>, into output: inout WireBuffer) {
        output.append(bytes)
    }

    /// Appends nothing. Returns true for raw streams, which have no headers.
    public mutating func encodeStreamBytesHeader(count: Int, into output: inout WireBuffer) -> Bool {
        streamForm == .untilClosed
    }

    /// Appends nothing.
    public mutating func encodeStreamEnd(into output: inout WireBuffer) {}

    /// Appends nothing and returns false: there is no abort.
    public mutating func encodeStreamAbort(
        code: UInt32,
        reason: String,
        into output: inout WireBuffer
    ) -> Bool { false }

    /// Throws: this wire form has no requests.
    public mutating func encode(
        request: UInt32,
        _ message: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) { throw noRequests }

    /// Throws: this wire form has no requests.
    public mutating func encode(
        replyTo request: UInt32,
        _ message: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) { throw noRequests }

    /// Throws: this wire form has no requests.
    public mutating func encode(
        refusalOf request: UInt32,
        code: UInt32,
        reason: String,
        into output: inout WireBuffer
    ) throws(ParleyError) { throw noRequests }

    private var noRequests: ParleyError {
        ParleyError(.unsupported, "the \(name) wire form has no requests")
    }

    /// Appends nothing and returns false: there are no heartbeats.
    public mutating func encodePing(_ token: UInt64, into output: inout WireBuffer) -> Bool { false }

    /// Appends nothing.
    public mutating func encodePong(_ token: UInt64, into output: inout WireBuffer) {}
}
