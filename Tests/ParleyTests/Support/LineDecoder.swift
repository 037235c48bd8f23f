import Parley

/// Newline-delimited text: a custom wire form that uses only public API.
struct LineDecoder: Decoder {
    let name = "line"

    func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        guard let end = input.firstIndex(of: UInt8(ascii: "\n")) else {
            guard input.count < 4_096 else {
                throw ParleyError(.protocolViolation, "a line is longer than 4096 bytes")
            }
            return .incomplete(frameBytes: 0)
        }
        let line = input[..<end]
        input = input[(end + 1)...]
        return .message(line)
    }

    func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        guard !message.contains(UInt8(ascii: "\n")) else {
            throw ParleyError(.invalidArgument, "a line cannot contain a newline")
        }
        output.append(message)
        output.append(UInt8(ascii: "\n"))
    }
}
