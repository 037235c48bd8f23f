import Testing

@testable import Parley

/// How a session ends when the other side breaks its rules, or floods it.
@Suite struct MuxViolationTests {
    private static let initial = YamuxHeader.initialWindowBytes

    /// Frames to a listener.
    private static let table: [(frames: [[UInt8]], violation: MuxViolation)] = [
        ([[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]], .wrongVersion(1)),
        ([data(2, [1], .syn)], .wrongParity(2)),
        ([update(2, 0, .syn)], .wrongParity(2)),
        ([update(1, 0, .syn), update(1, 0, .syn)], .usedStream(1)),
        ([data(1, [], [.syn, .fin]), data(1, [1], .syn)], .usedStream(1)),
        ([update(1, 0, [.syn, .rst]), update(1, 0, .syn)], .usedStream(1)),
        ([data(1, [1])], .unknownStream(1, .data)),
        ([update(1, 5)], .unknownStream(1, .windowUpdate)),
        ([data(2, [1])], .unknownStream(2, .data)),
        ([update(5, 0, .syn), data(3, [1])], .unknownStream(3, .data)),
        ([update(5, 0, .syn), data(7, [1])], .unknownStream(7, .data)),
        (
            [data(1, zeros: Int(initial), [.syn, .fin]), data(1, [1])],
            .beyondWindow(1, bytes: 1, window: 0)
        ),
        ([data(1, zeros: Int(initial) + 1, .syn)], .beyondWindow(1, bytes: initial + 1, window: initial)),
        (
            [data(1, zeros: Int(initial) - 1, .syn), data(1, zeros: 2)],
            .beyondWindow(1, bytes: 2, window: 1)
        ),
        (
            [update(1, 0, .syn), [0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1]],
            .frameTooLong(bytes: (16 << 20) + 1, limit: 16 << 20)
        ),
        ([update(1, .max, .syn)], .windowOverflow(1)),
    ]

    @Test func `each violation has its own name and ends the session`() throws {
        for (frames, violation) in Self.table {
            var feed = MuxFeed()
            for frame in frames.dropLast() { try feed.receive(frame) }
            feed.expectViolation(violation, frames.last ?? [])
        }
    }

