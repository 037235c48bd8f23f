/// Encodes what one connection sends.
///
/// An `any Decoder` takes 40 bytes of each connection, and each message would pay for a call through it. So
/// the framed wire form is kept as its own type, and any other form on the heap.
enum Encoder {
    /// The framed wire form.
    case framed(FramedMessages)
    /// Any other form.
    case other(BoxedForm)

    init(_ form: any Decoder) { self = .other(BoxedForm(form)) }

    init(_ framed: FramedDecoder) { self = .framed(framed.messages) }

    /// Encodes everything but messages.
    var form: any Decoder {
        get {
            switch self {
            case .framed(let messages): FramedDecoder(encoding: messages)
            case .other(let box): box.form
            }
        }
        @inline(__always) _modify {
            switch self {
            case .framed(let messages):
                // It keeps nothing from one call to the next.
                var form: any Decoder = FramedDecoder(encoding: messages)
                yield &form
            case .other(let box): yield &box.form
            }
        }
    }

    /// Appends one message; see ``Decoder/encode(message:into:)-(ArraySlice<UInt8>,_)``.
    @inline(__always)
    func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        switch self {
        case .framed(let messages): try messages.append(message, to: &output)
        case .other(let box): try box.form.encode(message: message, into: &output)
        }
    }

    /// Appends one message from borrowed bytes; see ``Decoder/encode(message:into:)-(Span<UInt8>,_)``.
    @inline(__always)
    func encode(message: Span<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        switch self {
        case .framed(let messages): try messages.append(message, to: &output)
        case .other(let box): try box.form.encode(message: message, into: &output)
        }
    }
}

/// A wire form's decoder on the heap. It has one owner, an ``Encoder`` or an ``InputDecoder``.
///
/// `@unchecked Sendable`: whoever may use its owner may use it.
final class BoxedForm: @unchecked Sendable {
    // Unchecked: each message would pay for the check.
    @exclusivity(unchecked) var form: any Decoder

    init(_ form: any Decoder) { self.form = form }
}
