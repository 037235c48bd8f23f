import Testing

@testable import Parley

#if os(Linux)
    import CLinux
#endif

@Suite("The streams of one connection, as a value")
struct ChannelsTests {
    /// Two sides whose frames are carried to and fro.
    private struct Pair {
        var dialer: Channels
        var listener: Channels
        /// In nanoseconds.
        var now: UInt64 = 1_000_000_000
        /// How often the dialer's messages were sent.
        var messagesSent = 0

        init(_ rules: Channels.Rules, _ limits: MuxLimits = MuxLimits()) {
            dialer = Channels(isDialer: true, limits: limits, rules: rules)
            listener = Channels(isDialer: false, limits: limits, rules: rules)
        }

        /// Carries frames until there are none. Returns what followed on each side.
        mutating func carry() -> (dialer: Channels.Effects, listener: Channels.Effects) {
            var effects = (dialer: Channels.Effects(), listener: Channels.Effects())
            dialer.settle(at: now, &effects.dialer)
            listener.settle(at: now, &effects.listener)
            while true {
                var (out, back) = (WireBuffer(), WireBuffer())
                let taken = dialer.takeFrames(into: &out, upTo: 100_000, at: now)
                if taken.endsMessages { messagesSent += 1 }
                listener.takeFrames(into: &back, upTo: 100_000, at: now)
                dialer.settle(at: now, &effects.dialer)
                listener.settle(at: now, &effects.listener)
                if out.isEmpty, back.isEmpty { return effects }
                // In small pieces, so that every state is cut somewhere.
                for piece in out.contiguous.pieces {
                    listener.receive(piece, at: now, &effects.listener)
                    listener.settle(at: now, &effects.listener)
                }
                for piece in back.contiguous.pieces {
                    dialer.receive(piece, at: now, &effects.dialer)
                    dialer.settle(at: now, &effects.dialer)
                }
            }
        }

        mutating func open(_ name: String) throws -> Channel {
            try #require(try dialer.open(name, at: now))
        }
    }

    private static let echo = Channels.Rules(isSupported: { $0 == "/echo" }, remote: "peer")

