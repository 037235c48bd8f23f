import Testing

@testable import Parley

/// Receive windows: what is granted, when, and how much in all.
@Suite struct MuxWindowTests {
    private static let initial = Int(YamuxHeader.initialWindowBytes)
    private static let millisecond: UInt64 = 1_000_000

    @Test func `a reader that does not consume holds its own stream back, and no other`() throws {
        var feed = MuxFeed()
        let slow = try feed.accept(1)
        let quick = try feed.accept(3)
        try feed.receive(data(1, zeros: Self.initial))
        #expect(!feed.session.hasFrames, "nothing is consumed")
        for _ in 0..<10 {
            try feed.receive(data(3, zeros: Self.initial / 2))
            feed.session.consumed(Self.initial / 2, of: quick, at: feed.now)
            #expect(feed.frames().map(\.header.stream) == [3])
        }
        feed.session.consumed(Self.initial / 2 - 1, of: slow, at: feed.now)
        #expect(!feed.session.hasFrames, "less than half is free")
        feed.session.consumed(1, of: slow, at: feed.now)
        let expected = YamuxHeader(.windowUpdate, .ack, stream: 1, length: UInt32(Self.initial / 2))
        #expect(feed.frames().map(\.header) == [expected])
        try feed.receive(data(1, zeros: Self.initial / 2))
        feed.expectViolation(.beyondWindow(1, bytes: 1, window: 0), data(1, [1]))
    }

