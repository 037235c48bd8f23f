import Testing

@testable import Parley

/// Frames that have not arrived whole, messages found together, and decoders that break their contract.
@Suite struct PeerStateFrameTests {
    private func afterHandshake(
        _ decoder: any Decoder = FramedDecoder(),
        _ bounds: PeerState.Bounds = .init()
    ) -> PeerState {
        var state = PeerState(decoder: decoder, bounds: bounds)
        state.finishHandshake()
        return state
    }

    private func decode(_ state: inout PeerState) throws -> [[UInt8]] {
        var delivered: [[UInt8]] = []
        _ = try state.decode(limit: .max) { payload, _ in delivered.append(Array(payload)) }
        return delivered
    }

    private func frame(_ payload: [UInt8]) -> [UInt8] {
        [1] + (0..<4).reversed().map { UInt8(truncatingIfNeeded: payload.count >> (8 * $0)) } + payload
    }

    @Test(arguments: [(65_535, false), (65_536, true)])
    func `a frame that lacks 64 KiB gets a buffer of its own`(missing: Int, isLarge: Bool) throws {
        var state = afterHandshake()
        #expect(state.heldBytes == 0 && state.partialFrameBytes == 0)
        let bytes = frame(patterned(missing))
        state.receive(bytes[..<5])
        #expect(try decode(&state).isEmpty)
        #expect(state.awaitsLargeFrame == isLarge && state.upcoming == (isLarge ? .largeFrame : .messages))
        #expect(state.partialFrameBytes == 5 && state.bufferedBytes == 5)
        if isLarge {
            let lent = state.takeLargeFrame()
            var large = try #require(lent)
            large.bytes += bytes[5..<bytes.count - 1]
            state.returnLargeFrame(large)
            #expect(try decode(&state).isEmpty, "a byte lacks")
            #expect(state.awaitsLargeFrame)
            let lentAgain = state.takeLargeFrame()
            large = try #require(lentAgain)
            large.bytes += bytes.suffix(1)
            state.returnLargeFrame(large)
            #expect(state.partialFrameBytes == 0, "it is whole")
            #expect(state.hasUndecodedMessages && !state.wantsInput(isReading: true))
            let whole = state.takeLargeFrame()
            #expect(whole == nil, "there is nothing to read into it")
        } else {
            state.receive(bytes[5...])
        }
        #expect(try decode(&state) == [patterned(missing)])
        #expect(state.bufferedBytes == 0 && state.partialFrameBytes == 0)
    }

