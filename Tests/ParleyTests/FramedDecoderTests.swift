import Testing

@testable import Parley

@Suite struct FramedDecoderTests {
    /// What is encoded, and the expected events.
    private func sample() throws -> (bytes: [UInt8], events: [DecoderEvent]) {
        var encoder = FramedDecoder()
        var buffer = WireBuffer()
        var events: [DecoderEvent] = []
        for size in [0, 1, 5, 300] {
            try encoder.encode(message: patterned(size)[...], into: &buffer)
            events.append(.message(patterned(size)[...]))
        }
        try encoder.encodeStreamOpening(header: [1, 2, 3], into: &buffer)
        encoder.encodeStreamBytes(patterned(700)[...], into: &buffer)
        encoder.encodeStreamBytes([], into: &buffer)
        encoder.encodeStreamBytes(patterned(10)[...], into: &buffer)
        encoder.encodeStreamEnd(into: &buffer)
        events += [.streamOpened(header: [1, 2, 3]), .streamBytes((patterned(700) + patterned(10))[...])]
        events += [.streamEnded]
        try encoder.encodeStreamOpening(header: [], into: &buffer)
        #expect(encoder.encodeStreamAbort(code: 77, reason: "änderung", into: &buffer))
        events += [.streamOpened(header: []), .streamAborted(code: 77, reason: "änderung")]
        try encoder.encode(request: 0x0102_0304, patterned(9)[...], into: &buffer)
        try encoder.encode(request: .max, [], into: &buffer)
        try encoder.encode(replyTo: 0x0102_0304, patterned(300)[...], into: &buffer)
        try encoder.encode(replyTo: 0, [], into: &buffer)
        try encoder.encode(refusalOf: .max, code: 0x0506_0708, reason: "später", into: &buffer)
        events += [.request(0x0102_0304, patterned(9)[...]), .request(.max, [])]
        events += [.reply(to: 0x0102_0304, patterned(300)[...]), .reply(to: 0, [])]
        events += [.refusal(of: .max, code: 0x0506_0708, reason: "später")]
        return (buffer.contiguous, events)
    }

    @Test func `only messages are found together, up to the first other frame`() throws {
        var encoder = FramedDecoder()
        var buffer = WireBuffer()
        try encoder.encode(message: [1, 2][...], into: &buffer)
        try encoder.encode(message: [3][...], into: &buffer)
        let hasPing = encoder.encodePing(7, into: &buffer)
        #expect(hasPing)
        try encoder.encode(message: [4][...], into: &buffer)
        var decoder = FramedDecoder()
        var found: [Range<Int>] = []
        let used = decoder.decodeMessages(buffer.contiguous.span, limit: 10, into: &found)
        #expect(used == 7 + 6 && found == [5..<7, 12..<13])
        var limited = FramedDecoder()
        found = []
        let usedOfOne = limited.decodeMessages(buffer.contiguous.span, limit: 1, into: &found)
        #expect(usedOfOne == 7 && found == [5..<7])
    }

    /// The events of these chunks. Neighbouring stream bytes are joined, since their pieces do not matter.
    private func events(_ chunks: [ArraySlice<UInt8>]) throws -> [DecoderEvent] {
        var decoder = FramedDecoder()
        var events: [DecoderEvent] = []
        var input: ArraySlice<UInt8> = []
        for chunk in chunks {
            input.append(contentsOf: chunk)
            decoding: while !input.isEmpty {
                let event = try decoder.decode(&input)
                switch (event, events.last) {
                case (.incomplete, _): break decoding
                case (.streamBytes(let more), .streamBytes(let bytes)):
                    events[events.count - 1] = .streamBytes(bytes + more)
                case (.streamBytes(let bytes), _) where bytes.isEmpty: break
                default: events.append(event)
                }
            }
        }
        try decoder.endOfInput(unread: input)
        return events
    }

    @Test func `encoded frames decode to the same events, however the bytes are cut`() throws {
        let (bytes, expected) = try sample()
        #expect(try events([bytes[...]]) == expected)
        #expect(try events(bytes.indices.map { bytes[$0...$0] }) == expected)
        for seed in 1...200 {
            var state = UInt64(seed)
            var chunks: [ArraySlice<UInt8>] = []
            var start = 0
            while start < bytes.count {
                state = state &* 6_364_136_223_846_793_005 &+ 1
                let end = min(bytes.count, start + 1 + Int(state >> 57))
                chunks.append(bytes[start..<end])
                start = end
            }
            #expect(try events(chunks) == expected, "seed \(seed)")
        }
    }

