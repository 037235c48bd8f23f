import Testing

@testable import Parley

@Suite struct GOBEncodingTests {
    private func encoded(
        _ encoding: GOBDecoder.Encoding,
        _ steps: (inout GOBDecoder, inout WireBuffer) throws -> Void
    ) rethrows -> [UInt8] {
        var decoder = GOBDecoder(encoding: encoding)
        var output = WireBuffer()
        try steps(&decoder, &output)
        return output.contiguous
    }

    @Test(arguments: [
        ("one encoder for three", GOBDecoder.Encoding.onePerConnection),
        ("an encoder for each of three", .selfContained), ("one message", .selfContained),
        ("one stream opening", .onePerConnection), ("nothing but zero values", .selfContained),
        ("payloads around the edges of numbers", .onePerConnection),
    ])
    func `an encoded message has the bytes that Go writes`(_ name: String, _ encoding: GOBDecoder.Encoding)
        throws
    {
        let golden = try GOBGolden.named(name)
        let bytes = try encoded(encoding) { decoder, output in
            for event in golden.events {
                switch event {
                case .message(let payload): try decoder.encode(message: payload, into: &output)
                case .streamOpened(let header):
                    try decoder.encodeStreamOpening(header: header, into: &output)
                default: Issue.record("\(event)")
                }
            }
        }
        #expect(bytes == golden.bytes)
    }

    @Test(arguments: [GOBDecoder.Encoding.selfContained, .onePerConnection])
    func `an encoded message decodes to itself`(_ encoding: GOBDecoder.Encoding) throws {
        let lengths = [0, 1, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 1 << 20]
        let payloads = lengths.map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0 &* 7), count: $0) }
        let bytes = try encoded(encoding) { decoder, output in
            for payload in payloads {
                try decoder.encode(message: payload[...], into: &output)
                try decoder.encodeStreamOpening(header: payload.prefix(1_000), into: &output)
            }
        }
        let events = try GOBFeed.events([bytes])
        #expect(
            events == payloads.flatMap { [.message($0[...]), .streamOpened(header: $0.prefix(1_000))] }
        )
    }

    @Test func `a message of the limit's length can be sent`() throws {
        let payload = [UInt8](repeating: 7, count: 16 << 20)
        let bytes = try encoded(.selfContained) { decoder, output in
            try decoder.encode(message: payload[...], into: &output)
        }
        guard case .message(let read) = try GOBFeed.events([bytes]).first else {
            Issue.record("no message")
            return
        }
        #expect(read.count == payload.count)
    }

    @Test func `a refused message over the limit appends nothing`() throws {
        var decoder = GOBDecoder(maxMessageBytes: 3, encoding: .onePerConnection)
        var output = WireBuffer()
        let error = #expect(throws: ParleyError.self) {
            try decoder.encode(message: [1, 2, 3, 4], into: &output)
        }
        #expect(error?.code == .messageTooLong)
        #expect(error?.message == "a payload of 4 bytes is over the gob wire form's limit of 3")
        #expect(output.isEmpty)
        // The type is not defined on the wire yet.
        try decoder.encode(message: [1, 2, 3], into: &output)
        #expect(try GOBFeed.events([output.contiguous]) == [.message([1, 2, 3])])
    }

    @Test func `stream bytes are written as they are, without an end`() throws {
        let bytes = try encoded(.onePerConnection) { decoder, output in
            try decoder.encode(message: [], into: &output)
            let before = output.count
            decoder.encodeStreamBytes([1, 2, 3], into: &output)
            decoder.encodeStreamEnd(into: &output)
            #expect(!decoder.encodeStreamAbort(code: 1, reason: "", into: &output))
            #expect(output.count == before + 3)
        }
        #expect(bytes.suffix(3) == [1, 2, 3])
        #expect(GOBDecoder().streamForm == .untilClosed)
        #expect(GOBDecoder().name == "gob")
    }
}