    @Test func `a frame of unknown length ends within 16 MiB`() throws {
        struct Endless: Decoder {
            let name = "endless"
            func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
                .incomplete(frameBytes: 0)
            }
            func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) {}
        }
        var state = afterHandshake(Endless())
        state.receive([UInt8](repeating: 0, count: 16 << 20)[...])
        #expect(try decode(&state).isEmpty)
        #expect(state.bufferedBytes == 16 << 20)
        state.receive([0])
        let error = #expect(throws: ParleyError.self) { try decode(&state) }
        #expect(error?.code == .protocolViolation)
        #expect(error?.message == "a endless frame has no end within 16777216 bytes")
    }

    @Test func `an event that takes no bytes is a violation`() {
        struct Stuck: Decoder {
            let name = "stuck"
            func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent { .message([]) }
            func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) {}
        }
        var state = afterHandshake(Stuck())
        state.receive([1])
        let error = #expect(throws: ParleyError.self) { try decode(&state) }
        #expect(error?.message == "the stuck decoder returned an event without consuming bytes")
    }

    private func payloads(_ output: DecodedRuns) -> [[UInt8]] {
        output.runs.flatMap { run in (0..<run.count).map { Array(run[$0]) } }
    }

    @Test(arguments: [[0..<4], [-1..<1]] as [[Range<Int>]], [0, 3, 4])
    func `messages outside the input are a violation`(found: [Range<Int>], used: Int) {
        struct Lying: Decoder {
            let name = "lying"
            let found: [Range<Int>]
            let used: Int
            func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
                .incomplete(frameBytes: 0)
            }
            func decodeMessages(_ input: Span<UInt8>, limit: Int, into bounds: inout [Range<Int>]) -> Int {
                bounds = found
                return used
            }
            func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) {}
        }
        let input: [UInt8] = [1, 2, 3]
        for way in ["in place", "copied", "queued"] {
            var state = afterHandshake(Lying(found: found, used: used), .init(isChecked: false))
            let error = #expect(throws: ParleyError.self) {
                switch way {
                case "in place":
                    var bounds: [Range<Int>] = []
                    _ = try state.decodeInPlace(input.span, into: &bounds)
                case "copied":
                    var output = DecodedRuns()
                    _ = try state.decode(input.span, limit: .max, byteLimit: .max, into: &output)
                default:
                    state.receive(input[...])
                    _ = try decode(&state)
                }
            }
            #expect(error?.message == "the lying decoder returned messages outside its input")
            #expect(state.violation == error)
        }
    }

    @Test func `whole messages are found in place when nothing comes before them`() throws {
        let bytes = frame([7, 8]) + frame([9]) + [1, 0]
        func used(_ change: (inout PeerState) throws -> Void = { _ in }) throws -> Int {
            var state = afterHandshake(FramedDecoder(), .init(isChecked: false))
            try change(&state)
            var found: [Range<Int>] = []
            let used = try state.decodeInPlace(bytes.span, into: &found)
            #expect(found == (used == 0 ? [] : [5..<7, 12..<13]))
            var output = DecodedRuns()
            #expect(try state.decode(bytes.span, limit: 9, byteLimit: 99, into: &output) == used)
            #expect(payloads(output) == (used == 0 ? [] : [[7, 8], [9]]))
            return used
        }
        #expect(try used() == 13)
        #expect(try used { $0.receive([1]) } == 0, "input waits")
        #expect(
            try used {
                $0.receive([1])
                _ = try decode(&$0)
            } == 0,
            "a part of a frame waits"
        )
        #expect(try used { $0.endInput(ParleyError(.endOfStream, "end")) } == 0)
        #expect(try used { _ = $0.fail(ParleyError(.protocolViolation, "it has broken the form")) } == 0)
        #expect(try used { $0.phase = .stream } == 0)
        #expect(try used { $0 = self.afterHandshake(FramedDecoder(), .init(isChecked: true)) } == 0)
    }

    @Test func `whole messages are copied as far as there is room, and so that they keep little else`() throws
    {
        let bytes = frame([7, 8]) + frame([9]) + frame([10])
        func copied(_ limit: Int, _ byteLimit: Int, of bytes: [UInt8]) throws -> (Int, DecodedRuns) {
            var state = afterHandshake(FramedDecoder(), .init(isChecked: false))
            var output = DecodedRuns()
            return (try state.decode(bytes.span, limit: limit, byteLimit: byteLimit, into: &output), output)
        }
        for (limit, byteLimit, used, expected) in [
            (2, 99, 13, [[7, 8], [9]]), (9, 18, 13, [[7, 8], [9]]), (9, 6, 0, []), (0, 99, 0, []),
            (9, -1, 0, []), (9, 99, 19, [[7, 8], [9], [10]]),
        ] as [(Int, Int, Int, [[UInt8]])] {
            let (found, output) = try copied(limit, byteLimit, of: bytes)
            #expect(found == used && payloads(output) == expected && output.count == expected.count)
        }
        let (_, small) = try copied(.max, .max, of: (0..<1_000).flatMap { _ in frame([1]) })
        #expect(small.count == 1_000 && small.runs[0].block.count == 1_000, "frames around them are dropped")
    }

    @Test func `of messages found together those before one that is too long are delivered`() {
        for long in 0..<3 {
            var state = afterHandshake(FramedDecoder(), .init(maxMessageBytes: 4))
            var bytes: [UInt8] = []
            for index in 0..<3 { bytes += frame(patterned(index == long ? 5 : 4)) }
            state.receive(bytes[...])
            var delivered: [Int] = []
            let error = #expect(throws: ParleyError.self) {
                try state.decode(limit: .max) { payload, _ in delivered.append(payload.count) }
            }
            #expect(error?.code == .messageTooLong && error?.message.contains("of 5 bytes") == true)
            #expect(delivered == [Int](repeating: 4, count: long))
        }
    }
}