    @Test func `a long reason is cut between characters`() throws {
        var encoder = FramedDecoder()
        var buffer = WireBuffer()
        try encoder.encodeStreamOpening(header: [], into: &buffer)
        #expect(
            encoder.encodeStreamAbort(
                code: 1,
                reason: "x" + String(repeating: "ä", count: 600),
                into: &buffer
            )
        )
        let decoded = try events([buffer.contiguous[...]])
        #expect(decoded.last == .streamAborted(code: 1, reason: "x" + String(repeating: "ä", count: 511)))
    }

    @Test func `the frames of requests and answers have the bytes that the page says`() throws {
        var encoder = FramedDecoder()
        var buffer = WireBuffer()
        try encoder.encode(request: 0x0102_0304, [9], into: &buffer)
        try encoder.encode(replyTo: 0x0102_0304, [8, 7], into: &buffer)
        try encoder.encode(refusalOf: 5, code: 6, reason: "no", into: &buffer)
        #expect(
            buffer.contiguous == [
                8, 0, 0, 0, 5, 1, 2, 3, 4, 9,  // the request
                9, 0, 0, 0, 6, 1, 2, 3, 4, 8, 7,  // its reply
                10, 0, 0, 0, 10, 0, 0, 0, 5, 0, 0, 0, 6, 0x6e, 0x6f,
            ]
        )
    }

    @Test func `a message is a slice of the block that brought it`() throws {
        var input: ArraySlice<UInt8> = [9, 1, 0, 0, 0, 2, 7, 8]
        input.removeFirst()
        var decoder = FramedDecoder()
        guard case .message(let message) = try decoder.decode(&input) else { return #expect(Bool(false)) }
        #expect(message.startIndex == 6 && Array(message) == [7, 8])
    }

    @Test func `an incomplete frame reports its whole length`() throws {
        var input: ArraySlice<UInt8> = [1, 0, 1, 0, 0, 7]
        var decoder = FramedDecoder()
        let event = try decoder.decode(&input)
        #expect(event == .incomplete(frameBytes: 65_541))
        #expect(input.count == 6, "and is left where it is")
    }

    @Test(arguments: [
        ([0x00], "unknown frame type 0x0"), ([0x0b, 1], "unknown frame type 0xb"),
        ([0x03, 0, 0, 0, 1], "data where no stream is open"),
        ([0x04, 0, 0, 0, 0], "end where no stream is open"),
        ([0x05, 0, 0, 0, 4], "abort where no stream is open"),
        ([0x02, 0, 0, 0, 0, 0x01], "a message inside a stream, at byte 5"),
        ([0x02, 0, 0, 0, 0, 0x02], "a stream's opening inside a stream, at byte 5"),
        ([0x02, 0, 0, 0, 0, 0x08], "a request inside a stream, at byte 5"),
        ([0x02, 0, 0, 0, 0, 0x09], "a reply inside a stream, at byte 5"),
        ([0x02, 0, 0, 0, 0, 0x0a], "a refusal inside a stream, at byte 5"),
        ([0x08, 0, 0, 0, 3], "a request frame of 3 bytes, allowed are 4...16777220"),
        ([0x09, 0x01, 0, 0, 5], "a reply frame of 16777221 bytes, allowed are 4...16777220"),
        ([0x0a, 0, 0, 0, 7], "a refusal frame of 7 bytes, allowed are 8...1032"),
        ([0x0a, 0, 0, 4, 9], "a refusal frame of 1033 bytes, allowed are 8...1032"),
        ([0x02, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x04], "end where no stream is open, at byte 10"),
        ([0x02, 0, 0, 0, 0, 0x04, 0, 0, 0, 1], "frame of 1 bytes"),
        ([0x02, 0, 0, 0, 0, 0x05, 0, 0, 0, 3], "frame of 3 bytes"),
        ([0x01, 0x01, 0, 0, 1], "frame of 16777217 bytes"), ([0x02, 0xff, 0xff, 0xff, 0xff], "4294967295"),
    ])
    func `misplaced frames are errors that name the frame and the position`(
        bytes: [UInt8],
        words: String
    ) throws {
        let error = #expect(throws: ParleyError.self) { _ = try events([bytes[...]]) }
        #expect(error?.code == .protocolViolation)
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("at byte") == true)
    }

    @Test(
        arguments: [
            [0x01], [0x01, 0, 0, 0, 5, 1], [0x02, 0, 0, 0, 0], [0x02, 0, 0, 0, 0, 0x03, 0, 0, 0, 9, 1],
        ] as [[UInt8]]
    )
    func `an end in the middle of a frame or a stream is reported as truncated`(bytes: [UInt8]) {
        let error = #expect(throws: ParleyError.self) { _ = try events([bytes[...]]) }
        #expect(error?.code == .truncated)
    }

    @Test func `the limit holds in both directions`() throws {
        var small = FramedDecoder(maxMessageBytes: 10)
        var buffer = WireBuffer()
        try small.encode(message: patterned(10)[...], into: &buffer)
        let tooLong = #expect(throws: ParleyError.self) {
            try small.encode(message: patterned(11)[...], into: &buffer)
        }
        #expect(tooLong?.code == .messageTooLong)
        #expect(throws: ParleyError.self) {
            try small.encodeStreamOpening(header: patterned(11)[...], into: &buffer)
        }
        #expect(buffer.count == 15)
        let borrowed = patterned(10)
        try small.encode(message: borrowed.span, into: &buffer)
        #expect(buffer.contiguous.suffix(15) == buffer.contiguous.prefix(15))
        try small.encode(request: 1, patterned(10)[...], into: &buffer)
        #expect(throws: ParleyError.self) {
            try small.encode(request: 1, patterned(11)[...], into: &buffer)
        }
        #expect(throws: ParleyError.self) {
            try small.encode(replyTo: 1, patterned(11)[...], into: &buffer)
        }
        #expect(buffer.count == 30 + 19)
        var input: ArraySlice<UInt8> = [1, 0, 0, 0, 11]
        #expect(throws: ParleyError.self) { _ = try small.decode(&input) }
    }

    @Test(arguments: [(0, true), (7, true), (Int(UInt32.max), true), (1 << 32, false), (-1, false)])
    func `a header for stream bytes written elsewhere has 32 bits for their number`(
        count: Int,
        fits: Bool
    ) {
        var encoder = FramedDecoder()
        var buffer = WireBuffer()
        #expect(encoder.encodeStreamBytesHeader(count: count, into: &buffer) == fits)
        let length = UInt32(truncatingIfNeeded: count)
        let header = [3] + (0..<4).reversed().map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
        #expect(buffer.contiguous == (fits ? header : []))
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\n", "look like HTTP"), ("hello there, you", "look like text"),
        ("\u{16}\u{03}\u{01}\u{02}", "look like TLS"), ("\u{01}hello", "look like unframed"),
        ("SSH-2.0-OpenSSH", "look like SSH"),
    ])
    func `errors name the protocol that the first bytes look like`(bytes: String, words: String) {
        let error = #expect(throws: ParleyError.self) { _ = try events([Array(bytes.utf8)[...]]) }
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("not the framed wire form") == true)
    }

    @Test func `error messages tell gob from framed, and text from default`() {
        let gob: [UInt8] = [0x2f, 0xff, 0x81, 0x03, 0x01, 0x01]
        let framed = #expect(throws: ParleyError.self) { _ = try events([gob[...]]) }
        #expect(framed?.message.contains("look like gob") == true)
        var decoder = DefaultDecoder()
        var input = Array("GET / HTTP/1.1".utf8)[...]
        let text = #expect(throws: ParleyError.self) { _ = try decoder.decode(&input) }
        #expect(text?.message.contains("look like HTTP, not the unframed") == true)
    }

    @Test func `a large frame arrives whole, read into its own buffer or received in blocks`() throws {
        let size = 300_000
        var encoder = FramedDecoder()
        var buffer = WireBuffer()
        try encoder.encode(message: patterned(size)[...], into: &buffer)
        try encoder.encode(message: [1], into: &buffer)
        let bytes = buffer.contiguous
        for readsStraight in [true, false] {
            var state = PeerState(decoder: FramedDecoder())
            state.finishHandshake()
            var delivered: [[UInt8]] = []
            func decode() throws {
                _ = try state.decode(limit: .max) { (payload, _) in delivered.append(Array(payload)) }
            }
            state.receive(bytes[..<1_000])
            try decode()
            #expect(state.awaitsLargeFrame)
            var position = 1_000
            while readsStraight, var frame = state.takeLargeFrame() {
                let piece = min(frame.missing, 50_000)
                frame.bytes += bytes[position..<position + piece]
                position += piece
                state.returnLargeFrame(frame)
                if !state.awaitsLargeFrame { break }
            }
            state.receive(bytes[position...])
            try decode()
            #expect(delivered == [patterned(size), [1]])
            #expect(!state.awaitsLargeFrame && !state.hasUndecodedMessages)
        }
    }
}
