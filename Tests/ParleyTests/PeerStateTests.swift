import Testing

@testable import Parley

@Suite struct PeerStateTests {
    private typealias Delivery = (payload: [UInt8], stream: Bool)

    private func afterHandshake(_ decoder: any Decoder = DefaultDecoder()) -> PeerState {
        var state = PeerState(decoder: decoder)
        state.finishHandshake()
        return state
    }

    private func read(_ state: inout PeerState, upTo limit: Int) throws -> PeerState.ReadResult {
        try state.read(upTo: limit)
    }

    private func close(_ state: inout PeerState) -> Bool { state.closeStream() }

    private func decode(_ state: inout PeerState, limit: Int = .max) throws -> [Delivery] {
        var delivered: [Delivery] = []
        let count = try state.decode(limit: limit) { delivered.append((Array($0), $1)) }
        #expect(count == delivered.count)
        return delivered
    }

    @Test func `the handshake reads raw bytes, and the rest is the decoder's first read`() throws {
        var state = PeerState(decoder: DefaultDecoder())
        state.receive([9, 9, 1, 5])
        #expect(try decode(&state).isEmpty, "nothing is decoded before the handshake is over")
        #expect(try read(&state, upTo: 2) == .bytes([9, 9]))
        state.finishHandshake()
        let delivered = try decode(&state)
        #expect(delivered.map(\.payload) == [[5]] && delivered.map(\.stream) == [false])
    }

    @Test func `decoding stops with the message that exceeds the byte limit, and resumes after it`()
        throws
    {
        var state = afterHandshake(FramedDecoder())
        func decode(_ bytes: Int) throws -> [Int] {
            var output = DecodedRuns()
            try state.decode(limit: .max, byteLimit: bytes, into: &output)
            return output.runs.flatMap { run in (0..<run.count).map { run[$0].count } }
        }
        // Frames of 9 bytes with 4 of payload.
        state.receive((0..<6).flatMap { [1, 0, 0, 0, 4] + [UInt8](repeating: $0, count: 4) }[...])
        #expect(try decode(10) == [4, 4, 4], "the third goes over it")
        #expect(state.hasUndecodedMessages)
        #expect(try decode(1) == [4])
        #expect(try decode(8) == [4, 4])
        #expect(!state.hasUndecodedMessages)
    }

    @Test func `decoding stops after a stream's opening and resumes when the stream is closed`() throws {
        var state = afterHandshake()
        state.receive([2, 1, 7])
        let delivered = try decode(&state)
        #expect(delivered.count == 1 && delivered[0].stream && delivered[0].payload.isEmpty)
        #expect(state.phase == .stream)
        #expect(try decode(&state).isEmpty)
        #expect(close(&state))
        #expect(try decode(&state).map(\.payload) == [[7]])
    }

    @Test func `a stream is read on demand, in the requested sizes`() throws {
        var state = afterHandshake()
        state.receive([2])
        _ = try decode(&state)
        #expect(!state.wantsInput(isReading: true), "nobody has asked for a byte yet")
        #expect(try read(&state, upTo: 2) == .wait)
        #expect(state.wantsInput(isReading: false))
        state.receive([1, 2, 3])
        #expect(try read(&state, upTo: 2) == .bytes([1, 2]))
        #expect(try read(&state, upTo: 2) == .bytes([3]))
        #expect(try read(&state, upTo: 2) == .wait)
    }

    @Test func `reading ahead of a slow reader is bounded`() throws {
        var state = afterHandshake()
        state.receive([2])
        _ = try decode(&state)
        #expect(try read(&state, upTo: 1) == .wait)
        while state.wantsInput(isReading: true) { state.receive(patterned(65_536)[...]) }
        var ahead = 0
        #expect(!state.wantsInput(isReading: false), "and starts again only when half of it is gone")
        while !state.wantsInput(isReading: false), case .bytes(let bytes) = try state.read(upTo: 10_000) {
            ahead += bytes.count
        }
        #expect(ahead >= PeerState.readAheadBytes / 2 - 10_000)
        #expect(ahead <= PeerState.readAheadBytes)
    }

    @Test func `closeStream without a stream is harmless`() throws {
        var state = afterHandshake()
        #expect(!close(&state))
        state.receive([1, 5])
        #expect(try decode(&state).map(\.payload) == [[5]])
        #expect(!close(&state))
    }

    @Test func `at most the limit is decoded, and the rest waits`() throws {
        var state = afterHandshake()
        let long = patterned(1_028)
        state.receive(([1] + long + [1] + long + [1, 3])[...])
        #expect(try decode(&state, limit: 2).count == 2)
        #expect(state.hasUndecodedMessages)
        #expect(!state.wantsInput(isReading: true))
        #expect(try decode(&state, limit: 2).map(\.payload) == [[3]])
        #expect(!state.hasUndecodedMessages)
    }

    @Test func `messages before a bad byte are delivered`() throws {
        var state = afterHandshake()
        state.receive([1, 5])
        state.receive([7])
        var delivered = 0
        #expect(throws: ParleyError.self) { try state.decode(limit: .max) { _, _ in delivered += 1 } }
        #expect(delivered == 1)
    }

    @Test func `bytes after a violation are not decoded`() throws {
        var decoding = afterHandshake(FramedDecoder())
        decoding.receive([7])
        decoding.receive([1, 0, 0, 0, 1, 42])
        let violation = try #require(throws: ParleyError.self) { try decode(&decoding) }
        #expect(throws: violation) { try decode(&decoding) }

        var reading = afterHandshake(FramedDecoder())
        reading.receive([2, 0, 0, 0, 0])
        _ = try decode(&reading)
        reading.receive([3, 0, 0, 0, 1, 42, 7])
        reading.receive([4, 0, 0, 0, 0, 1, 0, 0, 0, 1, 42])
        #expect(try read(&reading, upTo: 9) == .bytes([42]))
        let thrown = try #require(throws: ParleyError.self) { try read(&reading, upTo: 9) }
        #expect(throws: thrown) { try read(&reading, upTo: 9) }
        #expect(close(&reading))
        #expect(throws: thrown) { try decode(&reading) }
    }

