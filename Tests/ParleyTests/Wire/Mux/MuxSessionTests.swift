import Testing

@testable import Parley

/// What a session does, frame by frame.
@Suite struct MuxSessionTests {
    // MARK: - Openings

    @Test func `the dialer's streams have odd ids, the listener's even ones`() throws {
        for (isDialer, ids) in [(true, [1, 3, 5]), (false, [2, 4, 6])] {
            var feed = MuxFeed(isDialer: isDialer)
            for id in ids {
                let stream = try feed.open()
                #expect(stream.id == UInt32(id))
                #expect(feed.frames().map(\.header) == [YamuxHeader(.windowUpdate, .syn, stream: stream.id)])
            }
        }
    }

    @Test func `the first bytes go with the opening, the answer with the acknowledgement`() throws {
        var (dialer, listener) = (MuxFeed(isDialer: true), MuxFeed())
        let stream = try dialer.open()
        #expect(try dialer.session.write([1, 2], to: stream) == 2)
        #expect(dialer.frames() == [MuxTestFrame(YamuxHeader(.data, .syn, stream: 1, length: 2), [1, 2])])

        let events = try listener.receive(data(1, [1, 2], .syn))
        guard case .opened(let accepted) = events[0] else { throw ParleyError(.closed, "\(events)") }
        #expect(events == [.opened(accepted), .data(accepted, [1, 2])])
        #expect(!listener.session.hasFrames, "nothing is acknowledged before the application answers")
        #expect(try listener.session.write([3], to: accepted) == 1)
        #expect(listener.frames() == [MuxTestFrame(YamuxHeader(.data, .ack, stream: 1, length: 1), [3])])
        #expect(try dialer.receive(data(1, [3], .ack)) == [.acknowledged(stream), .data(stream, [3])])
    }

