import Testing

@testable import Parley

/// A session whose other side is the test, which writes and reads frames.
struct MuxFeed {
    var session: MuxSession
    /// In nanoseconds.
    var now: UInt64 = 1_000_000_000

    init(isDialer: Bool = false, _ change: (inout MuxLimits) -> Void = { _ in }) {
        var limits = MuxLimits()
        change(&limits)
        session = MuxSession(isDialer: isDialer, limits: limits)
    }

    /// Feeds frames. Returns the events, with the pieces of data of one stream joined.
    @discardableResult
    mutating func receive(_ frames: [UInt8]...) throws(ParleyError) -> [MuxEvent] {
        var events: [MuxEvent] = []
        for frame in frames {
            var input = frame[...]
            while let event = try session.next(&input, at: now) { events.append(event) }
            #expect(input.isEmpty, "everything is used")
        }
        return events.joined
    }

    /// What the session writes, as frames.
    mutating func frames(upTo limit: Int = .max) -> [MuxTestFrame] {
        var output = WireBuffer()
        session.takeFrames(into: &output, upTo: limit, at: now)
        return MuxTestFrame.parse(output.contiguous)
    }

    mutating func notices() -> [MuxNotice] {
        var notices: [MuxNotice] = []
        while let notice = session.nextNotice() { notices.append(notice) }
        return notices
    }

    /// Opens a stream of this side.
    mutating func open() throws -> MuxStreamID {
        guard case .opened(let stream) = try session.open(at: now) else {
            throw ParleyError(.wouldBlock, "the opening waits")
        }
        return stream
    }

    /// Opens a stream of the other side.
    mutating func accept(_ id: UInt32) throws -> MuxStreamID {
        let events = try receive(update(id, 0, .syn))
        guard case .opened(let stream)? = events.first else { throw ParleyError(.closed, "\(events)") }
        return stream
    }

    /// Expects a violation and, as the only frame, a go-away.
    mutating func expectViolation(
        _ violation: MuxViolation,
        _ frames: [UInt8]...,
        at place: SourceLocation = #_sourceLocation
    ) {
        #expect(throws: ParleyError.self, sourceLocation: place) {
            for frame in frames { try receive(frame) }
        }
        #expect(session.violation == violation, sourceLocation: place)
        #expect(session.hasFrames, sourceLocation: place)
        let goAway = MuxTestFrame(YamuxHeader(.goAway, stream: 0, length: 1), [])
        #expect(self.frames() == [goAway], sourceLocation: place)
        #expect(!session.hasFrames, sourceLocation: place)
        #expect(throws: ParleyError.self, sourceLocation: place) { try receive(ping(1)) }
    }
}

struct MuxTestFrame: Equatable {
    let header: YamuxHeader
    let data: [UInt8]

    init(_ header: YamuxHeader, _ data: [UInt8]) {
        self.header = header
        self.data = data
    }

    static func parse(_ bytes: [UInt8]) -> [MuxTestFrame] {
        var frames: [MuxTestFrame] = []
        var rest = bytes[...]
        while let header = next(&rest) {
            let count = header.type == .data ? Int(header.length) : 0
            frames.append(MuxTestFrame(header, Array(rest.prefix(count))))
            #expect(rest.count >= count, "frames are written whole")
            rest = rest.dropFirst(count)
        }
        return frames
    }

    private static func next(_ bytes: inout ArraySlice<UInt8>) -> YamuxHeader? {
        guard !bytes.isEmpty else { return nil }
        var partial = PartialYamuxHeader()
        return try? partial.take(&bytes)
    }
}

// MARK: - Frames, by hand

private func frame(_ type: UInt8, _ flags: UInt8, _ id: UInt32, _ length: UInt32) -> [UInt8] {
    func bytes(_ number: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> UInt32($0)) }
    }
    return [0, type, 0, flags] + bytes(id) + bytes(length)
}

func data(_ id: UInt32, _ content: [UInt8] = [], _ flags: YamuxHeader.Flags = []) -> [UInt8] {
    frame(0, UInt8(flags.rawValue), id, UInt32(content.count)) + content
}

func data(_ id: UInt32, zeros: Int, _ flags: YamuxHeader.Flags = []) -> [UInt8] {
    data(id, [UInt8](repeating: 0, count: zeros), flags)
}

func update(_ id: UInt32, _ bytes: UInt32, _ flags: YamuxHeader.Flags = []) -> [UInt8] {
    frame(1, UInt8(flags.rawValue), id, bytes)
}

func ping(_ number: UInt32) -> [UInt8] { frame(2, 1, 0, number) }
func pong(_ number: UInt32) -> [UInt8] { frame(2, 2, 0, number) }
func goAway(_ code: UInt32) -> [UInt8] { frame(3, 0, 0, code) }

extension [MuxEvent] {
    /// The events with the pieces of data of one stream that follow one another joined.
    var joined: [MuxEvent] {
        var events: [MuxEvent] = []
        for event in self {
            if case .data(let stream, let more) = event, case .data(stream, let bytes)? = events.last {
                events[events.count - 1] = .data(stream, bytes + more)
            } else {
                events.append(event)
            }
        }
        return events
    }
}