    @Test func `nothing behind a violation is held, or waits to be decoded`() throws {
        var state = afterHandshake(FramedDecoder())
        state.receive([1, 0, 0])
        #expect(try decode(&state).isEmpty)
        // The part completes a frame; what is behind it waits in the queue.
        state.receive(([0, 1, 42, 7] + patterned(500))[...])
        #expect(throws: ParleyError.self) { try decode(&state) }
        #expect(!state.hasUndecodedMessages && state.heldBytes == 0)
        // The link may read once more before it is closed.
        state.receive([1, 0, 0, 0, 1, 42])
        #expect(!state.hasUndecodedMessages)
    }

    @Test func `a reader after a violation throws instead of waiting for a stream`() throws {
        var state = afterHandshake()
        state.receive([7])
        state.receive([2])
        let violation = try #require(throws: ParleyError.self) { try decode(&state) }
        state.endInput(violation)
        #expect(throws: violation) { try read(&state, upTo: 1) }
    }

    @Test func `a reader waits while a whole large frame waits to be decoded`() throws {
        var state = afterHandshake(FramedDecoder())
        state.receive([2, 0, 2, 0, 0])
        _ = try decode(&state)
        let lent = state.takeLargeFrame()
        var frame = try #require(lent)
        frame.bytes += patterned(frame.missing)
        state.returnLargeFrame(frame)
        state.endInput(ParleyError(.endOfStream, "end"))
        #expect(try read(&state, upTo: 1) == .wait, "the frame opens a stream")
        #expect(try decode(&state).first?.stream == true)
    }

    @Test(arguments: [WireForm.unframed, .framed])
    func `an open stream is read in blocks, at most as far ahead as the limit`(
        wire: WireForm
    ) throws {
        let opening: [UInt8] = wire.makeDecoder().streamForm == .delimited ? [2, 0, 0, 0, 0] : [2]
        var state = PeerState(decoder: wire.makeDecoder(), bounds: .init(readAheadBytes: 1_000))
        state.finishHandshake()
        #expect(state.upcoming == .messages)
        state.receive(opening[...])
        _ = try decode(&state)
        #expect(state.upcoming == .stream)
        #expect(state.readAheadRoom == 1_000)
        state.receive(([3, 0, 0, 7, 208] + patterned(195))[...])
        // Each block counts for a little more than its bytes.
        #expect((700...800).contains(state.readAheadRoom))
        state.receive(patterned(1_805)[...])
        #expect(state.readAheadRoom == 0 && !state.wantsInput(isReading: true))
        while state.bufferedBytes > 1_200, case .bytes = try read(&state, upTo: 100) {}
        #expect(state.readAheadRoom == 0)
        while state.bufferedBytes > 0, case .bytes = try read(&state, upTo: 100) {}
        #expect(state.readAheadRoom == 1_000)
        #expect(close(&state))
        #expect(state.upcoming == .messages)
    }

    @Test func `an orderly end is the reason only when everything is decoded`() throws {
        let end = ParleyError(.endOfStream, "end")
        var state = afterHandshake()
        state.receive([1, 5])
        state.endInput(end)
        #expect(state.finalReason == nil)
        _ = try decode(&state)
        #expect(state.finalReason == end)

        var cut = afterHandshake()
        cut.receive([1])
        cut.endInput(end)
        _ = try decode(&cut)
        #expect(cut.finalReason?.code == .truncated)

        var streaming = afterHandshake()
        streaming.receive([2, 5])
        streaming.endInput(end)
        _ = try decode(&streaming)
        #expect(streaming.finalReason == nil, "its reader is not done")
        #expect(try read(&streaming, upTo: 9) == .bytes([5]))
        #expect(try read(&streaming, upTo: 9) == .end)
        #expect(close(&streaming))
        #expect(streaming.finalReason == end)
    }

    @Test func `a failure is thrown to readers after they have read what arrived`() throws {
        let reset = ParleyError(.connectionReset, "reset")
        var state = afterHandshake()
        state.receive([2, 5])
        _ = try decode(&state)
        state.endInput(reset)
        #expect(try read(&state, upTo: 9) == .bytes([5]))
        #expect(throws: reset) { try read(&state, upTo: 9) }
    }

    @Test func `a frame that arrives in pieces is reassembled`() throws {
        for size in 1...7 {
            var state = afterHandshake(LineDecoder())
            let text = Array("one\ntwo\nthree\n".utf8)
            var lines: [[UInt8]] = []
            for start in stride(from: 0, to: text.count, by: size) {
                state.receive(text[start..<min(start + size, text.count)])
                lines += try decode(&state).map(\.payload)
            }
            #expect(lines.map { String(decoding: $0, as: UTF8.self) } == ["one", "two", "three"])
        }
    }

    @Test func `left-over bytes at the end are a truncated frame`() throws {
        var state = afterHandshake(LineDecoder())
        state.receive(Array("one\ntw".utf8)[...])
        #expect(try decode(&state).count == 1)
        state.endInput(ParleyError(.endOfStream, "end"))
        let reason = try #require(state.finalReason)
        #expect(reason.code == .truncated)
        #expect(reason.message.contains("2 bytes"))
    }
}
