/// Decodes what one connection receives. As in ``Encoder``, the framed wire form is kept as its own type.
///
/// It is a struct and not an enum, so that the framed form is changed in place.
struct InputDecoder: Sendable {
    /// Decodes everything, when the wire form is not the framed one.
    let other: BoxedForm?
    /// Otherwise this one does.
    private var framed: FramedDecoder

    init(_ decoder: any Decoder) {
        other = BoxedForm(decoder)
        framed = FramedDecoder()
    }

    init(_ framed: FramedDecoder) {
        other = nil
        self.framed = framed
    }

    /// See ``Decoder/name``.
    var name: String { other?.form.name ?? framed.name }

    /// See ``Decoder/streamForm``.
    var streamForm: StreamForm { other?.form.streamForm ?? framed.streamForm }

    /// See ``Decoder/retainedBytes``.
    var retainedBytes: Int { other?.form.retainedBytes ?? framed.retainedBytes }

    /// See ``Decoder/decode(_:)``.
    mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        if let other { return try other.form.decode(&input) }
        return try framed.decode(&input)
    }

    /// See ``Decoder/decodeMessages(_:limit:into:)``.
    @inline(__always)
    mutating func decodeMessages(
        _ input: Span<UInt8>,
        limit: Int,
        into bounds: inout [Range<Int>]
    ) -> Int {
        if let other { return other.form.decodeMessages(input, limit: limit, into: &bounds) }
        return framed.decodeMessages(input, limit: limit, into: &bounds)
    }

    /// See ``Decoder/needsNoRoom(_:)``.
    func needsNoRoom(_ input: ArraySlice<UInt8>) -> Bool {
        other?.form.needsNoRoom(input) ?? framed.needsNoRoom(input)
    }

    /// See ``Decoder/endOfInput(unread:)``.
    func endOfInput(unread: ArraySlice<UInt8>) throws(ParleyError) {
        if let other { return try other.form.endOfInput(unread: unread) }
        try framed.endOfInput(unread: unread)
    }
}