    @Test func `the error says what, and where the frame begins`() {
        let frames = data(1, [1, 2], .syn) + data(4, [1])
        for sizes in [1, 5, 100] {
            var feed = MuxFeed()
            let error = #expect(throws: ParleyError.self) {
                for start in stride(from: 0, to: frames.count, by: sizes) {
                    try feed.receive(Array(frames[start...].prefix(sizes)))
                }
            }
            #expect(error?.code == .protocolViolation)
            let expected =
                "yamux: a data frame for stream 4, which was never opened, at byte 14 of the session"
            #expect(error?.message == expected)
        }
    }

    @Test func `a stream of this side exists for the other side once its opening is written`() throws {
        var feed = MuxFeed(isDialer: true)
        let stream = try feed.open()
        feed.expectViolation(.unknownStream(1, .data), data(1, [1]))
        feed = MuxFeed(isDialer: true)
        #expect(try feed.open() == stream)
        _ = feed.frames()
        #expect(try feed.receive(data(1, [1])) == [.acknowledged(stream), .data(stream, [1])])
        feed.expectViolation(.wrongParity(3), update(3, 0, .syn))
    }

    @Test func `nothing but the go-away is written after a violation`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        _ = try feed.session.write(patterned(1_000)[...], to: stream)
        try feed.receive(ping(1))
        feed.expectViolation(.unknownType(9), [0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(throws: ParleyError.self) { try feed.open() }
        #expect(throws: ParleyError.self) { try feed.session.write([1], to: stream) }
        #expect(feed.session.sendPing() == false)
        #expect(feed.session.streams == [stream], "those that have to be told")
    }

    // MARK: - Floods

    @Test func `pings beyond the rate, or whose answers are not read, are a flood`() throws {
        var feed = MuxFeed { $0.pingsPerSecond = 20 }
        for number in 0..<20 as Range<UInt32> {
            try feed.receive(ping(number))
            #expect(feed.frames().count == 1)
        }
        feed.expectViolation(.pingFlood, ping(1))

        feed = MuxFeed()
        for number in 0..<16 as Range<UInt32> { try feed.receive(ping(number)) }
        #expect(feed.frames().count == 16)
        for number in 0..<16 as Range<UInt32> { try feed.receive(ping(number)) }
        feed.expectViolation(.pingFlood, ping(1))
    }

    @Test func `openings beyond the rate are refused, at twice the rate they are a flood`() throws {
        var feed = MuxFeed { $0.streamsPerSecond = 10 }
        for number in 0..<20 as Range<UInt32> {
            let events = try feed.receive(update(2 * number + 1, 0, .syn))
            #expect((events == [.refused(2 * number + 1, .tooFast)]) == (number >= 10))
            #expect(feed.frames().count == (number < 10 ? 0 : 1))
        }
        feed.expectViolation(.openingFlood, update(41, 0, .syn))
    }

    @Test func `streams that are opened and reset at once are counted as openings`() throws {
        var feed = MuxFeed { $0.streamsPerSecond = 10 }
        for number in 0..<20 as Range<UInt32> {
            #expect(try feed.receive(data(2 * number + 1, [1], [.syn, .rst])) == [])
        }
        feed.expectViolation(.openingFlood, update(41, 0, [.syn, .rst]))
        feed.expectNothingHeld()
    }

    @Test func `answers that are not read stop further openings`() throws {
        var feed = MuxFeed {
            $0.maxRemoteStreams = 0
            $0.maxAnswers = 30
        }
        for number in 0..<30 as Range<UInt32> { try feed.receive(update(2 * number + 1, 0, .syn)) }
        feed.expectViolation(.answersUnread(30), update(61, 0, .syn))
    }

    @Test func `what this side has to say does not stop the other side's openings`() throws {
        var feed = MuxFeed { $0.maxAnswers = 30 }
        let own = try (0..<40).map { _ in try feed.open() }
        _ = feed.frames()
        for stream in own { feed.session.abort(stream) }
        // 40 resets wait, and then the acknowledgements too.
        for number in 0..<40 as Range<UInt32> { _ = try feed.accept(2 * number + 1) }
        #expect(feed.frames().count >= 40)
    }

    @Test func `resets of streams that never were are tolerated, not without end`() throws {
        var feed = MuxFeed { $0.idleFramesPerSecond = 10 }
        for _ in 0..<2 {
            for number in 0..<10 as Range<UInt32> { try feed.receive(update(number + 1, 0, .rst)) }
            feed.now += 1_000_000_000
        }
        for number in 0..<10 as Range<UInt32> { try feed.receive(data(number + 1, [1, 2], .rst)) }
        feed.expectViolation(.strayFrames, update(1, 0, .rst))
    }

    @Test func `ends and acknowledgements of streams that never were are tolerated, not without end`() throws
    {
        for frame in [data(1, [], .fin), update(2, 0, .ack), update(2, 0), data(4)] {
            var feed = MuxFeed { $0.idleFramesPerSecond = 10 }
            for _ in 0..<10 { #expect(try feed.receive(frame) == []) }
            feed.expectViolation(.strayFrames, frame)
        }
    }

    @Test func `frames that change nothing are tolerated, not without end`() throws {
        let kinds: [[UInt8]] = [
            data(1), update(1, 0), update(1, 0, .ack), data(3), update(3, 9, .rst), update(3, 9, .fin),
            update(3, 0, .rst), pong(5), data(3, [], .fin), goAway(0), data(5, [], .fin),
        ]
        for kind in kinds {
            var feed = MuxFeed { $0.idleFramesPerSecond = 10 }
            _ = try feed.accept(1)
            try feed.receive(data(5, [], [.syn, .fin]))
            feed.session.abort(try feed.accept(3))
            _ = feed.frames()
            try feed.receive(goAway(0))
            // The gone stream is stream 3; the id is the eighth byte.
            let late = kind[7] == 3 ? 4 : 0
            for _ in 0..<10 + late { #expect(try feed.receive(kind) == []) }
            feed.expectViolation(.idleFrames, kind)
        }
    }

    @Test func `a go-away whose code changes all the time is one of them`() throws {
        var feed = MuxFeed { $0.idleFramesPerSecond = 10 }
        for code in 0...10 as ClosedRange<UInt32> {
            let said = GoAwayCode(rawValue: code % 2)
            #expect(try feed.receive(goAway(code % 2)) == [.goneAway(said)])
        }
        feed.expectViolation(.idleFrames, goAway(1))
    }

    @Test func `window updates for streams that are gone have a rate of their own`() throws {
        var feed = MuxFeed { $0.lateUpdatesPerSecond = 2_048 }
        feed.session.abort(try feed.accept(1))
        // As Python's libp2p sends them while its reader takes an answer in small pieces.
        for _ in 0..<2_048 + 4 { #expect(try feed.receive(update(1, 128)) == []) }
        feed.expectViolation(.idleFrames, update(1, 128))
    }

    @Test func `data that an end has overtaken is dropped, within the window`() throws {
        for isAnswered in [false, true] {
            var feed = MuxFeed()
            let stream = try feed.accept(1)
            #expect(try feed.receive(data(1, [], .fin)) == [.finished(stream)])
            if isAnswered {
                feed.session.finish(stream)
                _ = feed.frames()
                #expect(feed.notices() == [.ended(stream)])
            }
            #expect(try feed.receive(data(1, zeros: Int(Self.initial))) == [])
            #expect(feed.session.grantedBytes == 0)
            feed.expectViolation(
                isAnswered
                    ? .beyondWindowsOfGoneStreams(1, bytes: 1) : .beyondWindow(1, bytes: 1, window: 0),
                data(1, [1])
            )
        }
    }

    @Test func `a second end changes nothing, and streams may be opened after a go-away`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        #expect(try feed.receive(data(1, [], .fin), data(1, [], .fin)) == [.finished(stream)])
        #expect(try feed.receive(goAway(0)) == [.goneAway(.normal)])
        #expect(try feed.accept(3).id == 3)
    }

    @Test func `late data is bounded by what the windows had left`() throws {
        var feed = MuxFeed()
        for id in [1, 3] as [UInt32] {
            let stream = try feed.accept(id)
            try feed.receive(data(id, zeros: 1_000))
            feed.session.abort(stream)
        }
        let left = 2 * (Int(Self.initial) - 1_000)
        for _ in 0..<(left / 1_000) { try feed.receive(data(1, zeros: 1_000)) }
        feed.expectViolation(.beyondWindowsOfGoneStreams(3, bytes: 1_000), data(3, zeros: 1_000))
    }
}
