/// Encodes messages in the framed wire form. It keeps nothing from one message to the next.
struct FramedMessages {
    /// The length of the longest message.
    let maxBytes: UInt32

    /// Appends a message frame. Inlined into each send.
    @inline(__always)
    func append(_ message: ArraySlice<UInt8>, to output: inout WireBuffer) throws(ParleyError) {
        guard message.count >= WireBuffer.keptSliceBytes else {
            return try append(message.span, to: &output)
        }
        try append(header: message.count, to: &output)
        output.append(message)
    }

    /// The same for borrowed bytes.
    @inline(__always)
    func append(_ message: Span<UInt8>, to output: inout WireBuffer) throws(ParleyError) {
        let length = try checkedLength(message.count)
        output.append(FramedDecoder.FrameType.message.rawValue, bigEndian: length, message)
    }

    @inline(never)
    private func append(header count: Int, to output: inout WireBuffer) throws(ParleyError) {
        output.append(FramedDecoder.FrameType.message.rawValue, bigEndian: try checkedLength(count))
    }

    @inline(__always)
    private func checkedLength(_ count: Int) throws(ParleyError) -> UInt32 {
        guard count <= Int(maxBytes) else {
            throw FramedDecoder.tooLong(count, "a message", Int(maxBytes))
        }
        return UInt32(truncatingIfNeeded: count)
    }
}
