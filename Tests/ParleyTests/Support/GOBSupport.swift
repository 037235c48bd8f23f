import Testing

@testable import Parley

/// A stream made by Go, and what it holds. `GOBGolden.all` is generated.
struct GOBGolden: Sendable, CustomTestStringConvertible {
    /// The expected result of reading.
    struct Event: Sendable {
        let decoded: DecoderEvent

        static func message(_ text: String) -> Event { Event(decoded: .message(Array(text.utf8)[...])) }
        static func message(counting length: Int) -> Event {
            Event(decoded: .message((0..<length).map { UInt8(truncatingIfNeeded: $0) }[...]))
        }
        static func opening(_ text: String) -> Event {
            Event(decoded: .streamOpened(header: Array(text.utf8)[...]))
        }
    }

    let name: String
    let bytes: [UInt8]
    let events: [DecoderEvent]
    /// The error of Go's decoder when it cannot decode the stream as an RPC.
    let refusedByGo: String?

    init(_ name: String, _ hex: String, _ events: [Event] = [], refusedByGo: String? = nil) {
        let digits = hex.filter { !$0.isWhitespace }.compactMap(\.hexDigitValue)
        self.name = name
        bytes = stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
        self.events = events.map(\.decoded)
        self.refusedByGo = refusedByGo
    }

    var testDescription: String { name }

    static let read = all.filter { $0.refusedByGo == nil }
    static let refused = all.filter { $0.refusedByGo != nil }

    static func named(_ name: String) throws -> GOBGolden {
        try #require(all.first { $0.name == name })
    }
}

/// Feeds a decoder as a connection does, and records its events.
struct GOBFeed {
    private var decoder: GOBDecoder
    private var unread: ArraySlice<UInt8> = []
    private(set) var events: [DecoderEvent] = []

    init(maxMessageBytes: Int = 16 << 20) { decoder = GOBDecoder(maxMessageBytes: maxMessageBytes) }

    mutating func receive(_ block: ArraySlice<UInt8>) throws(ParleyError) {
        unread.append(contentsOf: block)
        while !unread.isEmpty {
            let before = unread.count
            let event = try decoder.decode(&unread)
            if case .incomplete(let frameBytes) = event {
                // A plain check: `#expect` costs more than decoding, and this runs a hundred thousand times.
                if frameBytes != 0, frameBytes <= unread.count {
                    Issue.record(
                        "a frame of \(frameBytes) bytes is called incomplete with \(unread.count) there"
                    )
                }
                return
            }
            if unread.count == before { Issue.record("an event out of no bytes: \(event)") }
            events.append(event)
        }
    }

    func end() throws(ParleyError) { try decoder.endOfInput(unread: unread) }

    /// The events when `blocks` arrive one by one, followed by the end.
    static func events(_ blocks: [[UInt8]]) throws(ParleyError) -> [DecoderEvent] {
        var feed = GOBFeed()
        for block in blocks { try feed.receive(block[...]) }
        try feed.end()
        return feed.events
    }
}

/// Builds gob by hand, for bytes that Go does not write.
enum GOBBytes {
    static func uint(_ value: UInt64) -> [UInt8] {
        guard value >= 0x80 else { return [UInt8(value)] }
        let bytes = (0..<8).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * UInt64($0))) }
        let significant = bytes.drop { $0 == 0 }
        return [0 &- UInt8(significant.count)] + significant
    }

    static func int(_ value: Int64) -> [UInt8] {
        uint(UInt64(bitPattern: value < 0 ? ~value : value) << 1 | (value < 0 ? 1 : 0))
    }

    static func text(_ text: String) -> [UInt8] { uint(UInt64(text.utf8.count)) + text.utf8 }

    static func message(_ body: [UInt8]) -> [UInt8] { uint(UInt64(body.count)) + body }

    /// A type definition: wireType's field `kind`, with the contents `parts`.
    static func definition(_ id: Int64, kind: UInt64, _ parts: [UInt8]) -> [UInt8] {
        message(int(-id) + uint(kind + 1) + parts + [0, 0])
    }

    static func structure(_ id: Int64, _ fields: [(name: String, type: Int64)]) -> [UInt8] {
        let types = fields.map { [1] + text($0.name) + [1] + int($0.type) + [0] }.joined()
        return definition(id, kind: 2, [2] + uint(UInt64(fields.count)) + types)
    }

    static func slice(_ id: Int64, of element: Int64) -> [UInt8] {
        definition(id, kind: 1, [2] + int(element))
    }

    static func array(_ id: Int64, of element: Int64, count: Int64) -> [UInt8] {
        definition(id, kind: 0, [2] + int(element) + [1] + int(count))
    }

    static func map(_ id: Int64, from key: Int64, to element: Int64) -> [UInt8] {
        definition(id, kind: 3, [2] + int(key) + [1] + int(element))
    }

    /// RPC as Go defines it.
    static let rpc = structure(65, [("From", 6), ("Payload", 5), ("Stream", 1)])

    /// A struct 65 with a field of `type` in front of the payload, after the definitions of other types, and
    /// a value of it whose first field is `field`.
    static func rpc(among definitions: [UInt8] = [], type: Int64, field: [UInt8]) -> [UInt8] {
        definitions + structure(65, [("Foreign", type), ("Payload", 5)])
            + message(int(65) + [1] + field + [1] + text("p") + [0])
    }
}

/// Expects that the decoder refuses `bytes` as a violation whose message contains `words`.
func expectGOBViolation(
    _ bytes: [UInt8],
    _ words: String,
    maxMessageBytes: Int = 16 << 20,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    let error = #expect(throws: ParleyError.self, sourceLocation: sourceLocation) {
        var feed = GOBFeed(maxMessageBytes: maxMessageBytes)
        try feed.receive(bytes[...])
    }
    #expect(error?.code == .protocolViolation, sourceLocation: sourceLocation)
    #expect(error?.message.contains(words) == true, "\(error as Any)", sourceLocation: sourceLocation)
}
