import Testing

@testable import Parley

/// What encodes a connection's messages: the framed form by its own type, every other one as it is.
@Suite struct EncoderTests {
    /// Wire forms for messages of at most 40,000 bytes. The last one is a program's own: it states a
    /// limit of 50,000, and its decoders have one of 40,000.
    static let forms: [WireForm] = [
        .framed(maxMessageBytes: 40_000), .multiplexed(maxMessageBytes: 40_000),
        WireForm(maxMessageBytes: 50_000) { FramedDecoder(maxMessageBytes: 40_000) },
    ]

    /// 32,768 bytes and more are kept in the buffer, not copied.
    @Test(arguments: forms, [0, 1, 32_767, 32_768, 40_000])
    func `a message has a frame, whether it is borrowed or a slice`(form: WireForm, size: Int) throws {
        let encoder = form.makeEncoder()
        var (slices, borrowed) = (WireBuffer(), WireBuffer())
        let message = patterned(size + 1)[1...]
        try encoder.encode(message: message, into: &slices)
        try encoder.encode(message: message.span, into: &borrowed)
        let length = [UInt8(size >> 24), UInt8(size >> 16 & 255), UInt8(size >> 8 & 255), UInt8(size & 255)]
        #expect(slices.contiguous == [1] + length + message)
        #expect(borrowed.contiguous == slices.contiguous)
    }

    @Test(arguments: forms)
    func `a message over the limit is refused, and nothing is appended`(form: WireForm) throws {
        let encoder = form.makeEncoder()
        var buffer = WireBuffer()
        let message = patterned(40_001)
        let refusal = try #require(throws: ParleyError.self) {
            try encoder.encode(message: message[...], into: &buffer)
        }
        #expect(refusal.code == .messageTooLong)
        #expect(refusal.message == "a message of 40001 bytes is over the limit of 40000")
        #expect(throws: refusal) { try encoder.encode(message: message.span, into: &buffer) }
        #expect(buffer.isEmpty)
    }

    @Test func `only a framed form of the library's own is encoded and decoded by its own type`() {
        func isOfItsOwnType(_ form: WireForm) -> Bool {
            if case .framed = form.makeEncoder() { form.makeDecoder().other == nil } else { false }
        }
        #expect(Self.forms.map(isOfItsOwnType) == [true, true, false])
        #expect(!isOfItsOwnType(.unframed))
    }

    @Test func `messages and everything else keep their order`() throws {
        var encoder = WireForm.framed.makeEncoder()
        var buffer = WireBuffer()
        try encoder.encode(message: [7], into: &buffer)
        try encoder.form.encodeStreamOpening(header: [8], into: &buffer)
        encoder.form.encodeStreamEnd(into: &buffer)
        try encoder.encode(message: [9], into: &buffer)
        #expect(buffer.contiguous == [1, 0, 0, 0, 1, 7, 2, 0, 0, 0, 1, 8, 4, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9])
    }

    @Test func `an encoder that keeps something keeps it`() throws {
        let encoder = WireForm.gob(encoding: .onePerConnection).makeEncoder()
        var (first, second) = (WireBuffer(), WireBuffer())
        try encoder.encode(message: [1, 2, 3], into: &first)
        try encoder.encode(message: [1, 2, 3], into: &second)
        #expect(second.count < first.count, "the type is described once")
    }
}
