import FaultProxy
import Testing

@testable import Parley

/// Two sessions joined by pipes in memory do random things. Every byte arrives in its order on its stream, no
/// window is exceeded, and nothing is left at the end.
@Suite struct MuxModelTests {
    @Test(arguments: 0..<UInt64(24)) func `random operations keep to the model`(seed: UInt64) throws {
        let model = MuxModel(seed: seed)
        for _ in 0..<1_500 { try model.step() }
        try model.end()
    }

    @Test(arguments: 0..<UInt64(8)) func `with small limits too`(seed: UInt64) throws {
        let model = MuxModel(seed: 1_000 + seed) {
            $0.maxUnacknowledged = 3
            $0.maxUnaccepted = 2
            $0.maxRemoteStreams = 4
            $0.maxGrantedBytes = 6 * (256 << 10)
            $0.maxUnsentBytes = 40_000
        }
        for _ in 0..<1_500 { try model.step() }
        try model.end()
    }
}

/// What a stream has carried in one direction.
private struct Carried {
    /// Accepted by `write`, and given to the reader.
    var written = 0
    var read = 0
    /// Given to the reader and not reported as consumed.
    var unconsumed = 0
    /// This side has finished or closed it; the reader has seen the end.
    var isFinished = false
    var isEndSeen = false
}

/// One side: its session, the pipe to the other side, and what it knows of streams.
private final class Side {
    var session: MuxSession
    /// Written and not delivered.
    var pipe: [UInt8] = []
    var streams: [UInt32: MuxStreamID] = [:]
    /// How much the other side has allowed, as far as it has arrived here, and beyond it nothing may be sent.
    var credit: [UInt32: Int] = [:]
    /// Streams that ended, by their notice.
    var ended: Set<UInt32> = []
    var announced: Set<UInt32> = []
    var written = MuxScanner()
    var arrived = MuxScanner()

    init(isDialer: Bool, _ limits: MuxLimits) { session = MuxSession(isDialer: isDialer, limits: limits) }
}

private final class MuxModel {
    private var random: SeededGenerator
    private let sides: [Side]
    /// By the stream's id, from the side of the first index.
    private var carried: [[UInt32: Carried]] = [[:], [:]]
    /// Streams of which not everything has to arrive: they were aborted, closed or refused.
    private var givenUp: Set<UInt32> = []
    private var now: UInt64 = 1

    init(seed: UInt64, _ change: (inout MuxLimits) -> Void = { _ in }) {
        random = SeededGenerator(seed: seed)
        var limits = MuxLimits()
        change(&limits)
        sides = [Side(isDialer: true, limits), Side(isDialer: false, limits)]
    }

    // MARK: - Steps

    func step() throws {
        let at = Int.random(in: 0...1, using: &random)
        let side = sides[at]
        now += UInt64(random.size(upTo: 3_000_000))
        let stream = side.streams.values.sorted { $0.id < $1.id }.randomElement(using: &random)
        switch Int.random(in: 0..<20, using: &random) {
        case 0: try open(at)
        case 1...5: if let stream { try write(random.size(upTo: 90_000), to: stream, at) }
        case 6:
            guard let stream else { break }
            side.session.finish(stream)
            carried[at][stream.id]?.isFinished = true
        case 7: if random.oneIn(3), let stream { giveUp(stream, at) { $0.abort(stream, code: 5) } }
        case 8: if random.oneIn(3), let stream { giveUp(stream, at) { $0.close(stream) } }
        case 9: if let stream { side.session.accept(stream) }
        case 10...12: if let stream { consume(random.size(upTo: 300_000), of: stream, at) }
        case 13: _ = side.session.sendPing()
        case 14...16: try flush(at, upTo: random.size(upTo: 200_000))
        default: try deliver(random.size(upTo: 150_000), to: at)
        }
        takeNotices(at)
        check(at)
    }

    private func open(_ at: Int) throws {
        guard case .opened(let stream) = try sides[at].session.open(at: now) else { return }
        begin(stream, at)
    }

    private func begin(_ stream: MuxStreamID, _ at: Int) {
        sides[at].streams[stream.id] = stream
        sides[at].announced.insert(stream.id)
        sides[at].credit[stream.id] = Int(YamuxHeader.initialWindowBytes)
        carried[at][stream.id] = Carried()
    }

