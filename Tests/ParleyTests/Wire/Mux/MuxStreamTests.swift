import FaultProxy
import Testing

@testable import Parley

/// Every state and every event of a stream.
@Suite struct MuxStreamTests {
    private typealias State = MuxStream.State

    /// The next state for finish, close, finSent, data, remoteFinished and reset.
    private static let table: [(from: MuxStream.State, to: [MuxStream.State])] = [
        (.open, [.finishing, .discarding, .open, .open, .remoteFinished, .over]),
        (.finishing, [.finishing, .discarding, .finished, .finishing, .finishingLast, .over]),
        (.finished, [.finished, .discarded, .finished, .finished, .over, .over]),
        (
            .remoteFinished,
            [.finishingLast, .finishingLast, .remoteFinished, .remoteFinished, .remoteFinished, .over]
        ),
        (.finishingLast, [.finishingLast, .finishingLast, .over, .finishingLast, .finishingLast, .over]),
        (.discarding, [.discarding, .discarding, .discarded, .discarding, .finishingLast, .over]),
        (.discarded, [.discarded, .discarded, .discarded, .discarded, .over, .over]),
        (.over, [.over, .over, .over, .over, .over, .over]),
    ]

    private static let actions: [(MuxStream.State, MuxStream.Event, MuxStream.Actions)] = [
        (.open, .data, .deliver), (.finishing, .data, .deliver), (.finished, .data, .deliver),
        (.open, .remoteFinished, .tellFinished), (.finishing, .remoteFinished, .tellFinished),
        (.finished, .remoteFinished, .tellFinished),
    ]

    @Test func `every state answers every event as the table says`() {
        #expect(Self.table.map(\.from) == State.allCases)
        for (from, to) in Self.table {
            for (event, next) in zip(MuxStream.Event.allCases, to) {
                var stream = MuxStream(id: 1, opening: .acknowledged, at: 0)
                stream.state = from
                let actions = stream.apply(event)
                let expected = Self.actions.first { $0.0 == from && $0.1 == event }?.2 ?? []
                #expect(stream.state == next, "\(from) | \(event)")
                #expect(actions == expected, "\(from) | \(event)")
            }
        }
    }

    @Test func `what follows from each state`() {
        typealias Facts = (MuxStream.State, writes: Bool, reads: Bool, closed: Bool, input: Bool, fin: Bool)
        let facts: [Facts] = [
            (.open, true, true, false, true, false), (.finishing, false, true, false, true, true),
            (.finished, false, true, false, true, false), (.remoteFinished, true, false, false, false, false),
            (.finishingLast, false, false, false, false, true),
            (.discarding, false, false, true, true, true),
            (.discarded, false, false, true, true, false), (.over, false, false, true, false, false),
        ]
        #expect(facts.map(\.0) == State.allCases)
        for (state, writes, reads, closed, input, fin) in facts {
            var stream = MuxStream(id: 1, opening: .acknowledged, at: 0)
            stream.state = state
            #expect(stream.isWritable == writes && stream.isReadable == reads, "\(state)")
            #expect(stream.isClosed == closed && stream.awaitsInput == input, "\(state)")
            #expect(stream.owesFin == fin && stream.canSend == fin, "\(state)")
            stream.unsent.append([1])
            #expect(stream.canSend == (state != .over), "\(state)")
            stream.sendWindow = 0
            #expect(!stream.canSend, "\(state)")
        }
    }

