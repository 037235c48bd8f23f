import FaultProxy
import Testing

@testable import Parley

/// The events do not depend on how the bytes arrive.
@Suite struct MuxChunkingTests {
    /// A conversation with every kind of frame, to a listener.
    private static let conversation: [UInt8] = [
        data(1, [1, 2, 3], .syn), update(3, 100, [.syn, .fin]), ping(5), data(1, Array(4...20)),
        data(5, [9], [.syn, .fin]), update(1, 1_000), data(1), data(1, [21], .fin), update(7, 0, .syn),
        data(7, Array(repeating: 7, count: 40)), update(7, 3, .rst), data(7, [1, 2]), pong(3),
        data(9, [1], [.syn, .rst]), update(11, 0, .rst), data(13, [1, 2, 3, 4], .syn), goAway(0),
        data(13, Array(repeating: 13, count: 30), .fin),
    ].flatMap { $0 }

    /// What comes last, and whether it is a violation.
    private static let endings: [(bytes: [UInt8], isViolation: Bool)] = [
        ([], false), (data(1, [1]), false), (update(15, 0, .syn), false), (data(1, [1], .syn), true),
        (update(2, 0, .syn), true), ([0, 0, 255, 255, 0, 0, 0, 1, 1, 1, 1, 1], true),
        (data(21, [1, 2, 3]), true),
    ]

    private struct Outcome: Equatable {
        var events: [MuxEvent] = []
        var notices: [MuxNotice] = []
        var violation: MuxViolation?
        var message: String?
        var frames: [MuxTestFrame] = []
        var position: UInt64 = 0
    }

    /// Feeds the bytes in pieces that end at `ends`.
    private func outcome(of bytes: [UInt8], endingAt ends: some Sequence<Int>) -> Outcome {
        var feed = MuxFeed()
        var outcome = Outcome()
        var start = 0
        do throws(ParleyError) {
            for end in ends {
                var piece = bytes[start..<end]
                start = end
                while let event = try feed.session.next(&piece, at: feed.now) { outcome.events.append(event) }
                #expect(piece.isEmpty)
            }
        } catch { outcome.message = error.message }
        outcome.events = outcome.events.joined
        outcome.notices = feed.notices()
        outcome.violation = feed.session.violation
        outcome.frames = feed.frames()
        outcome.position = feed.session.position
        return outcome
    }

    @Test func `at once and at every split the events are the same`() {
        for (ending, isViolation) in Self.endings {
            let bytes = Self.conversation + ending
            let whole = outcome(of: bytes, endingAt: [bytes.count])
            #expect((whole.violation != nil) == isViolation)
            #expect(whole.events.count >= 18)
            for split in 0...bytes.count {
                #expect(outcome(of: bytes, endingAt: [split, bytes.count]) == whole, "split at \(split)")
            }
            #expect(outcome(of: bytes, endingAt: 1...bytes.count) == whole, "byte by byte")
        }
    }

    @Test(arguments: 0..<UInt64(40)) func `in random pieces the events are the same`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for (ending, _) in Self.endings {
            let bytes = Self.conversation + ending
            var ends: [Int] = []
            while ends.last != bytes.count {
                ends.append(min(bytes.count, (ends.last ?? 0) + random.size(upTo: 60)))
            }
            let whole = outcome(of: bytes, endingAt: [bytes.count])
            #expect(outcome(of: bytes, endingAt: ends) == whole)
        }
    }

    @Test func `data is a slice of what was fed`() throws {
        var feed = MuxFeed()
        let bytes = [0, 0, 0] + data(1, Array(1...50), .syn)
        var input = bytes[3...]
        guard case .opened(let stream) = try feed.session.next(&input, at: 0),
            case .data(stream, let slice) = try feed.session.next(&input, at: 0)
        else { throw ParleyError(.closed, "other events") }
        #expect(slice.startIndex == 15 && slice.endIndex == 65, "a copy would begin at zero")
    }
}
