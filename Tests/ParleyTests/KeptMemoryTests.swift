import Testing

@testable import Parley

/// What payloads and decoders keep alive, beyond what the limits count.
@Suite struct KeptMemoryTests {
    private static let ping: [UInt8] = [6, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]

    private func decode(_ block: [UInt8], by decoder: any Decoder) throws -> DecodedRuns {
        var state = PeerState(decoder: decoder)
        state.finishHandshake()
        state.receive(block[...])
        var output = DecodedRuns()
        try state.decode(limit: .max, into: &output)
        return output
    }

    /// Some whole messages among as many pings as fill one read.
    private func padded(_ messages: [[UInt8]]) -> [UInt8] {
        var block: [UInt8] = []
        for message in messages {
            block += [1, 0, 0, 0, UInt8(message.count)] + message
            for _ in 0..<60_000 / messages.count / Self.ping.count { block += Self.ping }
        }
        return block
    }

    @Test(arguments: [1, 3, 50])
    func `messages among heartbeats keep little more than themselves`(count: Int) throws {
        let messages = (0..<count).map { [UInt8](repeating: UInt8($0), count: 1 + $0 % 3) }
        let output = try decode(padded(messages), by: FramedDecoder())
        #expect(output.count == count)
        var payloads: [[UInt8]] = []
        for run in output.runs {
            // The end of a slice tells how large its array is at least.
            #expect(run.block.endIndex <= 1_024)
            for index in 0..<run.count { payloads.append(Array(run[index])) }
        }
        #expect(payloads == messages)
    }

    @Test func `a stream's opening among heartbeats keeps its header and its place`() throws {
        var block = padded([[7]])
        block += [2, 0, 0, 0, 2, 8, 9]
        let output = try decode(block, by: FramedDecoder())
        #expect(output.runs.map(\.kind) == [.messages, .stream(0)])
        #expect(output.runs.map { Array($0[0]) } == [[7], [8, 9]])
        #expect(output.runs.allSatisfy { $0.block.endIndex <= 1_024 })
    }

    @Test func `the beginning of a frame does not keep what came before it`() throws {
        let frame: [UInt8] = [1, 0, 0, 0, 100] + patterned(100)
        let block = joined(repeatElement(frame, count: 2_000)) + [1, 0, 0]
        var state = PeerState(decoder: FramedDecoder())
        state.finishHandshake()
        state.receive(block[...])
        var output = DecodedRuns()
        try state.decode(limit: .max, into: &output)
        #expect(output.count == 2_000 && state.partialFrameBytes == 3)
        #expect(state.partialFrameContents.endIndex <= 1_024)

        // Nor does what the inbox has no room for.
        state = PeerState(decoder: FramedDecoder())
        state.finishHandshake()
        state.receive((joined(repeatElement(frame, count: 2_000)))[...])
        output = DecodedRuns()
        try state.decode(limit: 1_999, into: &output)
        #expect(output.count == 1_999 && state.bufferedBytes == 105)
        #expect(state.queue.front.endIndex <= 1_024)
    }

    @Test func `messages that fill a read are not copied`() throws {
        let frame: [UInt8] = [1, 0, 0, 0, 100] + patterned(100)
        let block = joined(repeatElement(frame, count: 600))
        let output = try decode(block, by: FramedDecoder())
        #expect(output.runs.count == 1 && output.count == 600)
        #expect(output.runs[0].block.count == block.count)
    }

    @Test func `type definitions of gob count as held, and so does the decoder of a user's own`() throws {
        var state = PeerState(decoder: GOBDecoder())
        state.finishHandshake()
        let fields = (0..<1_000).map { (name: "Field\($0)", type: Int64(2)) }
        for id in Int64(65)..<75 { state.receive(GOBBytes.structure(id, fields)[...]) }
        var output = DecodedRuns()
        try state.decode(limit: .max, into: &output)
        #expect(state.bufferedBytes == 0)
        #expect(state.heldBytes >= 10_000 * MemoryLayout<GOBStructure.Field>.stride)
        state.dropInput()
        #expect(state.heldBytes == 0)
    }

    @Test func `a gob value counts as held while it is incomplete, and not after`() throws {
        let definition = GOBBytes.int(-67) + [2, 2] + GOBBytes.int(2) + [0, 0]
        let payload = patterned(100_000)
        let first = GOBBytes.message(
            GOBBytes.int(65) + [1] + GOBBytes.uint(100_000) + payload + [1] + GOBBytes.text("T") + definition
        )
        let second = GOBBytes.message(GOBBytes.int(67) + [0, 0, 0] + [0])
        let types = GOBBytes.structure(65, [("Payload", 5), ("Foreign", 8)])
        var state = PeerState(decoder: GOBDecoder())
        state.finishHandshake()
        var output = DecodedRuns()
        state.receive((types + first)[...])
        try state.decode(limit: .max, into: &output)
        #expect(output.isEmpty && state.bufferedBytes == 0 && state.heldBytes >= 100_000)
        state.receive((second + GOBBytes.structure(66, [("X", 2)]))[...])
        try state.decode(limit: .max, into: &output)
        #expect(output.count == 1 && state.heldBytes < 10_000)
    }
}
