import Testing

@testable import Parley

@Suite struct DefaultDecoderTests {
    /// The events that the decoder returns for these reads.
    private func events(_ reads: [[UInt8]]) throws -> [DecoderEvent] {
        var decoder = DefaultDecoder()
        var events: [DecoderEvent] = []
        for read in reads {
            var input = read[...]
            while !input.isEmpty {
                let event = try decoder.decode(&input)
                if case .incomplete = event { break }
                events.append(event)
            }
        }
        return events
    }

    @Test func `the payload is the rest of the read that brought the type byte`() throws {
        #expect(try events([[1, 10, 20, 30]]) == [.message([10, 20, 30])])
    }

    @Test func `the payload is the next read when the type byte ends its read`() throws {
        #expect(try events([[1], [10, 20]]) == [.message([10, 20])])
    }

    @Test func `two messages in one segment arrive as one, as in Go`() throws {
        #expect(try events([[1, 10, 1, 20]]) == [.message([10, 1, 20])])
    }

    @Test func `a payload is at most 1028 bytes of its read; then comes a type byte`() throws {
        let payload = patterned(1_028)
        #expect(
            try events([[1] + payload + [1] + payload]) == [.message(payload[...]), .message(payload[...])]
        )
        #expect(try events([[1], payload + [1, 7]]) == [.message(payload[...]), .message([7])])
    }

    @Test func `0x2 opens a stream, and the bytes after it are not decoded`() throws {
        var decoder = DefaultDecoder()
        var input: ArraySlice<UInt8> = [2, 10, 20]
        let event = try decoder.decode(&input)
        #expect(event == .streamOpened(header: []))
        #expect(Array(input) == [10, 20])
    }

    @Test(arguments: [0, 3, 0x7f, 0xff]) func `any other type byte is an error that names it`(byte: Int) {
        let error = #expect(throws: ParleyError.self) { try events([[UInt8(byte), 1, 2]]) }
        #expect(error?.code == .protocolViolation)
        #expect(error?.message.contains(hex(UInt8(byte))) == true)
    }

    @Test func `an error after a full payload says that messages have merged; no other error does`() {
        let full = [1] + patterned(1_028)
        let merged: [[[UInt8]]] = [
            [full + [0x68, 0x69]], [full, [0x68, 0x69]], [[1], Array(full.dropFirst()), [0x68]],
        ]
        for reads in merged {
            let error = #expect(throws: ParleyError.self) { try events(reads) }
            #expect(error?.message.contains("messages have probably merged") == true)
            #expect(error?.message.contains("1028") == true)
            #expect(error?.message.contains("look like") == false)
        }
        let shorter = [1] + patterned(1_027)
        for reads in [[shorter, [0x68, 0x69]], [full, [2], [0x68]], [full, [1, 7], [0x68, 0x69]]] {
            let error = #expect(throws: ParleyError.self) { try events(reads) }
            #expect(error?.message.contains("merged") == false)
        }
    }

    @Test func `a type byte without a payload is a truncated message`() throws {
        var decoder = DefaultDecoder()
        try decoder.endOfInput(unread: [])
        var input: ArraySlice<UInt8> = [1]
        _ = try decoder.decode(&input)
        #expect(throws: ParleyError.self) { try decoder.endOfInput(unread: []) }
    }

    @Test func `it encodes what Go decodes and refuses what it cannot carry`() throws {
        var encoder = DefaultDecoder()
        var buffer = WireBuffer()
        try encoder.encode(message: [10, 20], into: &buffer)
        try encoder.encodeStreamOpening(header: [], into: &buffer)
        #expect(buffer.contiguous == [1, 10, 20, 2])
        try encoder.encode(message: patterned(1_028)[...], into: &buffer)
        let tooLong = #expect(throws: ParleyError.self) {
            try encoder.encode(message: patterned(1_029)[...], into: &buffer)
        }
        #expect(tooLong?.code == .messageTooLong)
        #expect(tooLong?.message.contains("1029") == true)
        let empty = #expect(throws: ParleyError.self) { try encoder.encode(message: [], into: &buffer) }
        #expect(empty?.code == .invalidArgument)
        let header = #expect(throws: ParleyError.self) {
            try encoder.encodeStreamOpening(header: [1], into: &buffer)
        }
        #expect(header?.code == .unsupported)
        #expect(buffer.count == 4 + 1_029, "a refused message leaves nothing behind")
    }
}
