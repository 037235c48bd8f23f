/// Encodes what one connection sends.
struct Encoder {
    /// Encodes everything, in any wire form.
    var form: any Decoder
    /// Encodes messages in the framed wire form: each would pay for a call through `any Decoder`. Nil in
    /// other forms.
    let framed: FramedMessages?

    init(_ form: any Decoder) {
        self.form = form
        framed = nil
    }

    init(_ framed: FramedDecoder) {
        form = framed
        self.framed = framed.messages
    }

    /// Appends one message; see ``Decoder/encode(message:into:)-(ArraySlice<UInt8>,_)``.
    @inline(__always)
    mutating func encode(
        message: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) {
        guard let framed else { return try form.encode(message: message, into: &output) }
        try framed.append(message, to: &output)
    }

    /// Appends one message from borrowed bytes; see ``Decoder/encode(message:into:)-(Span<UInt8>,_)``.
    @inline(__always)
    mutating func encode(message: Span<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        guard let framed else { return try form.encode(message: message, into: &output) }
        try framed.append(message, to: &output)
    }
}