    @Test func `bytes that are written ahead arrive behind the name`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        #expect(try pair.dialer.write([1, 2, 3], to: stream) == 3)
        let effects = pair.carry()
        #expect(effects.listener.accepted.map(\.name) == ["/echo"] && effects.listener.failure == nil)
        let accepted = effects.listener.accepted[0]
        #expect(try pair.listener.read(accepted, upTo: 10, at: pair.now) == .bytes([1, 2, 3]))
        #expect(try pair.listener.read(accepted, upTo: 10, at: pair.now) == .wait)
        #expect(pair.listener.heldBytes == 0)
        try pair.dialer.finish(stream).resume()
        _ = pair.carry()
        #expect(try pair.listener.read(accepted, upTo: 10, at: pair.now) == .end)
        try pair.listener.finish(accepted).resume()
        _ = pair.carry()
        #expect(try pair.dialer.read(stream, upTo: 1, at: pair.now) == .end)
        #expect(pair.dialer.count == 0 && pair.listener.count == 0)
    }

    @Test func `a refused name is told, whatever was written ahead`() throws {
        for ahead in [[], [0], [5, 104, 101, 108, 108, 10], patterned(3_000)] as [[UInt8]] {
            for isFinished in [false, true] {
                var pair = Pair(Self.echo)
                let stream = try pair.open("/other")
                if !ahead.isEmpty { _ = try pair.dialer.write(ahead[...], to: stream) }
                if isFinished { try pair.dialer.finish(stream).resume() }
                #expect(pair.carry().listener.failure == nil)
                let thrown = #expect(throws: ParleyError.self) {
                    try pair.dialer.read(stream, upTo: 1, at: pair.now)
                }
                #expect(thrown?.code == .unsupported && thrown?.message == "peer does not speak /other")
                #expect(pair.dialer.count == 0 && pair.listener.count == 0)
            }
        }
    }

    @Test func `each reason of a refusal has its counter, and they add up`() {
        var counted = StreamRefusals()
        for refusal in MuxRefusal.allCases { counted.count(refusal) }
        counted.notTaken = 1
        let each = [
            counted.tooFast, counted.tooMany, counted.tooManyUnaccepted, counted.noMemory, counted.goingAway,
        ]
        #expect(each == [1, 1, 1, 1, 1] && counted.total == 6)
        counted.add(counted)
        #expect(counted.total == 12 && counted.notTaken == 2)
    }

    @Test func `a block lends its parts until the next one is read`() throws {
        var pair = Pair(Self.echo)
        let streams = try (0..<4).map { _ in try pair.open("/echo") }
        let accepted = pair.carry().listener.accepted
        for stream in streams { _ = try pair.dialer.write(patterned(16_000)[...], to: stream) }
        var wire = WireBuffer()
        var effects = Channels.Effects()
        pair.dialer.takeFrames(into: &wire, upTo: .max, at: pair.now)
        pair.listener.receive(wire.contiguous[...], at: pair.now, &effects)
        func start(_ channel: Channel) -> Int { channel.received.front.startIndex }
        #expect(accepted.allSatisfy { start($0) > 0 }, "parts of the block")
        #expect(try pair.listener.read(accepted[0], upTo: 10_000, at: pair.now) != .wait)
        #expect(try pair.listener.read(accepted[1], upTo: 16_000, at: pair.now) != .wait)
        _ = try pair.dialer.write(patterned(1)[...], to: streams[3])
        _ = pair.carry()
        #expect(start(accepted[2]) == 0 && start(accepted[3]) == 0 && start(accepted[0]) == 0)
        #expect(pair.listener.heldBytes == 6_000 + 16_000 + 16_001)
        var rest: [UInt8] = []
        while case .bytes(let bytes) = try pair.listener.read(accepted[3], upTo: 99_999, at: pair.now) {
            rest += bytes
        }
        #expect(same(rest, patterned(16_000) + patterned(1)))
    }

    @Test func `bytes that are put back are read again, and their window is granted once`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        let sent = patterned(200_000)
        #expect(try pair.dialer.write(sent[...], to: stream) == 200_000)
        let accepted = pair.carry().listener.accepted[0]
        func take(_ count: Int) throws -> [UInt8] {
            var taken: [UInt8] = []
            while taken.count < count,
                case .bytes(let bytes) = try pair.listener.read(
                    accepted,
                    upTo: count - taken.count,
                    at: pair.now
                )
            { taken += bytes }
            return taken
        }
        for _ in 0..<3 {
            let bytes = try take(150_000)
            #expect(same(bytes, sent[..<150_000]))
            pair.listener.putBack(bytes[...], to: accepted, at: pair.now)
            #expect(pair.listener.heldBytes == 200_000)
        }
        _ = try take(150_000)
        _ = pair.carry()
        let window = pair.dialer.session.table[stream.id.slot].sendWindow
        #expect(window == YamuxHeader.initialWindowBytes - 50_000)
        #expect(same(try take(50_000), sent[150_000...]))
        _ = pair.listener.close(accepted, at: pair.now)
        pair.listener.putBack([1], to: accepted, at: pair.now)
        #expect(pair.listener.heldBytes == 0, "nobody reads it any more")
    }

    @Test func `what was put back is its reader's alone once the stream is forgotten`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = try pair.dialer.write(patterned(1_000)[...], to: stream)
        let accepted = pair.carry().listener.accepted[0]
        let read = try pair.listener.read(accepted, upTo: 1_000, at: pair.now)
        pair.listener.putBack(patterned(1_000)[...], to: accepted, at: pair.now)
        #expect(pair.listener.heldBytes == 1_000)
        try pair.listener.finish(accepted).resume()
        try pair.dialer.finish(stream).resume()
        _ = pair.carry()
        #expect(pair.listener.channel(accepted.id) == nil && pair.listener.heldBytes == 0)
        #expect(try pair.listener.read(accepted, upTo: 1_000, at: pair.now) == read)
        pair.listener.putBack([1], to: accepted, at: pair.now)
        #expect(pair.listener.heldBytes == 0)
        pair.listener.close(accepted, at: pair.now).resume()
        #expect(pair.listener.heldBytes == 0)
    }

    @Test func `what is dropped makes its readers fail, also behind the end of a stream`() throws {
        var pair = Pair(Self.echo)
        let streams = try (0..<2).map { _ in try pair.open("/echo") }
        for stream in streams { _ = try pair.dialer.write(patterned(10_000)[...], to: stream) }
        try pair.dialer.finish(streams[0]).resume()
        let accepted = pair.carry().listener.accepted
        for channel in accepted { _ = try pair.listener.read(channel, upTo: 5_000, at: pair.now) }
        let reason = ParleyError(.receiveBufferFull, "too much")
        pair.listener.dropHeld(reason).resume()
        // What still comes does not follow what was read.
        _ = try pair.dialer.write([1], to: streams[1])
        _ = pair.carry()
        for channel in accepted {
            #expect(throws: reason) { try pair.listener.read(channel, upTo: 9, at: pair.now) }
        }
        #expect(pair.listener.heldBytes == 0)
    }

    @Test func `nothing is read behind what the end of the connection has dropped`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = try pair.dialer.write([1, 2], to: stream)
        let accepted = pair.carry().listener.accepted[0]
        let reason = ParleyError(.closed, "this side has closed the connection")
        pair.listener.end(reason, .bothAtOnce).resume()
        _ = try pair.dialer.write([3, 4], to: stream)
        _ = pair.carry()
        #expect(throws: reason) { try pair.listener.read(accepted, upTo: 9, at: pair.now) }
        #expect(pair.listener.heldBytes == 0)
    }

    @Test func `finishing fails once the connection has ended, unless it was done before`() throws {
        var pair = Pair(Self.echo)
        let streams = try (0..<3).map { _ in try pair.open("/echo") }
        _ = pair.carry()
        try pair.dialer.finish(streams[0]).resume()
        _ = pair.dialer.close(streams[1], at: pair.now)
        let reason = ParleyError(.closed, "this side has closed the connection")
        pair.dialer.end(reason, .both).resume()
        try pair.dialer.finish(streams[0]).resume()
        try pair.dialer.finish(streams[1]).resume()
        #expect(throws: reason) { try pair.dialer.finish(streams[2]).resume() }
    }

    @Test func `a writer that filled the room to the byte is woken when there is some again`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        let accepted = pair.carry().listener.accepted[0]
        for _ in 0..<2 {
            let most = pair.dialer.room(in: stream)
            #expect(try pair.dialer.write(patterned(most)[...], to: stream) == most)
            let epoch = stream.waiters.epoch
            let isWritable = pair.dialer.isWritable(stream)
            #expect(!isWritable)
            while case .bytes = try pair.listener.read(accepted, upTo: most, at: pair.now) {}
            _ = pair.carry()
            let isWritableAgain = pair.dialer.isWritable(stream)
            #expect(stream.waiters.epoch != epoch && isWritableAgain)
        }
    }

    @Test func `messages wait for their stream as long as the connection lives`() throws {
        let limits = Channels.TimeLimits(negotiation: 100)
        var pair = Pair(Self.echo)
        var effects = Channels.Effects()
        var buffer = WireBuffer()
        buffer.append(patterned(100))
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        // Nothing is written meanwhile.
        pair.now += 1_000_000_000
        #expect(pair.dialer.checkTimeouts(at: pair.now / 1_000_000, limits, &effects) == .max)
        #expect(pair.carry().listener.messageBytes == 100 && pair.messagesSent == 1)
    }

    @Test func `streams of a closed connection no longer count for the node`() throws {
        let count = Lock(0)
        var rules = Self.echo
        rules.admits = {
            count.withLock { $0 += 1 }
            return true
        }
        rules.removed = { count.withLock { $0 -= 1 } }
        var pair = Pair(rules)
        let streams = try (0..<3).map { _ in try pair.open("/echo") }
        let accepted = pair.carry().listener.accepted
        #expect(count.withLock { $0 } == 3)
        for side in [streams[0]] { _ = pair.dialer.abort(side, code: 0, ParleyError(.closed, "")) }
        _ = pair.carry()
        #expect(count.withLock { $0 } == 2)
        for _ in 0..<2 { pair.listener.linkIsClosed() }
        #expect(count.withLock { $0 } == 0)
        pair.listener.remove(accepted[1].id)
        #expect(count.withLock { $0 } == 0)
    }

    @Test func `a reset behind the end takes nothing of what came before`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = try pair.dialer.write(patterned(10_000)[...], to: stream)
        let accepted = pair.carry().listener.accepted[0]
        try pair.dialer.finish(stream).resume()
        _ = pair.carry()
        _ = pair.dialer.abort(stream, code: 7, ParleyError(.closed, ""))
        _ = pair.carry()
        #expect(throws: ParleyError.self) { try pair.listener.write([1], to: accepted) }
        var bytes: [UInt8] = []
        while case .bytes(let more) = try pair.listener.read(accepted, upTo: 4_000, at: pair.now) {
            bytes += more
        }
        #expect(same(bytes, patterned(10_000)))
        #expect(try pair.listener.read(accepted, upTo: 1, at: pair.now) == .end)
        _ = pair.carry()
        #expect(pair.listener.count == 0 && pair.listener.heldBytes == 0)
    }

    @Test func `a reset before the end is an error, whatever has arrived`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = try pair.dialer.write(patterned(10_000)[...], to: stream)
        let accepted = pair.carry().listener.accepted[0]
        _ = pair.dialer.abort(stream, code: 7, ParleyError(.closed, ""))
        _ = pair.carry()
        let thrown = #expect(throws: ParleyError.self) {
            try pair.listener.read(accepted, upTo: 1, at: pair.now)
        }
        #expect(thrown?.code == .streamAborted && thrown?.remoteCode == 7)
    }

    @Test func `what is left of a block for later is lent of all of it`() throws {
        var pair = Pair(Self.echo)
        let streams = try (0..<2).map { _ in try pair.open("/echo") }
        let accepted = pair.carry().listener.accepted
        var block: [UInt8] = []
        for _ in 0..<32 { block += data(streams[0].id.id, zeros: 2_000) }
        block += data(streams[1].id.id, zeros: 4_096)
        var effects = Channels.Effects()
        let rest = pair.listener.receive(block[...], atMost: 32, at: pair.now, &effects)
        #expect(!rest.isEmpty)
        pair.listener.receive(rest, atMost: 32, at: pair.now, &effects)
        pair.listener.receive(ping(1)[...], at: pair.now, &effects)
        #expect(effects.failure == nil && accepted[1].received.count == 4_096)
        #expect(accepted[1].received.front.startIndex == 0, "it would keep the whole block")
    }

    @Test func `a first message that was accepted before an orderly end is sent`() throws {
        var pair = Pair(Self.echo)
        pair.dialer.end(ParleyError(.closed, "closed here"), .bothAtOnce).resume()
        #expect(throws: ParleyError.self) { try pair.open("/echo") }
        try expectFirstMessageArrives(&pair)
    }

    @Test func `a first message that follows the end of the other side's sending is sent`() throws {
        var pair = Pair(Self.echo)
        pair.dialer.endInput(.remoteClosed).resume()
        #expect(throws: ParleyError.remoteClosed) { try pair.open("/echo") }
        try expectFirstMessageArrives(&pair)
        #expect(pair.messagesSent == 1)
    }

    /// The dialer has no stream for messages yet.
    private func expectFirstMessageArrives(_ pair: inout Pair) throws {
        var buffer = WireBuffer()
        buffer.append(patterned(1_000))
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        _ = pair.carry()
        #expect(pair.listener.takeMessages(at: pair.now).map(Array.init) == patterned(1_000))
    }

    @Test func `a first message behind a go-away is refused, and what has arrived is still read`() throws {
        for waits in [false, true] {
            // Without a window for it, the first message waits until the go-away has come.
            var pair = Pair(Self.echo, MuxLimits(maxGrantedBytes: waits ? 0 : 64 << 20))
            var buffer = WireBuffer()
            buffer.append(patterned(1_000))
            if waits { #expect(try pair.dialer.write(messages: buffer, at: pair.now)) }
            // This side may be about to close as well.
            pair.dialer.end(ParleyError(.closed, "closed here"), .output).resume()
            var said = Channels(isDialer: false)
            said.sayGoodbye()
            var (output, effects) = (WireBuffer(), Channels.Effects())
            said.takeFrames(into: &output, upTo: 100_000, at: pair.now)
            pair.dialer.receive(output.contiguous[...], at: pair.now, &effects)
            pair.dialer.settle(at: pair.now, &effects)
            #expect(effects.failure == nil && effects.messagesRefused?.code == .endOfStream)
            #expect(try !pair.dialer.write(messages: buffer, at: pair.now), "they are dropped from now on")
            _ = pair.carry()
            #expect(pair.messagesSent == (waits ? 1 : 0), "nobody waits for them")
        }
    }

    @Test func `messages that a side refuses because it closes are not taken for unknown`() throws {
        var pair = Pair(Self.echo)
        var buffer = WireBuffer()
        buffer.append([1])
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        // Its go-away crosses with the opening, which it then resets.
        pair.listener.sayGoodbye()
        let effects = pair.carry().dialer
        #expect(effects.failure == nil && effects.messagesRefused?.code == .endOfStream)
    }

    @Test func `a go-away takes nothing of messages that have a stream`() throws {
        var pair = Pair(Self.echo)
        var buffer = WireBuffer()
        buffer.append([1])
        _ = try pair.dialer.write(messages: buffer, at: pair.now)
        _ = pair.carry()
        pair.listener.sayGoodbye()
        #expect(pair.carry().dialer.messagesRefused == nil)
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        _ = pair.carry()
        #expect(pair.messagesSent == 2)
    }

    @Test func `those who wait for room hear that the stream is finished`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = pair.carry()
        _ = try pair.dialer.write(patterned(pair.dialer.room(in: stream))[...], to: stream)
        let epoch = stream.waiters.epoch
        try pair.dialer.finish(stream).resume()
        #expect(stream.waiters.epoch != epoch)
    }

    @Test func `a writer learns what there is room for before it copies`() throws {
        var pair = Pair(Self.echo, MuxLimits())
        let stream = try pair.open("/echo")
        let most = pair.dialer.room(in: stream)
        var left = 2
        func room(for count: Int) throws -> Int {
            try pair.dialer.room(for: count, in: stream) { _ in
                left -= 1
                return left >= 0
            }
        }
        #expect(try room(for: 10) == 10 && left == 2, "within what is free")
        let affordable = try room(for: .max)
        #expect(
            affordable == SendBudget.freeBytes + 2 * SendBudget.chunkBytes - pair.dialer.session.unsentBytes
        )
        #expect(affordable < most && pair.dialer.isShortOfBudget)
        try pair.dialer.finish(stream).resume()
        #expect(throws: ParleyError.self) { try room(for: 1) }
    }

    @Test func `messages have a stream of their own in each direction`() throws {
        var pair = Pair(Self.echo)
        var buffer = WireBuffer()
        buffer.append(patterned(1_000))
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        let arrived = pair.carry().listener
        #expect(arrived.messageBytes == 1_000 && pair.listener.hasMessages && pair.listener.openCount == 0)
        var received: [UInt8] = []
        while let block = pair.listener.takeMessages(at: pair.now) { received += block }
        #expect(received == patterned(1_000) && !pair.listener.hasMessages && pair.messagesSent == 1)
    }

    @Test func `messages beyond the window wait, and go on`() throws {
        var pair = Pair(Self.echo)
        var buffer = WireBuffer()
        buffer.append(patterned(700_000))
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        _ = pair.carry()
        #expect(pair.messagesSent == 0 && !pair.dialer.unwritten.isEmpty)
        var received: [UInt8] = []
        while received.count < 700_000 {
            if let block = pair.listener.takeMessages(at: pair.now) {
                received += block
            } else {
                // Not before the session has sent the last of them.
                #expect(pair.messagesSent == 0)
                _ = pair.carry()
            }
        }
        #expect(pair.messagesSent == 1 && same(received, patterned(700_000)))
    }

    @Test func `however many streams there are, messages have room`() throws {
        var limits = MuxLimits()
        limits.maxGrantedBytes = 6 * (256 << 10)
        for isListener in [false, true] {
            var pair = Pair(Self.echo, limits)
            if isListener {
                // The listener's limit alone counts.
                pair.dialer.session.limits.maxGrantedBytes = .max / 2
                let opened = try (0..<6).map { _ in try pair.open("/echo") }
                let effects = pair.carry().listener
                #expect(effects.accepted.count == 4 && effects.refused.count == 2 && opened.count == 6)
            } else {
                for _ in 0..<4 { _ = try pair.open("/echo") }
                let fifth = try pair.dialer.open("/echo", at: pair.now)
                #expect(fifth == nil)
            }
            _ = pair.carry()
            var buffer = WireBuffer()
            buffer.append(patterned(100))
            #expect(try pair.dialer.write(messages: buffer, at: pair.now))
            #expect(try pair.listener.write(messages: buffer, at: pair.now))
            let effects = pair.carry()
            #expect(effects.listener.messageBytes == 100 && effects.dialer.messageBytes == 100)
            #expect(effects.dialer.messagesRefused == nil && effects.listener.messagesRefused == nil)
        }
    }

    @Test func `messages that wait use up nothing of what streams may have unsent`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        var buffer = WireBuffer()
        buffer.append(patterned(700_000))
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        _ = pair.carry()
        #expect(pair.dialer.session.unsentBytes >= SendBudget.freeBytes && pair.dialer.unsentStreamBytes == 0)
        // The node's budget has nothing left.
        let taken = try pair.dialer.write(patterned(1_000)[...], to: stream, takeChunk: { _ in false })
        #expect(taken == 1_000 && !pair.dialer.isShortOfBudget)
    }

    @Test func `windows do not grow into those of messages, and who waits to open hears of room`() throws {
        var limits = MuxLimits()
        limits.maxGrantedBytes = 6 * (256 << 10)
        var pair = Pair(Self.echo, limits)
        let streams = try (0..<4).map { _ in try pair.open("/echo") }
        let accepted = pair.carry().listener.accepted
        for channel in accepted { pair.listener.session.widen(channel.id, to: 1 << 20) }
        #expect(pair.listener.session.grantedBytes == 4 * (256 << 10))
        let waiting = try pair.dialer.open("/echo", at: pair.now)
        #expect(waiting == nil)
        let epoch = pair.dialer.openWaiters.epoch
        var buffer = WireBuffer()
        buffer.append(patterned(100))
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        #expect(try pair.listener.write(messages: buffer, at: pair.now))
        #expect(pair.carry().listener.messageBytes == 100)
        // A stream of messages goes one way: once its receiver has ended the other way, it takes no window.
        #expect(pair.dialer.openWaiters.epoch != epoch)
        let opened = try pair.dialer.open("/echo", at: pair.now)
        #expect(opened != nil && streams.count == 4)
    }

    @Test func `messages that cannot be sent any more are over when the other side has ended`() throws {
        var pair = Pair(Self.echo)
        var buffer = WireBuffer()
        buffer.append(patterned(700_000))
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        _ = pair.carry()
        _ = pair.dialer.endInput(.remoteClosed)
        _ = pair.carry()
        #expect(pair.messagesSent == 1)
        #expect(try !pair.dialer.write(messages: buffer, at: pair.now), "nor are any that come later")
    }

    @Test func `a side without messages refuses them, and they are dropped`() throws {
        // A second stream of messages is refused as a node does that does not know the name.
        var pair = Pair(Self.echo)
        let first = try pair.open(Multiplexed.messages)
        _ = pair.carry()
        #expect(first.isNegotiated)
        var buffer = WireBuffer()
        buffer.append(patterned(600_000))
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        let effects = pair.carry().dialer
        #expect(effects.messagesRefused?.code == .unsupported && effects.failure == nil)
        #expect(pair.messagesSent == 1)
        #expect(pair.dialer.areMessagesRefused && pair.dialer.unwritten.isEmpty)
        #expect(try !pair.dialer.write(messages: buffer, at: pair.now), "they are dropped from now on")
    }

    @Test func `a reset instead of an answer to the name of messages refuses them`() throws {
        var pair = Pair(Self.echo)
        var buffer = WireBuffer()
        buffer.append([1])
        _ = try pair.dialer.write(messages: buffer, at: pair.now)
        var effects = Channels.Effects()
        var output = WireBuffer()
        pair.dialer.takeFrames(into: &output, upTo: 100_000, at: pair.now)
        // A window update with the reset flag, for stream 1.
        pair.dialer.receive([0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0], at: pair.now, &effects)
        pair.dialer.settle(at: pair.now, &effects)
        #expect(effects.messagesRefused?.code == .unsupported && effects.failure == nil)
        #expect(pair.dialer.count == 0)
        #expect(try !pair.dialer.write(messages: buffer, at: pair.now), "they are dropped from now on")
    }

    @Test func `a reset of a stream of messages ends the connection`() throws {
        var pair = Pair(Self.echo)
        var buffer = WireBuffer()
        buffer.append([1])
        _ = try pair.dialer.write(messages: buffer, at: pair.now)
        _ = pair.carry()
        let messages = try #require(pair.dialer.all.first)
        pair.dialer.session.abort(messages.id)
        let failure = try #require(pair.carry().listener.failure)
        #expect(failure.code == .protocolViolation && failure.message.contains("its messages"))
    }

    @Test func `a new stream has room for a long header behind its name`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open(Multiplexed.stream)
        let opening = Multiplexed.opening(patterned(Multiplexed.longestHeaderAtOnce)[...])
        #expect(try pair.dialer.write(opening, to: stream) == opening.count)
    }

    @Test func `a header announces a stream`() throws {
        var pair = Pair(Channels.Rules(maxHeaderBytes: 100))
        let stream = try pair.open(Multiplexed.stream)
        _ = try pair.dialer.write((Multiplexed.prefix(ofHeader: 3) + [7, 8, 9, 1, 2])[...], to: stream)
        let announced = pair.carry().listener.announced
        #expect(announced.map { Array($0.header) } == [[7, 8, 9]])
        let body = try #require(pair.listener.channel(number: announced[0].stream))
        #expect(try pair.listener.read(body, upTo: 10, at: pair.now) == .bytes([1, 2]))

        let long = try pair.open(Multiplexed.stream)
        _ = try pair.dialer.write(Multiplexed.prefix(ofHeader: 101)[...], to: long)
        #expect(pair.carry().listener.announced.isEmpty)
        let thrown = #expect(throws: ParleyError.self) {
            try pair.dialer.read(long, upTo: 1, at: pair.now)
        }
        #expect(thrown?.code == .streamAborted)
    }

    @Test func `a header that has arrived in part is held`() throws {
        var pair = Pair(Channels.Rules(maxHeaderBytes: 200_000))
        let header = patterned(100_000)
        for isEnded in [true, false] {
            let stream = try pair.open(Multiplexed.stream)
            _ = try pair.dialer.write(Multiplexed.prefix(ofHeader: 100_000)[...], to: stream)
            _ = try pair.dialer.write(header[..<60_000], to: stream)
            #expect(pair.carry().listener.announced.isEmpty && pair.listener.heldBytes == 60_000)
            if isEnded {
                try pair.dialer.finish(stream).resume()
                #expect(pair.carry().listener.announced.isEmpty)
            } else {
                _ = try pair.dialer.write(header[60_000...], to: stream)
                let announced = try #require(pair.carry().listener.announced.first)
                #expect(same(Array(announced.header), header))
            }
            #expect(pair.listener.heldBytes == 0)
        }
    }

    @Test func `a stream that is closed before the answer is not reset for it`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = try pair.dialer.write([1], to: stream)
        _ = pair.dialer.close(stream, at: pair.now)
        let accepted = try #require(pair.carry().listener.accepted.first)
        #expect(try pair.listener.read(accepted, upTo: 9, at: pair.now) == .bytes([1]))
        #expect(try pair.listener.read(accepted, upTo: 9, at: pair.now) == .end)
        try pair.listener.finish(accepted).resume()
        _ = pair.carry()
        #expect(pair.dialer.count == 0 && pair.listener.count == 0)
    }

    @Test func `a stream that nobody refers to is reset, unless it is finished`() throws {
        for isFinished in [true, false] {
            var pair = Pair(Self.echo)
            let stream = try pair.open("/echo")
            _ = try pair.dialer.write([1], to: stream)
            let accepted = try #require(pair.carry().listener.accepted.first)
            if isFinished { try pair.dialer.finish(stream).resume() }
            _ = pair.dialer.abandon(stream, at: pair.now)
            _ = pair.carry()
            if isFinished {
                #expect(try pair.listener.read(accepted, upTo: 9, at: pair.now) == .bytes([1]))
                #expect(try pair.listener.read(accepted, upTo: 9, at: pair.now) == .end)
            } else {
                let thrown = #expect(throws: ParleyError.self) {
                    try pair.listener.read(accepted, upTo: 9, at: pair.now)
                }
                #expect(thrown?.code == .streamAborted)
            }
        }
    }

    @Test func `streams that the node has no room for are reset and counted`() throws {
        let places = Lock((taken: 0, given: 0))
        var rules = Self.echo
        rules.admits = {
            places.withLock { places in
                places.taken += 1
                return places.taken <= 1
            }
        }
        rules.removed = { places.withLock { $0.given += 1 } }
        var pair = Pair(rules)
        let (first, second) = try (pair.open("/echo"), pair.open("/echo"))
        let effects = pair.carry().listener
        #expect(effects.refused == [.tooManyStreams] && pair.listener.counters.refused.tooMany == 1)
        let thrown = #expect(throws: ParleyError.self) {
            try pair.dialer.read(second, upTo: 1, at: pair.now)
        }
        #expect(thrown?.code == .streamAborted)
        _ = pair.dialer.abort(first, code: 0, ParleyError(.closed, ""))
        _ = pair.carry()
        #expect(places.withLock { $0.given } == 1 && pair.listener.count == 0)
    }

    @Test func `streams that are opened and reset in one read give their places back`() {
        let places = Lock(0)
        var rules = Self.echo
        rules.admits = {
            places.withLock { $0 += 1 }
            return true
        }
        rules.removed = { places.withLock { $0 -= 1 } }
        var listener = Channels(isDialer: false, rules: rules)
        var effects = Channels.Effects()
        let ids = (0..<100 as Range<UInt32>).map { 2 * $0 + 1 }
        let block = ids.flatMap { update($0, 0, .syn) + update($0, 0, .rst) } + update(201, 0, .syn)
        listener.receive(block[...], at: 1_000_000_000, &effects)
        listener.settle(at: 1_000_000_000, &effects)
        #expect(effects.failure == nil && listener.counters.received == 101)
        #expect(listener.count == 1 && places.withLock { $0 } == 1)
    }

    @Test func `a block with many small frames is taken in parts, openings in smaller ones`() {
        let openings = (0..<100 as Range<UInt32>).flatMap { update(2 * $0 + 1, 0, .syn) }
        let updates = (0..<1_000).flatMap { _ in update(1, 1) }
        for (block, frames) in [(openings, 800), (update(1, 0, .syn) + updates, 1_008)] {
            var listener = Channels(isDialer: false)
            var effects = Channels.Effects()
            var (rest, parts) = (block[...], 0)
            while !rest.isEmpty, parts < frames {
                rest = listener.receive(rest, atMost: 80, at: 1_000_000_000, &effects)
                parts += 1
            }
            #expect(effects.failure == nil && parts == (frames + 79) / 80)
        }
    }

    @Test func `names that nobody speaks count as frames`() {
        var lines = WireBuffer()
        for name in [Multistream.header] + [String](repeating: "/no", count: 50) {
            Multistream.write(name, into: &lines)
        }
        let block = data(1, lines.contiguous, .syn) + data(3, lines.contiguous, .syn)
        var listener = Channels(isDialer: false)
        var effects = Channels.Effects()
        let rest = listener.receive(block[...], atMost: 50, at: 1_000_000_000, &effects)
        #expect(rest.count == block.count / 2 && listener.count == 1)
    }

    #if os(Linux)
        @Test func `an idle stream is small`() {
            let channel = Channel(MuxStreamID(id: 1, slot: 0), isOutbound: false, .open, at: 0)
            let bytes = malloc_usable_size(Unmanaged.passUnretained(channel).toOpaque())
            #expect(bytes <= 136, "with a place in the session it is at most 256")
            withExtendedLifetime(channel) {}
        }
    #endif

    @Test func `however many streams come before the first message, it has a place`() throws {
        var limits = MuxLimits()
        limits.maxRemoteStreams = 3
        var pair = Pair(Self.echo, limits)
        for _ in 0..<2 {
            _ = try pair.open("/echo")
            #expect(pair.carry().listener.refused.isEmpty)
        }
        let third = try pair.open("/echo")
        #expect(try pair.dialer.write(patterned(1_000)[...], to: third) == 1_000)
        let refusing = pair.carry()
        #expect(refusing.listener.refused == [.tooManyStreams] && refusing.listener.accepted.isEmpty)
        #expect(pair.listener.counters.refused.tooMany == 1 && pair.listener.heldBytes == 0)
        let thrown = #expect(throws: ParleyError.self) {
            try pair.dialer.read(third, upTo: 1, at: pair.now)
        }
        #expect(thrown?.code == .streamAborted)
        var buffer = WireBuffer()
        buffer.append([1, 2, 3])
        #expect(try pair.dialer.write(messages: buffer, at: pair.now))
        let effects = pair.carry()
        #expect(effects.listener.refused.isEmpty && effects.listener.messageBytes == 3)
        // The place is taken now, and the limit the same.
        _ = try pair.open("/echo")
        #expect(pair.carry().listener.refused == [.tooManyStreams])
    }

    /// What a listener does when a peer opens stream 1 and proposes `name`, with `rest` behind it.
    private func opened(
        _ name: String,
        _ rest: [UInt8],
        then frames: [UInt8] = [],
        _ rules: Channels.Rules = Channels.Rules()
    ) -> (listener: Channels, effects: Channels.Effects) {
        var lines = WireBuffer()
        for line in [Multistream.header, name] { Multistream.write(line, into: &lines) }
        let block = data(1, lines.contiguous + rest, .syn) + frames
        var listener = Channels(isDialer: false, rules: rules)
        var effects = Channels.Effects()
        listener.receive(block[...], at: 1_000_000_000, &effects)
        listener.settle(at: 1_000_000_000, &effects)
        return (listener, effects)
    }

    @Test func `a reset of the stream of messages is a violation`() {
        #expect(opened(Multiplexed.messages, [1, 2]).effects.failure == nil)
        let failure = opened(Multiplexed.messages, [1, 2], then: update(1, 0, .rst)).effects.failure
        #expect(failure?.code == .protocolViolation)
        #expect(failure?.message == "the remote side has reset the stream of its messages")
        #expect(opened(Multiplexed.stream, [], then: update(1, 0, .rst)).effects.failure == nil)
    }

    @Test func `a header is as long as the rules say, and no longer`() {
        let rules = Channels.Rules(maxHeaderBytes: 10)
        let ten = Multiplexed.prefix(ofHeader: 10) + patterned(10)
        #expect(opened(Multiplexed.stream, ten, rules).effects.announced.map(\.header.count) == [10])
        let eleven = Multiplexed.prefix(ofHeader: 11) + patterned(11)
        let (listener, effects) = opened(Multiplexed.stream, eleven, rules)
        #expect(effects.announced.isEmpty && effects.failure == nil)
        #expect(listener.count == 0 && listener.heldBytes == 0)
    }

    @Test func `a stream that was reset has its place as long as somebody has it`() throws {
        var limits = MuxLimits()
        limits.maxRemoteStreams = 2
        var pair = Pair(Self.echo, limits)
        var taken: [Channel] = []
        for _ in 0..<2 {
            let stream = try pair.open("/echo")
            let accepted = try #require(pair.carry().listener.accepted.first)
            pair.listener.retain(accepted)
            taken.append(accepted)
            _ = pair.dialer.abort(stream, code: 0, ParleyError(.closed, ""))
            _ = pair.carry()
        }
        #expect(pair.listener.count == 0 && pair.listener.taken == 2)
        _ = try pair.open("/echo")
        #expect(pair.carry().listener.refused == [.tooManyStreams])
        _ = pair.listener.release(taken[0], at: pair.now)
        _ = try pair.open("/echo")
        let effects = pair.carry().listener
        #expect(effects.refused.isEmpty && effects.accepted.count == 1 && pair.listener.taken == 1)
    }

    @Test func `writes take the node's budget, and give it back`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = pair.carry()
        let chunks = Lock(1)
        func take(_: Int) -> Bool {
            chunks.withLock { chunks in
                guard chunks > 0 else { return false }
                chunks -= 1
                return true
            }
        }
        let free = SendBudget.freeBytes + SendBudget.chunkBytes
        #expect(try pair.dialer.write(patterned(200_000)[...], to: stream, takeChunk: take) == free)
        #expect(pair.dialer.isShortOfBudget && pair.dialer.reservedBytes == free)
        #expect(try pair.dialer.write([1], to: stream, takeChunk: take) == 0)
        // In its turn it takes a chunk; a turn without one wakes nobody, who would only ask again.
        let epoch = stream.waiters.epoch
        let (none, stillShort) = pair.dialer.budgetHasRoom(takeChunk: take)
        #expect(none.count == 0 && stillShort == free, "it waits for another turn")
        #expect(pair.dialer.isShortOfBudget && stream.waiters.epoch == epoch)
        #expect(pair.dialer.budgetHasRoom { $0 == free }.stillShort == nil)
        #expect(!pair.dialer.isShortOfBudget && stream.waiters.epoch != epoch)
        // Until the writer has run, whatever else happens on the connection leaves it its chunk.
        var others = Channels.Effects()
        pair.dialer.settle(at: pair.now, &others)
        #expect(others.releasedBytes == 0)
        let unsent = pair.dialer.unsentStreamBytes
        _ = try #require(try pair.dialer.open("/echo", at: pair.now))
        let proposed = pair.dialer.unsentStreamBytes - unsent
        // Some ask for room before they write.
        #expect(try pair.dialer.room(for: 1, in: stream, takeChunk: take) == 1)
        pair.dialer.settle(at: pair.now, &others)
        #expect(others.releasedBytes == 0)
        #expect(pair.dialer.reservedBytes == free + SendBudget.chunkBytes)
        let written = try pair.dialer.write(patterned(200_000)[...], to: stream, takeChunk: take)
        #expect(proposed > 0 && written == 65_536 - proposed)
        let effects = pair.carry().dialer
        #expect(!pair.dialer.isShortOfBudget && effects.releasedBytes == 2 * SendBudget.chunkBytes)
        #expect(pair.dialer.reservedBytes == SendBudget.freeBytes)
        #expect(try pair.dialer.write([1], to: stream, takeChunk: take) == 1)
    }

    @Test func `reading one stream makes nothing younger that others hold`() throws {
        var pair = Pair(Self.echo)
        let (quiet, lively) = (try pair.open("/echo"), try pair.open("/echo"))
        _ = try pair.dialer.write(patterned(100_000)[...], to: quiet)
        let accepted = pair.carry().listener.accepted
        #expect(accepted.count == 2)
        for _ in 0..<10 {
            pair.now += 1_000_000_000
            _ = try pair.dialer.write([1], to: lively)
            _ = pair.carry()
            #expect(try pair.listener.read(accepted[1], upTo: 1, at: pair.now) == .bytes([1]))
        }
        let (weight, held) = (pair.listener.weight(at: pair.now / 1_000_000), UInt64(100_000 * 10_000))
        #expect(weight > held && weight < held + 200_000)
    }

    @Test func `a chunk whose writer has gone is given back when everything is sent`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = pair.carry()
        _ = try pair.dialer.write(patterned(200_000)[...], to: stream) { _ in false }
        #expect(pair.dialer.isShortOfBudget)
        #expect(pair.dialer.budgetHasRoom { _ in true }.stillShort == nil)
        #expect(pair.carry().dialer.releasedBytes == SendBudget.chunkBytes)
        #expect(pair.dialer.reservedBytes == SendBudget.freeBytes)
    }

    @Test func `a connection with nothing to send keeps nothing of the node's budget`() throws {
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = pair.carry()
        #expect(try pair.dialer.write(patterned(200_000)[...], to: stream) == 200_000)
        var effects = Channels.Effects()
        // It drains in pieces.
        while pair.dialer.session.hasFrames {
            var output = WireBuffer()
            pair.dialer.takeFrames(into: &output, upTo: 65_536, at: pair.now)
            pair.dialer.settle(at: pair.now, &effects)
        }
        #expect(pair.dialer.reservedBytes == SendBudget.freeBytes)
    }

    @Test func `the time-outs of streams`() throws {
        let limits = Channels.TimeLimits(negotiation: 100, unread: 1_000, write: 500)
        var pair = Pair(Self.echo)
        var effects = Channels.Effects()
        let start = pair.now / 1_000_000
        // The other side never answers.
        let silent = try pair.open("/echo")
        #expect(pair.dialer.checkTimeouts(at: start + 99, limits, &effects) == start + 100)
        #expect(pair.dialer.checkTimeouts(at: start + 100, limits, &effects) == .max)
        let thrown = #expect(throws: ParleyError.self) {
            try pair.dialer.read(silent, upTo: 1, at: pair.now)
        }
        #expect(thrown?.code == .timedOut)

        // An open stream may be silent for ever, but not unread.
        pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        let accepted = try #require(pair.carry().listener.accepted.first)
        #expect(pair.listener.checkTimeouts(at: start + 1_000_000, limits, &effects) == .max)
        pair.now += 1_000_000_000
        _ = try pair.dialer.write([1], to: stream)
        _ = pair.carry()
        #expect(pair.listener.checkTimeouts(at: start + 1_999, limits, &effects) == start + 2_000)
        #expect(pair.listener.checkTimeouts(at: start + 2_000, limits, &effects) == .max)
        #expect(throws: ParleyError.self) { try pair.listener.read(accepted, upTo: 1, at: pair.now) }
        #expect(pair.listener.heldBytes == 0)
    }

    @Test func `what was put back is not unread: its reader waits for more`() throws {
        let limits = Channels.TimeLimits(negotiation: 100, unread: 1_000)
        var pair = Pair(Self.echo)
        var effects = Channels.Effects()
        let start = pair.now / 1_000_000
        let stream = try pair.open("/echo")
        _ = try pair.dialer.write([1, 2], to: stream)
        let accepted = pair.carry().listener.accepted[0]
        #expect(try pair.listener.read(accepted, upTo: 9, at: pair.now) == .bytes([1, 2]))
        pair.listener.putBack([1, 2], to: accepted, at: pair.now)
        #expect(!pair.listener.isReadable(accepted))
        #expect(pair.listener.checkTimeouts(at: start + 1_000_000, limits, &effects) == .max)
        pair.now += 5_000_000_000
        _ = try pair.dialer.write([3], to: stream)
        _ = pair.carry()
        #expect(pair.listener.isReadable(accepted))
        #expect(pair.listener.checkTimeouts(at: start + 5_000, limits, &effects) == start + 6_000)
    }

    @Test func `a header that goes on has the time that it takes, and one that stops has not`() throws {
        let limits = Channels.TimeLimits(negotiation: 100, header: 1_000, leastBytesPerSecond: 10)
        var pair = Pair(Channels.Rules(maxHeaderBytes: 200))
        var effects = Channels.Effects()
        let start = pair.now / 1_000_000
        let stream = try pair.open(Multiplexed.stream)
        var opening = Multiplexed.opening(patterned(100)[...])[...]
        /// Sends `count` more bytes, at the listener's first look after `milliseconds`.
        func arrive(_ count: Int, after milliseconds: UInt64) throws -> UInt64 {
            _ = try pair.dialer.write(opening.prefix(count), to: stream)
            opening.removeFirst(count)
            _ = pair.carry()
            pair.now = (start + milliseconds) * 1_000_000
            return pair.listener.checkTimeouts(at: start + milliseconds, limits, &effects)
        }
        #expect(try arrive(14, after: 999) == start + 1_000)
        #expect(try arrive(1, after: 1_000) == start + 2_000, "10 bytes and more have come in a second")
        #expect(try arrive(10, after: 2_000) == start + 3_000)
        #expect(try arrive(9, after: 3_000) == .max, "that is too little")
        _ = pair.carry()
        let thrown = #expect(throws: ParleyError.self) {
            try pair.dialer.read(stream, upTo: 1, at: pair.now)
        }
        #expect(thrown?.code == .streamAborted && pair.listener.heldBytes == 0)
    }

    @Test func `a stream that was only written has its time from when it is closed`() throws {
        let limits = Channels.TimeLimits(negotiation: 100, unread: 1_000)
        var pair = Pair(Self.echo)
        var effects = Channels.Effects()
        let start = pair.now / 1_000_000
        let stream = try pair.open("/echo")
        let accepted = try #require(pair.carry().listener.accepted.first)
        pair.now += 5_000_000_000
        #expect(try pair.dialer.write(patterned(100)[...], to: stream) == 100)
        _ = pair.dialer.close(stream, at: pair.now)
        #expect(pair.dialer.checkTimeouts(at: start + 5_001, limits, &effects) == start + 6_000)
        // Some of it has left since, so it has as long again; then no more does.
        _ = pair.carry()
        #expect(pair.dialer.checkTimeouts(at: start + 6_000, limits, &effects) == start + 7_000)
        #expect(same(try read(&pair.listener, accepted, at: pair.now), patterned(100)))
        #expect(pair.dialer.checkTimeouts(at: start + 7_000, limits, &effects) == .max)
        #expect(pair.dialer.count == 1)
        _ = pair.carry()
        #expect(pair.dialer.count == 0, "the other side did not end it")
    }

    /// Reads a stream to its end.
    private func read(_ side: inout Channels, _ channel: Channel, at now: UInt64) throws -> [UInt8] {
        var all: [UInt8] = []
        while case .bytes(let bytes) = try side.read(channel, upTo: 1_000, at: now) { all += bytes }
        #expect(try side.read(channel, upTo: 1, at: now) == .end)
        return all
    }

    @Test func `a stream that an RPC has announced may be answered for as long as that takes`() throws {
        let limits = Channels.TimeLimits(negotiation: 100, unread: 1_000)
        var pair = Pair(Channels.Rules(maxHeaderBytes: 200))
        var effects = Channels.Effects()
        let start = pair.now / 1_000_000
        let streams = try (0..<2).map { _ in try pair.open(Multiplexed.stream) }
        for stream in streams { _ = try pair.dialer.write(Multiplexed.opening([7])[...], to: stream) }
        let announced = pair.carry().listener.announced
        #expect(announced.count == 2)
        let taken = pair.listener.takeBody(announced[0].stream, at: pair.now)
        let body = try #require(taken)
        let unread = try #require(pair.listener.channel(number: announced[1].stream))
        #expect(pair.listener.checkTimeouts(at: start + 1_000, limits, &effects) == .max)
        #expect(try pair.listener.write([1], to: body) == 1)
        #expect(unread.outputEnd?.error.code == .timedOut)
    }

    @Test func `the end of the connection, by what still goes on`() throws {
        let reason = ParleyError(.connectionReset, "gone")
        for what in [Channels.Ending.output, .both, .bothAtOnce] {
            var pair = Pair(Self.echo)
            let stream = try pair.open("/echo")
            _ = try pair.dialer.write([1, 2], to: stream)
            let accepted = try #require(pair.carry().listener.accepted.first)
            _ = pair.listener.end(reason, what)
            #expect(throws: reason) { try pair.listener.write([1], to: accepted) }
            #expect(throws: reason) { try pair.listener.open("/echo", at: pair.now) }
            if case .bothAtOnce = what {
                #expect(throws: reason) { try pair.listener.read(accepted, upTo: 9, at: pair.now) }
                continue
            }
            #expect(try pair.listener.read(accepted, upTo: 9, at: pair.now) == .bytes([1, 2]))
            if case .output = what {
                #expect(try pair.listener.read(accepted, upTo: 9, at: pair.now) == .wait)
            } else {
                #expect(throws: reason) { try pair.listener.read(accepted, upTo: 9, at: pair.now) }
            }
        }
        var pair = Pair(Self.echo)
        let stream = try pair.open("/echo")
        _ = pair.carry()
        _ = pair.dialer.endInput(ParleyError(.endOfStream, "closed"))
        let thrown = #expect(throws: ParleyError.self) {
            try pair.dialer.read(stream, upTo: 1, at: pair.now)
        }
        #expect(thrown?.code == .truncated)
    }

    @Test func `a side that has gone inside a stream is no longer written to`() throws {
        var pair = Pair(Self.echo)
        let streams = try (0..<2).map { _ in try pair.open("/echo") }
        let accepted = pair.carry().listener.accepted
        try pair.dialer.finish(streams[0]).resume()
        _ = pair.carry()
        pair.listener.endInput(.remoteClosed).resume()
        #expect(try pair.listener.read(accepted[0], upTo: 1, at: pair.now) == .end)
        #expect(try pair.listener.write([1], to: accepted[0]) == 1)
        let cut = ParleyError(.truncated, "the connection ended inside a stream")
        #expect(throws: cut) { try pair.listener.read(accepted[1], upTo: 1, at: pair.now) }
        #expect(throws: cut) { try pair.listener.write([1], to: accepted[1]) }
    }

    @Test func `a broken frame ends the session, and says so`() throws {
        var pair = Pair(Self.echo)
        var effects = Channels.Effects()
        pair.listener.receive([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9], at: pair.now, &effects)
        #expect(effects.failure?.code == .protocolViolation)
        var output = WireBuffer()
        pair.listener.takeFrames(into: &output, upTo: 100, at: pair.now)
        #expect(output.count == YamuxHeader.byteCount)
    }
}

extension [UInt8] {
    /// Itself in pieces of different lengths.
    fileprivate var pieces: [ArraySlice<UInt8>] {
        var (pieces, rest, length) = ([ArraySlice<UInt8>](), self[...], 1)
        while !rest.isEmpty {
            pieces.append(rest.prefix(length))
            rest = rest.dropFirst(length)
            length = length * 7 % 65_521
        }
        return pieces
    }
}

extension Channels {
    /// How many bytes a write would accept, whatever the node's budget.
    fileprivate func room(in channel: Channel) -> Int {
        channel.outputEnd == nil ? session.room(in: channel.id) : 0
    }
}