    private func write(_ count: Int, to stream: MuxStreamID, _ at: Int) throws {
        guard carried[at][stream.id]!.isFinished == false, sides[at].session.room(in: stream) > 0,
            sides[at].session.contains(stream), sides[at].session.table[stream.slot].isWritable
        else { return }
        let start = carried[at][stream.id]!.written
        let bytes = content(start..<start + count, of: stream.id, from: at)
        let accepted = try sides[at].session.write(bytes[...], to: stream)
        #expect(accepted <= count)
        carried[at][stream.id]!.written += accepted
    }

    /// Ends a stream so that not everything has to arrive.
    private func giveUp(_ stream: MuxStreamID, _ at: Int, _ body: (inout MuxSession) -> Void) {
        body(&sides[at].session)
        givenUp.insert(stream.id)
        carried[at][stream.id]!.isFinished = true
        carried[at][stream.id]!.unconsumed = 0
        sides[at].streams[stream.id] = nil
    }

    private func consume(_ count: Int, of stream: MuxStreamID, _ at: Int) {
        let taken = min(count, carried[at][stream.id]!.unconsumed)
        carried[at][stream.id]!.unconsumed -= taken
        sides[at].session.consumed(taken, of: stream, at: now)
    }

    private func takeNotices(_ at: Int) {
        while let notice = sides[at].session.nextNotice() {
            guard case .ended(let stream) = notice else { continue }
            #expect(sides[at].ended.insert(stream.id).inserted, "a stream ends once")
            #expect(!sides[at].session.contains(stream))
            sides[at].streams[stream.id] = nil
        }
    }

    // MARK: - The pipes

    private func flush(_ at: Int, upTo limit: Int) throws {
        var output = WireBuffer()
        sides[at].session.takeFrames(into: &output, upTo: limit, at: now)
        #expect(output.count <= limit + MuxSession.longWriteBytes + 2 * YamuxHeader.byteCount)
        let bytes = output.contiguous
        sides[at].written.scan(bytes) { header in
            guard header.type == .data else { return }
            sides[at].credit[header.stream]! -= Int(header.length)
            #expect(sides[at].credit[header.stream]! >= 0, "stream \(header.stream) exceeds its window")
        }
        sides[at].pipe += bytes
    }

    /// Delivers bytes to a side.
    private func deliver(_ count: Int, to at: Int) throws {
        let other = sides[1 - at]
        let bytes = Array(other.pipe.prefix(count))
        other.pipe.removeFirst(bytes.count)
        sides[at].arrived.scan(bytes) { header in
            guard header.type == .windowUpdate, !header.flags.contains(.rst) else { return }
            sides[at].credit[header.stream, default: 0] += Int(header.length)
        }
        var input = bytes[...]
        while let event = try sides[at].session.next(&input, at: now) {
            try handle(event, at)
            if random.oneIn(20) { takeNotices(at) }
        }
        #expect(input.isEmpty)
    }

    private func handle(_ event: MuxEvent, _ at: Int) throws {
        switch event {
        case .opened(let stream):
            #expect(sides[1 - at].announced.contains(stream.id) && !sides[at].announced.contains(stream.id))
            begin(stream, at)
        case .data(let stream, let bytes):
            let start = carried[at][stream.id]!.read
            let expected = content(start..<start + bytes.count, of: stream.id, from: 1 - at)
            #expect(same(bytes, expected), "stream \(stream.id) at \(start)")
            carried[at][stream.id]!.read += bytes.count
            carried[at][stream.id]!.unconsumed += bytes.count
            #expect(!carried[at][stream.id]!.isEndSeen)
        case .finished(let stream):
            #expect(carried[1 - at][stream.id]!.isFinished && !carried[at][stream.id]!.isEndSeen)
            carried[at][stream.id]!.isEndSeen = true
        case .reset(let stream, _):
            #expect(givenUp.contains(stream.id), "nobody has reset it")
            carried[at][stream.id]!.isFinished = true
        case .refused(let id, _): givenUp.insert(id)
        case .acknowledged(let stream): #expect(sides[1 - at].announced.contains(stream.id))
        case .pong: break
        case .goneAway(let code): #expect(code == .normal)
        }
    }

