import Testing

@testable import Parley

@Suite struct GOBGoldenTests {
    @Test(arguments: GOBGolden.read)
    func `every gob stream written by Go decodes to what Go decodes`(_ golden: GOBGolden) throws {
        #expect(try GOBFeed.events([golden.bytes]) == golden.events)
    }

    @Test(arguments: GOBGolden.read)
    func `the events do not depend on how the bytes are cut into reads`(_ golden: GOBGolden) throws {
        let bytes = golden.bytes
        #expect(try GOBFeed.events(bytes.map { [$0] }) == golden.events)
        for cut in 1..<bytes.count {
            let events = try GOBFeed.events([Array(bytes[..<cut]), Array(bytes[cut...])])
            if events != golden.events { Issue.record("cut at \(cut): \(events)") }
        }
    }

    @Test(arguments: GOBGolden.read)
    func `a connection may end only between two values`(_ golden: GOBGolden) throws {
        var ends = 0
        for length in 0...golden.bytes.count {
            var feed = GOBFeed()
            try feed.receive(golden.bytes.prefix(length))
            do throws(ParleyError) {
                try feed.end()
                ends += 1
            } catch {
                if error.code != .truncated { Issue.record("cut at \(length): \(error)") }
            }
        }
        // The end is orderly at the start and after each value, but not after a definition or inside a
        // value.
        #expect(ends == golden.events.count + 1)
    }

    @Test(arguments: GOBGolden.refused)
    func `values that Go does not decode as an RPC are refused`(_ golden: GOBGolden) throws {
        let words = [
            "an int": "a value of the type 2, which is not a defined struct",
            "a slice": "which is not a defined struct",
            "a Payload of text": "is not a []byte",
            "a Stream of numbers": "is not a bool",
            "a Payload with a code of its own": "the field Payload of the struct",
            "nothing in common": "has none of the fields From, Payload and Stream",
        ]
        expectGOBViolation(golden.bytes, try #require(words[golden.name]))
    }

    @Test func `type ids may start at 64, as in later releases of Go`() throws {
        let bytes = GOBBytes.structure(64, [("Payload", 5)]) + [0x06, 0xff, 0x80, 0x01, 0x01, 0x70, 0x00]
        #expect(try GOBFeed.events([bytes]) == [.message([0x70])])
    }

    @Test func `a payload is a slice of the input, not a copy`() throws {
        let golden = try GOBGolden.named("one message")
        var decoder = GOBDecoder()
        var input = golden.bytes[...]
        guard case .message(let payload) = try decoder.decode(&input) else {
            Issue.record("no message")
            return
        }
        #expect(payload.startIndex == golden.bytes.count - 6)
        #expect(golden.bytes[payload.indices] == payload)
    }

    @Test func `an incomplete frame reports its length`() throws {
        var decoder = GOBDecoder()
        var input = (GOBBytes.rpc + [0xfd, 0x01, 0x00])[...]
        #expect(try decoder.decode(&input) == .incomplete(frameBytes: 0))
        #expect(input == [0xfd, 0x01, 0x00])
        input.append(0x00)
        #expect(try decoder.decode(&input) == .incomplete(frameBytes: 4 + 65_536))
        #expect(input.count == 4)
    }

    @Test func `everything after an opening is raw until the stream is closed`() throws {
        let opening = try GOBGolden.named("one stream opening").bytes
        let message = try GOBGolden.named("one message").bytes
        var state = PeerState(decoder: GOBDecoder())
        state.finishHandshake()
        state.receive((opening + [0x00, 0xff] + message)[...])
        var delivered: [DecoderEvent] = []
        func decode() throws {
            _ = try state.decode(limit: .max) { payload, stream in
                delivered.append(stream ? .streamOpened(header: payload) : .message(payload))
            }
        }
        try decode()
        #expect(delivered == [.streamOpened(header: Array("file".utf8)[...])])
        let raw = try state.read(upTo: 2)
        #expect(raw == .bytes([0x00, 0xff]))
        let wasOpen = state.closeStream()
        #expect(wasOpen)
        try decode()
        #expect(delivered.last == .message(Array("hello".utf8)[...]))
    }
}

@Suite struct GOBMutationTests {
    @Test(arguments: GOBGolden.all)
    func `damaged gob streams are read or refused without a crash`(_ golden: GOBGolden) {
        var random = SplitMix64(state: UInt64(golden.bytes.count))
        for _ in 0..<300 {
            var bytes = golden.bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes, &random) }
            feed(bytes, &random)
        }
    }

    @Test func `random values and definitions are read or refused without a crash`() {
        var random = SplitMix64(state: 1)
        for _ in 0..<10_000 {
            // The noise follows a type definition, so that it is not refused at its first byte.
            let length = Int.random(in: 1...64, using: &random)
            let noise = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            feed(GOBBytes.rpc + GOBBytes.message(GOBBytes.int(65) + noise), &random)
            feed(GOBBytes.message(GOBBytes.int(-66) + noise), &random)
        }
    }

    private func feed(_ bytes: [UInt8], _ random: inout SplitMix64) {
        var feed = GOBFeed(maxMessageBytes: 1 << 16)
        var rest = bytes[...]
        do throws(ParleyError) {
            while !rest.isEmpty {
                let block = rest.prefix(Int.random(in: 1...rest.count, using: &random))
                rest.removeFirst(block.count)
                try feed.receive(block)
            }
            try feed.end()
        } catch {
            if error.code != .protocolViolation, error.code != .truncated { Issue.record(error) }
        }
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
        guard let place = bytes.indices.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[place] = [0, 1, 2, 0x7f, 0x80, 0xf8, 0xfe, 0xff].randomElement(using: &random) ?? 0
        case 2: bytes.remove(at: place)
        case 3: bytes.insert(.random(in: 0...255, using: &random), at: place)
        default:
            let end = min(bytes.count, place + Int.random(in: 1...16, using: &random))
            bytes.insert(contentsOf: bytes[place..<end], at: place)
        }
    }
}

/// A generator of the same numbers in every run.
private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
