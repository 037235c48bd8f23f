// The frames that this side sends.

extension FramedDecoder {
    /// Appends a message frame.
    ///
    /// - Throws: `messageTooLong` above `maxMessageBytes`.
    public mutating func encode(
        message: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) { try messages.append(message, to: &output) }

    /// Appends a message frame.
    ///
    /// - Throws: `messageTooLong` above `maxMessageBytes`.
    public mutating func encode(message: Span<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        try messages.append(message, to: &output)
    }

    /// What encodes its messages.
    var messages: FramedMessages { FramedMessages(maxBytes: maxMessageBytes) }

    /// Appends an opening frame.
    ///
    /// - Throws: `messageTooLong` for a header above `maxMessageBytes`.
    public mutating func encodeStreamOpening(
        header: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) {
        try checkLength(header.count, "a stream header")
        appendHeader(.streamOpening, header.count, into: &output)
        output.append(header)
    }

    /// Appends the bytes as data frames of at most 4 GiB.
    public mutating func encodeStreamBytes(_ bytes: ArraySlice<UInt8>, into output: inout WireBuffer) {
        var rest = bytes
        while !rest.isEmpty {
            let data = rest.prefix(Int(UInt32.max))
            rest.removeFirst(data.count)
            appendHeader(.streamData, data.count, into: &output)
            output.append(data)
        }
    }

    /// Appends a data frame's header; false when `count` does not fit 32 bits.
    public mutating func encodeStreamBytesHeader(count: Int, into output: inout WireBuffer) -> Bool {
        guard let length = UInt32(exactly: count) else { return false }
        appendHeader(.streamData, Int(length), into: &output)
        return true
    }

    /// Appends an end frame.
    public mutating func encodeStreamEnd(into output: inout WireBuffer) {
        appendHeader(.streamEnd, 0, into: &output)
    }

    /// Appends an abort frame. A reason above 1,024 bytes of UTF-8 is cut.
    public mutating func encodeStreamAbort(
        code: UInt32,
        reason: String,
        into output: inout WireBuffer
    ) -> Bool {
        let text = Self.utf8(reason, maxBytes: Self.maxReasonBytes)
        appendHeader(.streamAbort, 4 + text.count, into: &output)
        output.append(bigEndian: code)
        output.append(text)
        return true
    }

    /// Appends a request frame.
    ///
    /// - Throws: `messageTooLong` above `maxMessageBytes`.
    public mutating func encode(
        request: UInt32,
        _ message: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) { try append(.request, request, message, "a request", into: &output) }

    /// Appends a reply frame.
    ///
    /// - Throws: `messageTooLong` above `maxMessageBytes`.
    public mutating func encode(
        replyTo request: UInt32,
        _ message: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) { try append(.reply, request, message, "a reply", into: &output) }

    private func append(
        _ type: FrameType,
        _ request: UInt32,
        _ message: ArraySlice<UInt8>,
        _ what: StaticString,
        into output: inout WireBuffer
    ) throws(ParleyError) {
        // The frame's length has 32 bits.
        try checkLength(message.count, what, atMost: Int(UInt32.max) - Self.numberBytes)
        appendHeader(type, Self.numberBytes + message.count, into: &output)
        output.append(bigEndian: request)
        output.append(message)
    }

    /// Appends a refusal frame. A reason above 1,024 bytes of UTF-8 is cut.
    public mutating func encode(
        refusalOf request: UInt32,
        code: UInt32,
        reason: String,
        into output: inout WireBuffer
    ) throws(ParleyError) {
        let text = Self.utf8(reason, maxBytes: Self.maxReasonBytes)
        appendHeader(.refusal, Self.numberBytes + 4 + text.count, into: &output)
        output.append(bigEndian: request)
        output.append(bigEndian: code)
        output.append(text)
    }

    /// Appends a ping frame.
    public mutating func encodePing(_ token: UInt64, into output: inout WireBuffer) -> Bool {
        append(.ping, token, into: &output)
        return true
    }

    /// Appends a pong frame.
    public mutating func encodePong(_ token: UInt64, into output: inout WireBuffer) {
        append(.pong, token, into: &output)
    }

    private func append(_ type: FrameType, _ token: UInt64, into output: inout WireBuffer) {
        appendHeader(type, Self.tokenBytes, into: &output)
        output.append(bigEndian: UInt32(token >> 32))
        output.append(bigEndian: UInt32(truncatingIfNeeded: token))
    }

    /// As many whole characters of `text` as fit.
    private static func utf8(_ text: String, maxBytes: Int) -> [UInt8] {
        var bytes = Array(text.utf8.prefix(maxBytes))
        while !bytes.isEmpty, String(validating: bytes, as: UTF8.self) == nil { bytes.removeLast() }
        return bytes
    }

    @inline(__always)
    private func checkLength(
        _ length: Int,
        _ what: StaticString,
        atMost most: Int = .max
    ) throws(ParleyError) {
        let limit = min(Int(maxMessageBytes), most)
        guard length <= limit else { throw Self.tooLong(length, what, limit) }
    }

    @inline(never)
    static func tooLong(_ length: Int, _ what: StaticString, _ limit: Int) -> ParleyError {
        ParleyError(.messageTooLong, "\(what) of \(length) bytes is over the limit of \(limit)")
    }

    @inline(__always)
    private func appendHeader(_ type: FrameType, _ length: Int, into output: inout WireBuffer) {
        output.append(type.rawValue, bigEndian: UInt32(length))
    }
}