    @Test func `what is consumed before an update is written goes with it`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        try feed.receive(data(1, zeros: Self.initial))
        for _ in 0..<4 { feed.session.consumed(Self.initial / 4, of: stream, at: feed.now) }
        let expected = YamuxHeader(.windowUpdate, .ack, stream: 1, length: UInt32(Self.initial))
        #expect(feed.frames().map(\.header) == [expected])
    }

    @Test func `no window is granted to a side that sends no more`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        try feed.receive(data(1, zeros: Self.initial, .fin))
        #expect(feed.session.grantedBytes == Self.initial)
        feed.session.consumed(Self.initial, of: stream, at: feed.now)
        #expect(!feed.session.hasFrames && feed.session.grantedBytes == 0)
    }

    /// Uses half of the window again and again, `elapsed` after each other.
    private func window(after rounds: Int, elapsed: UInt64, _ feed: inout MuxFeed) throws -> Int {
        let stream = try feed.accept(1)
        for _ in 0..<rounds {
            feed.now += elapsed
            let half = Int(feed.session.table[stream.slot].windowBytes) / 2
            try feed.receive(data(1, zeros: half))
            feed.session.consumed(half, of: stream, at: feed.now)
            _ = feed.frames()
        }
        return Int(feed.session.table[stream.slot].windowBytes)
    }

    @Test func `a window that is used within one and a half round trips is doubled, up to the limit`() throws
    {
        // The first time is that of half a window.
        let cases: [(rounds: Int, elapsed: UInt64, expected: Int)] = [
            (1, 14, 2 * Self.initial), (1, 15, Self.initial), (2, 7, 4 * Self.initial),
            (3, 8, 2 * Self.initial),
            (5, 0, 32 * Self.initial), (8, 1, 16 << 20), (3, 20, Self.initial), (3, 500, Self.initial),
        ]
        for (rounds, elapsed, expected) in cases {
            var feed = MuxFeed()
            feed.session.roundTrip = 10 * Self.millisecond
            let window = try window(after: rounds, elapsed: elapsed * Self.millisecond, &feed)
            #expect(window == expected, "\(rounds) times after \(elapsed) ms")
            #expect(feed.session.grantedBytes == window && feed.session.grownBytes == window - Self.initial)
        }
        var feed = MuxFeed()
        #expect(try window(after: 5, elapsed: 0, &feed) == Self.initial, "no round trip is known")
    }

    @Test func `a window that is used at once after a pause does not grow`() throws {
        var feed = MuxFeed()
        feed.session.roundTrip = 10 * Self.millisecond
        let stream = try feed.accept(1)
        // What is in flight when the reader pauses fills the window. The next half takes a round trip and its
        // own time.
        for elapsed in [500, 0, 16, 500, 1, 15] as [UInt64] {
            feed.now += elapsed * Self.millisecond
            try feed.receive(data(1, zeros: Self.initial / 2))
            feed.session.consumed(Self.initial / 2, of: stream, at: feed.now)
            _ = feed.frames()
        }
        #expect(feed.session.table[stream.slot].windowBytes == UInt32(Self.initial))
    }

    @Test func `a window grows once for each update, however it is consumed`() throws {
        var feed = MuxFeed()
        feed.session.roundTrip = 10 * Self.millisecond
        let stream = try feed.accept(1)
        try feed.receive(data(1, zeros: Self.initial))
        for _ in 0..<16 { feed.session.consumed(Self.initial / 16, of: stream, at: feed.now) }
        #expect(feed.session.table[stream.slot].windowBytes == UInt32(2 * Self.initial))
        #expect(feed.frames().map(\.header.length) == [UInt32(2 * Self.initial)])
    }

    @Test func `grown windows take at most half, and new streams find room`() throws {
        var feed = MuxFeed { $0.maxGrantedBytes = 8 * (256 << 10) }
        feed.session.roundTrip = 10 * Self.millisecond
        #expect(try window(after: 6, elapsed: 1, &feed) == 5 * Self.initial)
        for id in [3, 5, 7] as [UInt32] { _ = try feed.accept(id) }
        #expect(feed.session.grantedBytes == 8 * Self.initial)
        #expect(try feed.receive(update(9, 0, .syn)) == [.refused(9, .noMemory)])
        for stream in feed.session.streams { feed.session.abort(stream) }
        feed.expectNothingHeld()
    }

    @Test func `a reader that takes much gets a large window at once, within the limits`() throws {
        let (initial, mebibyte) = (Self.initial, 1 << 20)
        // What is asked for, what one stream and all streams may have, and the window.
        let cases: [(wanted: Int, most: Int, granted: Int, expected: Int)] = [
            (4 * mebibyte, 16 * mebibyte, 256 * mebibyte, 4 * mebibyte),
            (4 * mebibyte, mebibyte, 256 * mebibyte, mebibyte),
            (4 * mebibyte, 16 * mebibyte, 2 * mebibyte, mebibyte + initial),
            (4 * mebibyte, 16 * mebibyte, initial, initial),
            (initial, 16 * mebibyte, 256 * mebibyte, initial), (0, 16 * mebibyte, 256 * mebibyte, initial),
            (.max, 16 * mebibyte, 256 * mebibyte, 16 * mebibyte),
        ]
        for (wanted, most, granted, expected) in cases {
            var feed = MuxFeed {
                $0.maxWindowBytes = UInt32(most)
                $0.maxGrantedBytes = granted
            }
            let stream = try feed.accept(1)
            feed.session.widen(stream, to: wanted)
            let frames = feed.frames().map(\.header)
            let more = YamuxHeader(.windowUpdate, .ack, stream: 1, length: UInt32(expected - initial))
            #expect(frames == (expected > initial ? [more] : []), "\(wanted) of \(most), \(granted) in all")
            #expect(feed.session.grantedBytes == expected)
            #expect(feed.session.grownBytes == expected - initial)
            try feed.receive(data(1, zeros: expected))
            feed.expectViolation(.beyondWindow(1, bytes: 1, window: 0), data(1, [1]))
        }
    }

    @Test func `a window that is asked for before the opening comes behind it`() throws {
        var feed = MuxFeed(isDialer: true)
        let streams = [try feed.open(), try feed.open()]
        feed.session.widen(streams[1], to: 1 << 20)
        let expected = [
            YamuxHeader(.windowUpdate, .syn, stream: 1, length: 0),
            YamuxHeader(.windowUpdate, .syn, stream: 3, length: 0),
            YamuxHeader(.windowUpdate, stream: 3, length: UInt32((1 << 20) - Self.initial)),
        ]
        #expect(feed.frames().map(\.header) == expected)
    }

    @Test func `a stream that is read no more gets no larger window`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        try feed.receive(data(1, [], .fin))
        feed.session.widen(stream, to: 1 << 20)
        #expect(!feed.session.hasFrames && feed.session.grantedBytes == 0)
        feed.session.abort(stream)
        _ = feed.frames()
        feed.session.widen(stream, to: 1 << 20)
        #expect(!feed.session.hasFrames, "it is gone")
        feed.expectNothingHeld()
    }

    @Test func `a lower limit takes nothing back and grants no more`() throws {
        var feed = MuxFeed()
        feed.session.roundTrip = 10 * Self.millisecond
        let window = try window(after: 2, elapsed: 1, &feed)
        feed.session.limits.maxGrantedBytes = 1
        let stream = try #require(feed.session.streams.first)
        try feed.receive(data(1, zeros: window))
        feed.session.consumed(window, of: stream, at: feed.now)
        #expect(feed.frames().map(\.header.length) == [UInt32(window)])
        #expect(feed.session.grantedBytes == window)
    }

    @Test func `updates of the other side add up to the send window`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        try feed.receive(update(1, .max - YamuxHeader.initialWindowBytes))
        #expect(feed.session.table[stream.slot].sendWindow == .max)
        feed.expectViolation(.windowOverflow(1), update(1, 1))
        feed = MuxFeed()
        feed.expectViolation(.windowOverflow(1), update(1, .max, .syn))
    }

    @Test func `an opening may bring a larger window`() throws {
        var feed = MuxFeed()
        try feed.receive(update(1, 1_000, .syn))
        let stream = try #require(feed.session.streams.first)
        #expect(feed.session.table[stream.slot].sendWindow == YamuxHeader.initialWindowBytes + 1_000)
    }
}
