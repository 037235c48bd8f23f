import Testing

@testable import Parley

/// Whether there is something to read, what is put back, and what is dropped.
@Suite struct PeerStateReadingTests {
    private static let opening: [UInt8] = [2, 0, 0, 0, 0]
    private static let data: [UInt8] = [3, 0, 0, 0, 2, 8, 9]
    private static let end: [UInt8] = [4, 0, 0, 0, 0]

    private func streaming(_ isDelimited: Bool) throws -> PeerState {
        var state = PeerState(decoder: isDelimited ? FramedDecoder() : DefaultDecoder())
        state.finishHandshake()
        state.receive(isDelimited ? Self.opening[...] : [2])
        _ = try state.decode(limit: .max) { _, _ in }
        #expect(state.phase == .stream)
        return state
    }

    @Test(arguments: [true, false])
    func `a stream is readable when it has bytes or an end`(isDelimited: Bool) throws {
        var state = try streaming(isDelimited)
        #expect(!state.wantsInput(isReading: true))
        #expect(try state.isReadable() == false)
        #expect(state.wantsInput(isReading: true), "somebody has asked")
        state.receive(isDelimited ? Self.data[...] : [8, 9])
        #expect(try state.isReadable() == true)
        #expect(try state.read(upTo: 9) == .bytes([8, 9]))
        #expect(try state.isReadable() == false)
        var cut = state
        cut.endInput(ParleyError(.endOfStream, "end"))
        #expect(try cut.isReadable() == true)
        if isDelimited {
            state.receive(Self.end[...])
            #expect(try state.isReadable() == true)
            #expect(try state.read(upTo: 9) == .end)
            #expect(!state.wantsInput(isReading: true), "its end is there")
        }
        _ = state.fail(ParleyError(.protocolViolation, "it has broken the form"))
        #expect(throws: ParleyError.self) { try state.isReadable() }
    }

    @Test(arguments: [true, false])
    func `what was put back is not readable before more has come`(isDelimited: Bool) throws {
        var state = try streaming(isDelimited)
        let bytes = isDelimited ? Self.data[...] : [8, 9]
        for _ in 0..<2 {
            state.receive(bytes)
            #expect(try state.read(upTo: 9) == .bytes([8, 9]))
            state.putBack([8, 9])
            #expect(try state.isReadable() == false, "it was too little for its reader")
            state.receive(bytes)
            #expect(try state.isReadable() == true)
            #expect(try state.read(upTo: 3) == .bytes(isDelimited ? [8, 9, 8] : [8, 9]))
            while case .bytes = try state.read(upTo: 9) {}
        }
        state.putBack([7])
        state.endInput(ParleyError(.endOfStream, "end"))
        #expect(try state.isReadable() == true)
        #expect(try state.read(upTo: 9) == .bytes([7]))
    }

    @Test func `heartbeats are decoded although the inbox is full`() throws {
        var decoder = FramedDecoder()
        var beats = WireBuffer()
        _ = decoder.encodePing(7, into: &beats)
        decoder.encodePong(8, into: &beats)
        var state = PeerState(decoder: FramedDecoder())
        state.finishHandshake()
        state.receive((beats.contiguous + [1, 0, 0, 0, 1, 9])[...])
        var decoded = DecodedRuns()
        try state.decode(limit: 0, into: &decoded)
        let found = state.takeHeartbeats()
        #expect(found.ping == 7 && found.pong == 8)
        #expect(decoded.isEmpty && state.hasUndecodedMessages, "the message waits")
        try state.decode(limit: 1, into: &decoded)
        #expect(decoded.count == 1 && !state.hasUndecodedMessages)
    }