    @Test func `a stream that is only read is acknowledged when it is accepted, once`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        feed.session.accept(stream)
        feed.session.accept(stream)
        #expect(feed.frames().map(\.header) == [YamuxHeader(.windowUpdate, .ack, stream: 1)])
        feed.session.accept(stream)
        #expect(!feed.session.hasFrames)
    }

    @Test func `openings wait for acknowledgements, and for streams that end before one`() throws {
        var feed = MuxFeed(isDialer: true) { $0.maxUnacknowledged = 2 }
        let first = try feed.open()
        let second = try feed.open()
        #expect(try feed.session.open(at: 0) == .waits)
        #expect(feed.notices() == [])
        _ = feed.frames()
        #expect(try feed.receive(update(1, 0, .ack)) == [.acknowledged(first)])
        #expect(feed.notices() == [.openable])
        #expect(feed.notices() == [])
        #expect(try feed.open().id == 5)
        #expect(try feed.session.open(at: 0) == .waits)
        feed.session.abort(second)
        #expect(feed.notices() == [.ended(second), .openable])
        #expect(try feed.open().id == 7)
    }

    @Test func `openings wait for granted bytes`() throws {
        var feed = MuxFeed(isDialer: true) { $0.maxGrantedBytes = 512 << 10 }
        let first = try feed.open()
        _ = try feed.open()
        #expect(try feed.session.open(at: 0) == .waits)
        feed.session.abort(first)
        #expect(feed.notices() == [.ended(first), .openable])
    }

    @Test func `all ids can be used, and then none`() throws {
        var feed = MuxFeed(isDialer: true)
        feed.session.nextID = UInt64(UInt32.max)
        #expect(try feed.open().id == .max)
        #expect(throws: ParleyError(.closed, "all stream ids of the connection are used")) {
            try feed.open()
        }
    }

    @Test func `streams that the other side opens out of order are opened`() throws {
        var feed = MuxFeed()
        for id in [5, 1, 9, 7, 3] as [UInt32] { #expect(try feed.accept(id).id == id) }
        feed.expectViolation(.usedStream(7), update(7, 0, .syn))
    }

    @Test func `openings beyond a limit are reset, and the session goes on`() throws {
        typealias Case = (MuxRefusal, change: @Sendable (inout MuxLimits) -> Void)
        let cases: [Case] = [
            (.tooManyStreams, { $0.maxRemoteStreams = 1 }), (.tooManyUnaccepted, { $0.maxUnaccepted = 1 }),
            (.noMemory, { $0.maxGrantedBytes = 511 << 10 }), (.tooFast, { $0.streamsPerSecond = 1 }),
            (.goingAway, { _ in }),
        ]
        #expect(Set(cases.map { "\($0.0)" }).count == MuxRefusal.allCases.count)
        for (refusal, change) in cases {
            var feed = MuxFeed(change)
            let first = try feed.accept(1)
            if refusal == .goingAway { feed.session.goAway(.normal) }
            #expect(try feed.receive(data(3, [7], .syn)) == [.refused(3, refusal)])
            let reset = MuxTestFrame(YamuxHeader(.windowUpdate, .rst, stream: 3), [])
            #expect(feed.frames().contains(reset))
            #expect(try feed.receive(data(3, zeros: 1_000), data(1, [8])) == [.data(first, [8])])
            guard refusal != .goingAway else { continue }
            feed.session.abort(first)
            feed.now += 1_000_000_000
            #expect(try feed.accept(5).id == 5, "\(refusal)")
        }
    }

    // MARK: - Sending

    @Test func `what is written goes out in order, in frames, as far as the window allows`() throws {
        var feed = MuxFeed(isDialer: true) { $0.maxUnsentBytes = 1 << 20 }
        let stream = try feed.open()
        let content = patterned(300_000)
        #expect(try feed.session.write(content[...], to: stream) == content.count)
        let first = feed.frames()
        #expect(first.reduce(0) { $0 + $1.data.count } == 262_144)
        #expect(first.dropFirst().allSatisfy { $0.header.flags.isEmpty } && first[0].header.flags == .syn)
        #expect(!feed.session.hasFrames && feed.session.unsentBytes == 300_000 - 262_144)
        try feed.receive(update(1, 10_000, .ack))
        let second = feed.frames()
        try feed.receive(update(1, 1 << 20))
        feed.session.finish(stream)
        let third = feed.frames()
        #expect(third.dropLast().allSatisfy { $0.header.flags.isEmpty })
        #expect(third.last == MuxTestFrame(YamuxHeader(.data, .fin, stream: 1, length: 0), []))
        #expect(second.reduce(0) { $0 + $1.data.count } == 10_000)
        #expect(same((first + second + third).flatMap(\.data), content))
        #expect(feed.session.unsentBytes == 0)
    }

    @Test func `streams take turns, and control frames come first`() throws {
        var feed = MuxFeed(isDialer: true)
        let streams = try (0..<3).map { _ in try feed.open() }
        _ = feed.frames()
        for stream in streams { _ = try feed.session.write(patterned(200_000)[...], to: stream) }
        try feed.receive(ping(9))
        let (turn, rest) = (MuxSession.turnBytes, 200_000 - MuxSession.turnBytes)
        #expect(
            lines(of: feed.frames()) == [
                "ping 0 9", "data 1 \(turn)", "data 3 \(turn)", "data 5 \(turn)", "data 1 \(rest)",
                "data 3 \(rest)", "data 5 \(rest)",
            ]
        )
    }

    private func lines(of frames: [MuxTestFrame]) -> [String] {
        frames.map { "\($0.header.type) \($0.header.stream) \($0.header.length)" }
    }

    @Test func `who says little goes ahead of full streams`() throws {
        var feed = MuxFeed(isDialer: true)
        let streams = try (0..<4).map { _ in try feed.open() }
        _ = feed.frames()
        // The third has a byte too many, and the fourth writes more while it waits.
        let little = MuxSession.littleBytes
        for (stream, bytes) in zip(streams, [200_000, little, little + 1, 100]) {
            _ = try feed.session.write(patterned(bytes)[...], to: stream)
        }
        _ = try feed.session.write(patterned(little)[...], to: streams[3])
        let (turn, rest) = (MuxSession.shortWriteBytes, 200_000 - 3 * MuxSession.shortWriteBytes)
        #expect(
            lines(of: feed.frames()) == [
                "data 3 \(little)", "data 7 \(little)", "data 1 \(turn)", "data 5 \(little + 1)",
                "data 7 100", "data 1 \(turn)", "data 1 \(turn)", "data 1 \(rest)",
            ]
        )
    }

    @Test(arguments: [false, true])
    func `full streams have their turns beside many that say little`(andEnd: Bool) throws {
        var feed = MuxFeed(isDialer: true)
        let full = try feed.open()
        let others = try (0..<20).map { _ in try feed.open() }
        _ = feed.frames()
        _ = try feed.session.write(patterned(200_000)[...], to: full)
        for stream in others {
            _ = try feed.session.write(patterned(MuxSession.littleBytes)[...], to: stream)
            guard andEnd else { continue }
            try feed.receive(data(stream.id, [], .fin))
            feed.session.finish(stream)
        }
        let turns = feed.frames().filter { $0.header.length > 0 }.map { $0.header.stream == full.id }
        // What goes ahead counts with its headers.
        let ahead = MuxSession.turnBytes / MuxSession.littleBytes
        #expect(turns.indices.filter { turns[$0] } == [ahead, 2 * ahead + 1, 20 + 2, 20 + 3])
    }

    @Test func `streams are opened in the order of their ids, however much they send`() throws {
        var feed = MuxFeed(isDialer: true)
        for bytes in [200_000, 100, 0, 100_000] {
            _ = try feed.session.write(patterned(bytes)[...], to: feed.open())
        }
        let openings = feed.frames().filter { $0.header.flags.contains(.syn) }
        #expect(openings.map(\.header.stream) == [1, 3, 5, 7])
    }

    @Test func `a limit of bytes ends after the frame that reaches it`() throws {
        var feed = MuxFeed(isDialer: true)
        let streams = try (0..<2).map { _ in try feed.open() }
        _ = feed.frames()
        for stream in streams { _ = try feed.session.write(patterned(250_000)[...], to: stream) }
        #expect(feed.frames(upTo: 0) == [])
        #expect(feed.frames(upTo: 1).map(\.header.stream) == [1])
        #expect(feed.frames(upTo: MuxSession.turnBytes + 13).map(\.header.stream) == [3, 1])
        #expect(feed.frames().map(\.header.stream) == [3])
    }

    @Test func `a single stream sends large frames without a copy`() throws {
        var feed = MuxFeed(isDialer: true)
        let stream = try feed.open()
        let content = patterned(200_000)[...]
        _ = try feed.session.write(content, to: stream)
        var output = WireBuffer()
        feed.session.takeFrames(into: &output, upTo: .max, at: 0)
        #expect(output.segments.contains { isSame($0, content) })
    }

    @Test(arguments: [
        // What two streams send, one after the other, and how much a full stream writes at once then.
        ([], MuxSession.longWriteBytes),
        ([64], MuxSession.shortWriteBytes),
        ([MuxSession.littleBytes], MuxSession.shortWriteBytes),
        ([MuxSession.littleBytes + 1], MuxSession.longWriteBytes),
        // The last frame of something long is not little. A short write behind it is.
        ([MuxSession.turnBytes + 64], MuxSession.longWriteBytes),
        ([MuxSession.turnBytes + 64, 64], MuxSession.shortWriteBytes),
        // Up to a megabyte later.
        ([64, 450 << 10], MuxSession.shortWriteBytes),
        ([64, 512 << 10], MuxSession.longWriteBytes),
        ([64, 450 << 10, 64, 450 << 10], MuxSession.shortWriteBytes),
    ])
    func `who says little beside a full stream waits for shorter writes`(
        writes: [Int],
        expected: Int
    ) throws {
        var feed = MuxFeed(isDialer: true) { $0.maxUnsentBytes = 4 << 20 }
        let streams = [try feed.open(), try feed.open()]
        _ = feed.frames()
        for stream in streams { try feed.receive(update(stream.id, 16 << 20, .ack)) }
        for bytes in writes {
            for stream in streams { _ = try feed.session.write(patterned(bytes)[...], to: stream) }
            _ = feed.frames()
        }
        #expect(feed.session.writeBytes == expected)
        _ = try feed.session.write(patterned(1 << 20)[...], to: streams[0])
        #expect(feed.frames(upTo: 1).map { Int($0.header.length) } == [expected])
    }

    /// Whether both are the same bytes in memory.
    private func isSame(_ one: ArraySlice<UInt8>, _ other: ArraySlice<UInt8>) -> Bool {
        one.withUnsafeBufferPointer { one in
            other.withUnsafeBufferPointer { one.baseAddress == $0.baseAddress && one.count == $0.count }
        }
    }

    @Test func `turns are not copied either, unless they are short`() throws {
        var feed = MuxFeed(isDialer: true)
        let contents = [patterned(200_000)[...], patterned(200_000)[...], patterned(4_095)[...]]
        let streams = try contents.map { _ in try feed.open() }
        _ = feed.frames()
        for (content, stream) in zip(contents, streams) { _ = try feed.session.write(content, to: stream) }
        var output = WireBuffer()
        feed.session.takeFrames(into: &output, upTo: .max, at: 0)
        // The third says little.
        let turn = MuxSession.shortWriteBytes
        for content in contents.prefix(2) {
            for part in [content.prefix(turn), content.dropFirst(turn).prefix(turn)] {
                #expect(output.segments.contains { isSame($0, part) })
            }
        }
        #expect(!output.segments.contains { $0.count == 4_095 })
    }

    @Test func `a write beyond the limit is accepted in part, and room is told once`() throws {
        var feed = MuxFeed(isDialer: true) { $0.maxUnsentBytes = 200_000 }
        let stream = try feed.open()
        let accepted = try feed.session.write(patterned(250_000)[...], to: stream)
        #expect(accepted == 200_000)
        #expect(try feed.session.write(patterned(50_000)[...], to: stream) == 0)
        #expect(feed.notices() == [])
        // Beside another one it has short turns.
        _ = try feed.session.write(patterned(200_000)[...], to: feed.open())
        _ = feed.frames(upTo: 10_000)
        #expect(feed.notices() == [], "less than half is free")
        _ = feed.frames()
        #expect(feed.notices() == [.room(stream)])
        #expect(feed.notices() == [])
    }

    @Test func `room is told when half is free, and no earlier`() throws {
        /// Writes about half of what waits, with another limit. Returns how much still waits.
        func written(_ limit: Int?) throws -> (unsent: Int, notices: [MuxNotice]) {
            var feed = MuxFeed(isDialer: true) { $0.maxUnsentBytes = 200_000 }
            let stream = try feed.open()
            _ = try feed.session.write(patterned(250_000)[...], to: stream)
            _ = try feed.session.write(patterned(200_000)[...], to: feed.open())
            if let limit { feed.session.limits.maxUnsentBytes = limit }
            _ = feed.frames(upTo: 160_000)
            return (feed.session.table[stream.slot].unsent.footprint, feed.notices())
        }
        let half = try written(nil).unsent
        #expect(half > 0)
        #expect(try written(2 * half).notices.count == 1 && written(2 * half).unsent == half)
        #expect(try written(2 * half - 1).notices == [])
    }

    @Test func `room for one byte is told, and none is not`() throws {
        for left in [1, 0] {
            var feed = MuxFeed(isDialer: true) { $0.maxUnsentBytes = 200_000 }
            let stream = try feed.open()
            _ = try feed.session.write(patterned(250_000)[...], to: stream)
            _ = feed.frames()
            _ = try feed.session.write(patterned(100_000)[...], to: stream)
            let unsent = feed.session.table[stream.slot].unsent.footprint
            feed.session.limits.maxUnsentBytes = unsent + left
            #expect(feed.session.room(in: stream) == left)
            #expect(feed.notices() == (left == 1 ? [.room(stream)] : []))
        }
    }

    @Test func `many small writes cost little more than their bytes`() throws {
        var feed = MuxFeed(isDialer: true)
        let stream = try feed.open()
        for number in 0..<100_000 {
            #expect(try feed.session.write([UInt8(truncatingIfNeeded: number)], to: stream) == 1)
        }
        #expect(feed.session.table[stream.slot].unsent.footprint < 101_000)
        let sent = feed.frames().flatMap(\.data)
        #expect(same(sent, (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }))
    }

    @Test func `nothing is accepted after the end`() throws {
        var feed = MuxFeed(isDialer: true)
        let finished = try feed.open()
        feed.session.finish(finished)
        #expect(throws: ParleyError(.closed, "this side has ended stream 1")) {
            try feed.session.write([1], to: finished)
        }
        let aborted = try feed.open()
        feed.session.abort(aborted)
        #expect(throws: ParleyError(.streamAborted, "stream 3 is gone")) {
            try feed.session.write([1], to: aborted)
        }
        #expect(feed.session.room(in: aborted) == 0)
        #expect(
            feed.frames().map(\.header) == [
                YamuxHeader(.windowUpdate, .syn, stream: 1), YamuxHeader(.data, .fin, stream: 1),
            ]
        )
    }

    // MARK: - The end of streams

    @Test func `each half ends for itself, and the stream is gone after both`() throws {
        for isRemoteFirst in [true, false] {
            var feed = MuxFeed()
            let stream = try feed.accept(1)
            if isRemoteFirst { #expect(try feed.receive(data(1, [1], .fin)).count == 2) }
            _ = try feed.session.write([2], to: stream)
            feed.session.finish(stream)
            // The end is a frame of its own: Go's readers may see the end of a frame with data too early.
            let expected = [
                MuxTestFrame(YamuxHeader(.data, .ack, stream: 1, length: 1), [2]),
                MuxTestFrame(YamuxHeader(.data, .fin, stream: 1, length: 0), []),
            ]
            #expect(feed.frames() == expected)
            if !isRemoteFirst { #expect(try feed.receive(data(1, [1], .fin)).count == 2) }
            #expect(feed.notices() == [] && feed.session.contains(stream), "a byte is unread")
            feed.session.consumed(1, of: stream, at: feed.now)
            #expect(feed.notices() == [.ended(stream)] && !feed.session.contains(stream))
            feed.expectNothingHeld()
        }
    }

    @Test func `a reset ends both halves, what was received can still be read`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        _ = try feed.session.write([1], to: stream)
        let events = try feed.receive(data(1, [1, 2]), update(1, 77, .rst))
        #expect(events == [.data(stream, [1, 2]), .reset(stream, code: 77)])
        #expect(feed.session.unsentBytes == 0 && !feed.session.hasFrames)
        feed.session.consumed(2, of: stream, at: feed.now)
        #expect(feed.notices() == [.ended(stream)])
        feed.expectNothingHeld()
    }

    @Test func `a reset in a data frame drops its data`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        #expect(try feed.receive(data(1, [1, 2, 3], .rst)) == [.reset(stream, code: 0)])
        #expect(feed.notices() == [.ended(stream)])
    }

    @Test func `an abort sends a reset with its code, and late frames are dropped`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        _ = try feed.session.write(patterned(1_000)[...], to: stream)
        feed.session.abort(stream, code: 9)
        #expect(feed.notices() == [.ended(stream)])
        #expect(feed.frames().map(\.header) == [YamuxHeader(.windowUpdate, .rst, stream: 1, length: 9)])
        let late = [data(1, zeros: 262_144), update(1, 5), data(1, [], .fin), update(1, 0, .rst)]
        #expect(try feed.receive(late.flatMap { $0 }) == [])
        feed.expectNothingHeld()
        feed.expectViolation(.beyondWindowsOfGoneStreams(1, bytes: 1), data(1, [1]))
    }

    @Test func `a stream that the other side does not know is aborted without a frame`() throws {
        var feed = MuxFeed(isDialer: true)
        feed.session.abort(try feed.open())
        #expect(!feed.session.hasFrames)
        feed.expectNothingHeld()
    }

    @Test func `a close sends what was written, drops what arrives, and resets a full window`() throws {
        var feed = MuxFeed(isDialer: true)
        let stream = try feed.open()
        _ = try feed.session.write([1, 2], to: stream)
        feed.session.close(stream)
        #expect(feed.session.grantedBytes == 0)
        #expect(feed.frames().map(\.header.flags) == [.syn, .fin])
        #expect(try feed.receive(data(1, [9], .ack)) == [.acknowledged(stream)])
        // A reset now would let some implementations forget an answer that they have not read.
        #expect(!feed.session.hasFrames && feed.notices() == [])
        #expect(try feed.receive(data(1, zeros: 262_143)) == [])
        #expect(feed.frames().map(\.header) == [YamuxHeader(.windowUpdate, .rst, stream: 1)])
        #expect(feed.notices() == [.ended(stream)])
        feed.expectNothingHeld()
    }

    @Test func `data between a close and its FIN does not destroy what was written`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        _ = try feed.session.write(patterned(20_000)[...], to: stream)
        feed.session.close(stream)
        #expect(try feed.receive(data(1, zeros: 262_144)) == [])
        let frames = feed.frames()
        #expect(same(frames.flatMap(\.data), patterned(20_000)))
        #expect(frames.suffix(3).map(\.header.flags) == [.ack, .fin, .rst])
        #expect(feed.notices() == [.ended(stream)])
    }

    @Test func `a stream that is closed when its window is used up already is reset at once`() throws {
        var feed = MuxFeed(isDialer: true)
        let stream = try feed.open()
        _ = try feed.session.write([1], to: stream)
        feed.session.finish(stream)
        _ = feed.frames()
        _ = try feed.receive(data(1, zeros: 262_144, .ack))
        feed.session.close(stream)
        #expect(feed.frames().map(\.header.flags) == [.rst])
        #expect(feed.notices() == [.ended(stream)])
    }

    @Test func `this side opens no more streams than there may be`() throws {
        var feed = MuxFeed(isDialer: true) { $0.maxStreams = 2 }
        _ = try feed.accept(2)
        let stream = try feed.open()
        #expect(try feed.session.open(at: 0) == .waits)
        #expect(feed.notices() == [])
        feed.session.abort(stream)
        #expect(feed.notices() == [.ended(stream), .openable])
        _ = try feed.open()
    }

    @Test func `a closed stream ends with the other side's FIN`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        try feed.receive(data(1, [1]))
        feed.session.close(stream)
        #expect(feed.frames().map(\.header.flags) == [.ack, .fin])
        #expect(try feed.receive(data(1, [], .fin)) == [])
        #expect(feed.notices() == [.ended(stream)] && !feed.session.hasFrames)
        feed.expectNothingHeld()
    }

    @Test func `a stream closed in the middle of a frame gets nothing more of it`() throws {
        for isAborted in [true, false] {
            var feed = MuxFeed()
            let stream = try feed.accept(1)
            var input = (data(1, [1, 2, 3, 4], .fin) + ping(5))[...]
            var start = input.prefix(13)
            #expect(try feed.session.next(&start, at: 0) == .data(stream, [1]))
            if isAborted { feed.session.abort(stream) } else { feed.session.close(stream) }
            input.removeFirst(13)
            #expect(try feed.session.next(&input, at: 0) == nil && input.isEmpty)
            // A reset and the answer; or the answer and an end.
            let types: [YamuxHeader.FrameType] =
                isAborted ? [.windowUpdate, .ping] : [.ping, .windowUpdate, .data]
            #expect(feed.frames().map(\.header.type) == types)
            #expect(feed.notices() == [.ended(stream)])
            feed.expectNothingHeld()
        }
    }

    @Test func `places are used again, and old names mean nothing`() throws {
        var feed = MuxFeed()
        let old = try feed.accept(1)
        feed.session.abort(old)
        let new = try feed.accept(3)
        #expect(old.slot == new.slot)
        feed.session.abort(old)
        feed.session.finish(old)
        feed.session.close(old)
        feed.session.accept(old)
        feed.session.consumed(1, of: old, at: 0)
        #expect(feed.session.contains(new) && !feed.session.contains(old))
        #expect(feed.frames().count == 1, "the reset of the first")
        #expect(feed.session.streams == [new])
    }

    // MARK: - The session

    @Test func `a ping measures the round trip`() throws {
        var feed = MuxFeed()
        #expect(feed.session.sendPing() == true)
        #expect(feed.session.sendPing() == false, "one at a time")
        #expect(try feed.receive(pong(1)) == [], "an answer before the question is none")
        feed.now += 500
        #expect(feed.frames() == [MuxTestFrame(YamuxHeader(.ping, .syn, stream: 0, length: 1), [])])
        feed.now += 300
        #expect(try feed.receive(pong(2)) == [])
        #expect(try feed.receive(pong(1)) == [.pong(roundTrip: 300)])
        #expect(feed.session.roundTrip == 300 && feed.session.sendPing() == true)
        #expect(feed.frames()[0].header.length == 2)
    }

    @Test func `the shortest round trip counts, and longer ones raise it slowly`() throws {
        var feed = MuxFeed()
        let cases: [(elapsed: UInt64, expected: UInt64)] = [(800, 800), (1_600, 900), (500, 500), (500, 500)]
        for (number, (elapsed, expected)) in zip(1..., cases) {
            _ = feed.session.sendPing()
            _ = feed.frames()
            feed.now += elapsed
            #expect(try feed.receive(pong(UInt32(number))) == [.pong(roundTrip: elapsed)])
            #expect(feed.session.roundTrip == expected)
        }
    }

    @Test func `pings are answered with their number`() throws {
        var feed = MuxFeed()
        #expect(try feed.receive(ping(7), ping(.max)) == [])
        let answers = [7, .max].map { YamuxHeader(.ping, .ack, stream: 0, length: $0) }
        #expect(feed.frames().map(\.header) == answers)
    }

    @Test func `a go-away of the other side stops openings, streams go on`() throws {
        var feed = MuxFeed()
        let stream = try feed.accept(1)
        #expect(try feed.receive(goAway(0)) == [.goneAway(.normal)])
        #expect(try feed.receive(goAway(0)) == [], "said already")
        #expect(throws: ParleyError(.closed, "the remote side takes no more streams (code 0)")) {
            try feed.open()
        }
        #expect(try feed.receive(data(1, [1])) == [.data(stream, [1])])
        #expect(try feed.receive(goAway(2)) == [.goneAway(.internalError)])
    }

    @Test func `a go-away is written when nothing else waits`() throws {
        var feed = MuxFeed { $0.maxUnsentBytes = 1 << 20 }
        let stream = try feed.accept(1)
        _ = try feed.session.write(patterned(300_000)[...], to: stream)
        feed.session.goAway(.normal)
        feed.session.goAway(.internalError)
        #expect(throws: ParleyError(.closed, "this side opens no more streams")) { try feed.open() }
        #expect(!feed.frames().map(\.header.type).contains(.goAway) && !feed.session.isDrained)
        #expect(!feed.session.hasFrames, "the window is used up")
        try feed.receive(update(1, 1 << 20))
        #expect(feed.frames().last?.header == YamuxHeader(.goAway, stream: 0))
        #expect(feed.session.isDrained && !feed.session.hasFrames)
    }

    @Test func `a ping before an orderly go-away tells when the other side has read all`() throws {
        var feed = MuxFeed()
        #expect(feed.session.sendPing() && feed.frames().count == 1)
        feed.session.goAway(.normal)
        let last = feed.frames().map(\.header)
        #expect(last.map(\.type) == [.ping, .goAway] && feed.session.isDrained)
        let earlier = last[0].length - 1
        _ = try feed.receive(pong(earlier))
        #expect(!feed.session.isAllRead, "that was before the rest")
        feed.now += 5_000
        let events = try feed.receive(pong(earlier + 1))
        #expect(events == [.pong(roundTrip: 5_000)] && feed.session.isAllRead)

        var open = MuxFeed()
        _ = open.session.sendPing()
        let ping = open.frames()[0].header
        _ = try open.receive(pong(ping.length))
        #expect(!open.session.isAllRead, "more may follow")
    }

    @Test func `an opening that waits is told when the other side goes away`() throws {
        var feed = MuxFeed(isDialer: true) { $0.maxUnacknowledged = 0 }
        #expect(try feed.session.open(at: 0) == .waits)
        try feed.receive(goAway(0))
        #expect(feed.notices() == [.openable])
        #expect(throws: ParleyError.self) { try feed.open() }
    }

    @Test func `the end inside a frame is seen`() throws {
        var feed = MuxFeed()
        #expect(!feed.session.isInsideFrame)
        try feed.receive(Array(data(1, [1, 2], .syn).prefix(5)))
        #expect(feed.session.isInsideFrame)
        try feed.receive(Array(data(1, [1, 2], .syn).dropFirst(5).dropLast()))
        #expect(feed.session.isInsideFrame)
        try feed.receive([2])
        #expect(!feed.session.isInsideFrame)
    }

    @Test func `a thousand streams come and go, and memory is given back`() throws {
        var feed = MuxFeed { $0.maxUnaccepted = 1_024 }
        for round in 0..<UInt32(3) {
            let streams = try (0..<UInt32(1_000)).map { try feed.accept(2_000 * round + 2 * $0 + 1) }
            #expect(feed.session.streamCount == 1_000 && feed.session.table.slots.count == 1_000)
            for stream in streams { feed.session.close(stream) }
            #expect(feed.frames().count == 2_000, "an acknowledgement and an end each")
            for stream in streams { try feed.receive(data(stream.id, [], .fin)) }
            #expect(feed.notices().count == 1_000)
            #expect(feed.session.table.slots.capacity == 0)
            feed.expectNothingHeld()
        }
    }
}

extension YamuxHeader {
    /// A header without a length.
    init(_ type: FrameType, _ flags: Flags = [], stream: UInt32) {
        self.init(type, flags, stream: stream, length: 0)
    }
}

extension MuxFeed {
    /// Expects that all streams are gone, and all counts with them.
    func expectNothingHeld(at place: SourceLocation = #_sourceLocation) {
        #expect(session.streamCount == 0 && session.remoteStreams == 0, sourceLocation: place)
        #expect(session.unacknowledged == 0 && session.unaccepted == 0, sourceLocation: place)
        #expect(session.unsentBytes == 0 && session.grantedBytes == 0, sourceLocation: place)
        #expect(session.grownBytes == 0 && !session.table.hasSenders, sourceLocation: place)
    }
}
