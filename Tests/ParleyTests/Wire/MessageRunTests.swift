import Testing

@testable import Parley

/// Decoded messages on their way to the inbox, as values.
@Suite struct MessageRunTests {
    private func payloads(_ runs: [MessageRun]) -> [[UInt8]] {
        runs.flatMap { run in (0..<run.count).map { Array(run[$0]) } }
    }

    private func found(_ bounds: [Range<Int>], in block: ArraySlice<UInt8>) -> MessageRun? {
        var output = DecodedRuns()
        output.foundBounds = bounds
        return output.appendFound(in: block) ? output.runs.first : nil
    }

    @Test func `messages of a block are found by their bounds, wherever the block begins`() throws {
        let block = Array(UInt8(0)..<20)[5..<15]
        let run = try #require(found([0..<2, 2..<2, 7..<10], in: block))
        #expect(run.count == 3 && run.payloadBytes == 5 && run.kind == .messages && run.event == nil)
        #expect(payloads([run]) == [[5, 6], [], [12, 13, 14]])
        #expect(run[2].startIndex == 12, "a slice, not a copy")
        let one = try #require(found([3..<4], in: block))
        #expect(one.count == 1 && payloads([one]) == [[8]])
    }

    @Test(
        arguments: [
            [], [-1..<2], [0..<11], [0..<2, 9..<11], [0..<1, -2..<0], [.min ..< .max], [.min ..< .min],
            [.max ..< .max, 0..<1], [11..<11],
        ] as [[Range<Int>]]
    )
    func `bounds outside the block are refused, and so are none`(found: [Range<Int>]) {
        var output = DecodedRuns()
        output.foundBounds = found
        let isAppended = output.appendFound(in: Array(UInt8(0)..<20)[5..<15])
        #expect(!isAppended && output.isEmpty && output.runs.isEmpty)
    }

    @Test func `an event has its text, and a NUL behind it`() {
        let run = MessageRun(.connected, "1.2.3.4:5")
        #expect(run.count == 1 && run.payloadBytes == 9 && run.kind == .messages)
        #expect(String(decoding: run[0], as: UTF8.self) == "1.2.3.4:5")
        #expect(run.block.count == 9 && run.block.withUnsafeBufferPointer { $0.baseAddress![9] } == 0)
        let none = MessageRun(.writable, "")
        #expect(none.count == 1 && none.payloadBytes == 0 && none[0].isEmpty && none.block.isEmpty)
    }

    @Test func `messages and their bytes are counted, and are gone when they are removed`() {
        var output = DecodedRuns()
        #expect(output.isEmpty && output.count == 0 && output.payloadBytes == 0)
        output.append([1, 2, 3], .messages)
        output.foundBounds = [0..<1, 1..<3]
        let isAppended = output.appendFound(in: [4, 5, 6])
        #expect(isAppended && output.foundBounds.isEmpty)
        output.append([7], .stream(0))
        #expect(!output.isEmpty && output.count == 4 && output.payloadBytes == 7)
        #expect(output.streams == 1 && output.messages == 3)
        #expect(payloads(output.runs) == [[1, 2, 3], [4], [5, 6], [7]])
        var taken: [MessageRun] = []
        output.takeRuns { taken.append($0) }
        #expect(taken.map(\.kind) == [.messages, .messages, .stream(0)] && output.runs.isEmpty)
        output.append([8], .messages)
        output.foundBounds = [0..<1]
        output.removeAll()
        #expect(output.isEmpty && output.payloadBytes == 0 && output.streams == 0 && output.messages == 0)
        #expect(output.runs.isEmpty && output.foundBounds.isEmpty)
    }

    @Test func `requests and answers are messages, and openings of streams are none`() throws {
        var state = PeerState(decoder: FramedDecoder())
        state.finishHandshake()
        for stream in UInt32(1)...3 { state.announce(.init(header: [9], stream: stream)) }
        let message: [UInt8] = [1, 0, 0, 0, 1, 7]
        let request: [UInt8] = [8, 0, 0, 0, 5, 0, 0, 0, 1, 7]
        let reply: [UInt8] = [9, 0, 0, 0, 5, 0, 0, 0, 1, 7]
        let opening: [UInt8] = [2, 0, 0, 0, 0]
        for frame in [message, request, reply, opening] { state.receive(frame[...]) }
        var output = DecodedRuns()
        try state.decode(limit: .max, into: &output)
        #expect(output.count == 6 && output.requests == 1 && output.answers.count == 1)
        #expect(output.streams == 4 && output.messages == 3)
    }

    /// Of a block, so many bytes were decoded for a payload of 100.
    @Test(arguments: [(decoded: 1_224, isCopied: false), (1_225, true)])
    func `a payload is copied out of a block of more than twice its size and 1,024 bytes`(
        decoded: Int,
        isCopied: Bool
    ) {
        var output = DecodedRuns()
        output.append(patterned(50)[...], .messages)
        let block = patterned(2_000)
        output.append(block[1_000..<1_060], .stream(0))
        output.foundBounds = [0..<10, 20..<50]
        let isAppended = output.appendFound(in: block[1_500..<1_550])
        output.compact(from: 1, payloadBytes: 100, keptBytes: decoded)
        #expect(isAppended && output.count == 4 && output.payloadBytes == 150)
        #expect(
            payloads(output.runs) == [
                patterned(50), Array(block[1_000..<1_060]), Array(block[1_500..<1_510]),
                Array(block[1_520..<1_550]),
            ]
        )
        #expect(output.runs.map(\.kind) == [.messages, .stream(0), .messages])
        #expect(output.runs[1].block.startIndex == (isCopied ? 0 : 1_000))
        // Nothing was found behind the last one.
        output.compact(from: 3, payloadBytes: 0, keptBytes: 65_536)
        #expect(output.runs.count == 3)
    }
}