    @Test(arguments: [true, false])
    func `what was put back leaves the read-ahead to what is to come`(isDelimited: Bool) throws {
        var state = PeerState(
            decoder: isDelimited ? FramedDecoder() : DefaultDecoder(),
            bounds: PeerState.Bounds(readAheadBytes: 1_000)
        )
        state.finishHandshake()
        let bytes = [UInt8](repeating: 7, count: 2_000)
        state.receive((isDelimited ? Self.opening + [3, 0, 0, 0x7, 0xd0] : [2])[...])
        state.receive(bytes[...])
        _ = try state.decode(limit: .max) { _, _ in }
        guard case .bytes(let read) = try state.read(upTo: 4_000) else { return #expect(Bool(false)) }
        #expect(read.count == 2_000)
        state.putBack(read)
        #expect(state.wantsInput(isReading: false) && state.readAheadRoom > 900)
    }

    @Test func `what comes in single bytes counts as what it costs`() {
        var state = PeerState(decoder: FramedDecoder())
        for byte in UInt8(0)..<100 { state.receive([byte]) }
        #expect(state.bufferedBytes == 100 && state.heldBytes >= 100 * 64)
    }

    @Test func `even the smallest read-ahead reads`() throws {
        var state = PeerState(decoder: FramedDecoder(), bounds: PeerState.Bounds(readAheadBytes: 1))
        #expect(state.wantsInput(isReading: false) && state.wantsInput(isReading: true))
        state.receive([1])
        #expect(!state.wantsInput(isReading: false) && !state.wantsInput(isReading: true))
    }

    @Test func `outside a stream only an end is readable, when everything is decoded`() throws {
        var state = PeerState(decoder: FramedDecoder())
        #expect(try state.isReadable() == false)
        state.receive([1])
        #expect(try state.isReadable() == true, "the handshake reads raw bytes")
        state.finishHandshake()
        state.receive([0, 0, 0, 0])
        #expect(try state.isReadable() == false, "a message waits to be decoded")
        state.endInput(ParleyError(.endOfStream, "end"))
        #expect(try state.isReadable() == false)
        _ = try state.decode(limit: .max) { _, _ in }
        #expect(try state.isReadable() == true)
        #expect(try state.read(upTo: 1) == .end)
    }

    @Test func `the next stream is read when its own reader asks, and begins with its own bytes`() throws {
        var state = try streaming(true)
        state.receive((Self.data + Self.data + Self.end + Self.opening)[...])
        #expect(try state.read(upTo: 1) == .bytes([8]))
        let wasOpen = state.closeStream()
        #expect(wasOpen && state.phase == .discarding && state.bufferedBytes > 0)
        var openings = 0
        _ = try state.decode(limit: .max) { _, isStream in openings += isStream ? 1 : 0 }
        #expect(openings == 1 && state.phase == .stream && !state.wantsInput(isReading: true))
        #expect(try state.read(upTo: 9) == .wait)
        state.receive(Self.end[...])
        #expect(try state.read(upTo: 9) == .end)
        let wasOpenToo = state.closeStream()
        #expect(wasOpenToo && state.phase == .messages)
    }

    @Test(arguments: [true, false]) func `bytes that are put back are read again`(isDelimited: Bool) throws {
        var state = try streaming(isDelimited)
        state.receive(isDelimited ? Self.data[...] : [8, 9])
        #expect(try state.read(upTo: 1) == .bytes([8]))
        state.putBack([8])
        #expect(state.bufferedBytes == 2)
        var bytes: [UInt8] = []
        while case .bytes(let more) = try state.read(upTo: 9) { bytes += more }
        #expect(bytes == [8, 9])
        state.putBack([7])
        #expect(try state.read(upTo: 9) == .bytes([7]))
        let wasOpen = state.closeStream()
        state.putBack([1])
        #expect(wasOpen && state.bufferedBytes == 0, "the stream is closed")
    }

    @Test func `dropped input is gone, whatever it was`() throws {
        var reading = try streaming(true)
        reading.receive(Self.data[...])
        #expect(try reading.read(upTo: 1) == .bytes([8]))
        var waiting = try streaming(false)
        waiting.receive([1, 2, 3])
        var beginning = PeerState(decoder: FramedDecoder())
        beginning.finishHandshake()
        beginning.receive([1, 0])
        _ = try beginning.decode(limit: .max) { _, _ in }
        for var state in [reading, waiting, beginning] {
            #expect(state.bufferedBytes > 0)
            state.dropInput()
            #expect(state.bufferedBytes == 0 && state.heldBytes == 0)
        }
    }

    @Test(arguments: [(99, true), (100, false)])
    func `the handshake is read ahead up to the limit, each block's overhead included`(
        bytes: Int,
        wants: Bool
    ) {
        var state = PeerState(decoder: FramedDecoder(), bounds: .init(readAheadBytes: 164))
        state.receive(patterned(bytes)[...])
        #expect(state.wantsInput(isReading: true) == wants)
        #expect(!state.wantsInput(isReading: false), "half of it is not free")
        state.endInput(ParleyError(.endOfStream, "end"))
        #expect(!state.wantsInput(isReading: true))
    }
}