    // MARK: - What must hold

    private func check(_ at: Int) {
        let session = sides[at].session
        var (unsent, granted, grown, remote) = (0, 0, 0, 0)
        for stream in session.streams {
            let state = session.table[stream.slot]
            unsent += state.unsent.count
            granted += state.grantedBytes
            grown += state.grownBytes
            remote += state.marks.contains(.isOwn) ? 0 : 1
            #expect(Int(state.receiveWindow) + Int(state.unconsumed) <= Int(state.windowBytes))
        }
        #expect(session.unsentBytes == unsent && session.grantedBytes == granted)
        #expect(session.grownBytes == grown && session.remoteStreams == remote)
        #expect(granted <= session.limits.maxGrantedBytes && grown <= session.limits.maxGrantedBytes / 2)
        #expect(remote <= session.limits.maxRemoteStreams)
    }

    /// Ends all streams, moves everything, and expects that all of it has arrived.
    func end() throws {
        for at in 0...1 {
            for stream in sides[at].streams.values {
                sides[at].session.finish(stream)
                carried[at][stream.id]!.isFinished = true
            }
        }
        try run()
        for at in 0...1 {
            for (id, stream) in carried[at] where !givenUp.contains(id) {
                guard let other = carried[1 - at][id] else {
                    Issue.record("stream \(id) has not arrived")
                    continue
                }
                #expect(other.read == stream.written && other.isEndSeen, "stream \(id) from \(at)")
            }
            // Streams that were closed, and whose other side is not done.
            for stream in sides[at].session.streams { sides[at].session.abort(stream) }
            sides[at].session.goAway(.normal)
        }
        try run()
        for at in 0...1 {
            let session = sides[at].session
            #expect(session.streamCount == 0 && session.isDrained && !session.hasFrames)
            #expect(session.grantedBytes == 0 && session.grownBytes == 0 && session.unsentBytes == 0)
            #expect(session.unacknowledged == 0 && session.unaccepted == 0 && session.remoteStreams == 0)
            #expect(!session.table.hasSenders && !session.isInsideFrame && session.violation == nil)
            #expect(sides[at].ended == sides[at].announced, "each stream ends with a notice")
            #expect(session.remoteGoAway == .normal)
        }
    }

    /// Moves and consumes everything until both sides are quiet.
    private func run() throws {
        var turns = 0
        while sides.contains(where: { $0.session.hasFrames || !$0.pipe.isEmpty }) {
            turns += 1
            try #require(turns < 10_000, "the sessions never become quiet")
            for at in 0...1 {
                try flush(at, upTo: 500_000)
                try deliver(.max, to: 1 - at)
                for at in 0...1 {
                    for (id, stream) in sides[at].streams where carried[at][id]!.unconsumed > 0 {
                        consume(.max, of: stream, at)
                    }
                    for stream in sides[at].streams.values {
                        sides[at].session.finish(stream)
                        carried[at][stream.id]!.isFinished = true
                    }
                    takeNotices(at)
                    check(at)
                }
            }
        }
    }

    /// What a side writes on a stream, different for each.
    private func content(_ range: Range<Int>, of id: UInt32, from at: Int) -> [UInt8] {
        let start = (range.lowerBound + Int(id) * 8_191 + at * 4_099) % Self.pattern.count
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        var rest = Self.pattern[start...]
        while bytes.count < range.count {
            bytes.append(contentsOf: rest.prefix(range.count - bytes.count))
            rest = Self.pattern[...]
        }
        return bytes
    }

    private static let pattern = patterned(65_521)
}

/// Finds the headers in the bytes of one direction, which come in any pieces.
private struct MuxScanner {
    private var partial = PartialYamuxHeader()
    private var dataLeft = 0

    mutating func scan(_ bytes: [UInt8], _ body: (YamuxHeader) -> Void) {
        var rest = bytes[...]
        while !rest.isEmpty {
            if dataLeft > 0 {
                let data = rest.prefix(dataLeft)
                dataLeft -= data.count
                rest.removeFirst(data.count)
            } else if let header = try? partial.take(&rest) {
                if header.type == .data { dataLeft = Int(header.length) }
                body(header)
            }
        }
    }
}