    @Test(arguments: [1, 3, 64, 65, 1_000]) func `control frames come out in the order in which they went in`(
        taken: Int
    ) {
        var queue = MuxControlQueue()
        var expected: [MuxControlQueue.Frame] = []
        var number: UInt32 = 0
        for _ in 0..<20 {
            for _ in 0..<200 {
                number += 1
                queue.append(.ping(number))
                expected.append(.ping(number))
            }
            for _ in 0..<min(taken, expected.count) { #expect(queue.popFirst() == expected.removeFirst()) }
            #expect(queue.count == expected.count)
        }
        while let frame = queue.popFirst() { #expect(frame == expected.removeFirst()) }
        #expect(expected.isEmpty && queue.isEmpty)
    }

    @Test func `what follows from an event is told apart`() {
        let actions: [MuxStream.Actions] = [.deliver, .tellFinished]
        for (index, action) in actions.enumerated() {
            #expect(actions[(index + 1)...].allSatisfy { $0.isDisjoint(with: action) } && !action.isEmpty)
        }
    }

    @Test func `an idle stream is small`() {
        print("a stream: \(MemoryLayout<MuxStream>.stride) bytes in an array")
        print("a session without streams: \(MemoryLayout<MuxSession>.size) bytes")
        print("a name: \(MemoryLayout<MuxStreamID>.size) bytes")
        // An array may be half empty; the index of 8 bytes an entry may be 3/8 full.
        let most = 2 * MemoryLayout<MuxStream>.stride + 24
        #expect(most <= 176, "the shell needs some of the 256 bytes of an idle stream")
        #expect(MemoryLayout<MuxStreamID>.size == 8)
    }
}

/// Which ids were used, against a set.
@Suite struct UsedStreamIDsTests {
    @Test(arguments: [UInt32(1), 2]) func `ids in any order are used once`(first: UInt32) {
        var ids = UsedStreamIDs(first: first)
        #expect(!ids.contains(first))
        #expect(ids.use(first + 10) && ids.contains(first + 10) && !ids.contains(first + 8))
        #expect(ids.use(first) && ids.use(first + 8) && ids.use(first + 4))
        #expect(!ids.contains(first + 2) && !ids.contains(first + 6) && ids.contains(first + 4))
        #expect(ids.use(first + 2) && ids.use(first + 6))
        for id in stride(from: first, through: first + 10, by: 2) {
            #expect(ids.contains(id) && !ids.use(id), "\(id)")
        }
        #expect(!ids.contains(first + 12))
    }

    @Test func `the last id can be used, and nothing comes after it`() {
        for last in [UInt32.max, UInt32.max - 1] {
            var ids = UsedStreamIDs(first: last == .max ? 1 : 2)
            #expect(ids.use(last) && !ids.use(last) && ids.contains(last))
            #expect(!ids.contains(last - 2) && ids.use(last - 2))
            #expect(ids.use(last == .max ? 1 : 2) == true)
        }
    }

    @Test func `old gaps are forgotten, their ids count as used`() {
        var ids = UsedStreamIDs(first: 1)
        for number in 0..<UInt32(1_024) { #expect(ids.use(4 * number + 3) == true) }
        #expect(!ids.contains(1), "there is room for all of these")
        #expect(ids.use(4 * 1_024 + 3) == true)
        #expect(ids.contains(1) && !ids.use(1), "the oldest gap")
        #expect(!ids.contains(5) && ids.use(5))
    }

    @Test(arguments: 0..<UInt64(20)) func `random ids, against a set`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var ids = UsedStreamIDs(first: 2)
        var model: Set<UInt32> = []
        for _ in 0..<2_000 {
            let id = UInt32.random(in: 1...800, using: &random) * 2
            #expect(ids.contains(id) == model.contains(id))
            #expect(ids.use(id) == model.insert(id).inserted)
        }
    }
}

/// A second's worth at once, then one at a time.
@Suite struct RateLimitTests {
    private static let second: UInt64 = 1_000_000_000

    @Test func `one second's worth may come at once, and again after a second`() {
        for perSecond in [1, 3, 10, 1_000] {
            var limit = RateLimit()
            for round in [5, 6, 1_000] {
                let now = UInt64(round) * Self.second
                for _ in 0..<perSecond { #expect(limit.admits(perSecond: perSecond, at: now) == true) }
                #expect(limit.admits(perSecond: perSecond, at: now) == false, "\(perSecond) a second")
            }
        }
    }

    @Test func `an event is admitted as soon as the rate allows it`() {
        var limit = RateLimit()
        for _ in 0..<4 { #expect(limit.admits(perSecond: 4, at: 0) == true) }
        #expect(limit.admits(perSecond: 4, at: Self.second / 4 - 1) == false)
        #expect(limit.admits(perSecond: 4, at: Self.second / 4) == true)
        #expect(limit.admits(perSecond: 4, at: Self.second / 4) == false)
    }

    @Test func `rates outside the range are the nearest inside`() {
        for perSecond in [0, -5] {
            var limit = RateLimit()
            #expect(limit.admits(perSecond: perSecond, at: 7) && !limit.admits(perSecond: perSecond, at: 7))
        }
        var limit = RateLimit()
        for _ in 0..<1_000 { #expect(limit.admits(perSecond: .max, at: 0) == true) }
    }
}
