import Testing

@testable import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite(.timeLimit(.minutes(10))) struct InboxTests {
    private func rpcs(_ values: Range<UInt8>) -> [RPC] { values.map { RPC(peer: NoPeer(), payload: [$0]) } }

    @Test func `RPCs come out in order, singly or in batches`() async {
        let inbox = Inbox(capacity: 8)
        inbox.offer(rpcs(0..<5))
        #expect(await inbox.next()?.payload == [0])
        #expect(await inbox.nextBatch()?.map { $0.payload[0] } == [1, 2, 3, 4])
        inbox.finish()
        #expect(await inbox.next() == nil)
        #expect(await inbox.nextBatch() == nil)
    }

    @Test(.timeLimit(.minutes(1)), arguments: [1, 3])
    func `RPCs left at finish are consumed before the end`(queues: Int) async {
        let inbox = Inbox(capacity: 24, capacityBytes: .max, queues: queues)
        inbox.offer(rpcs(0..<2))
        inbox.finish()
        inbox.offer(rpcs(5..<6))
        #expect(await inbox.next()?.payload == [0])
        #expect(await inbox.next()?.payload == [1])
        #expect(await inbox.next() == nil)
    }

    @Test func `producers are called when half of the capacity is free`() async {
        let inbox = Inbox(capacity: 4)
        let called = Lock(0)
        #expect(inbox.offer(rpcs(0..<4)) == 0)
        inbox.whenSpace { called.withLock { $0 += 1 } }
        _ = await inbox.next()
        #expect(called.withLock { $0 } == 0)
        _ = await inbox.next()
        #expect(called.withLock { $0 } == 1)
        #expect(inbox.space == 2)
        _ = await inbox.nextBatch()
        #expect(called.withLock { $0 } == 1, "once")
    }

    @Test func `producers that are called together divide the space`() async {
        let inbox = Inbox(capacity: 16)
        let queue = inbox.queues[0]
        inbox.offer(rpcs(0..<16))
        #expect(queue.room.share.rpcs == 0)
        for _ in 0..<3 { inbox.whenSpace {} }
        for _ in 0..<8 { _ = await inbox.next() }
        #expect(queue.room.share.rpcs == 2, "the three, and this one")
        #expect(queue.takeTurn().share.rpcs == 2)
        #expect(queue.takeTurn().share.rpcs == 4, "two are left")
        inbox.offer(rpcs(0..<7))
        #expect(queue.takeTurn().share.rpcs == 1)
        #expect(queue.room.share.rpcs == 1)
    }

    @Test func `payload bytes are bounded, and one RPC may exceed the bound`() async {
        let inbox = Inbox(capacity: 100, capacityBytes: 10)
        #expect(inbox.offer([RPC(peer: NoPeer(), payload: patterned(30)[...])]) == 0)
        #expect(inbox.space == 0)
        _ = await inbox.next()
        #expect(inbox.space == 100)
    }

    @Test func `producers are called when half of the bytes are free`() async {
        let inbox = Inbox(capacity: 100, capacityBytes: 100)
        let called = Lock(0)
        inbox.offer((0..<4).map { _ in RPC(peer: NoPeer(), payload: patterned(30)[...]) })
        inbox.whenSpace { called.withLock { $0 += 1 } }
        for left in [3, 2] {
            _ = await inbox.next()
            #expect(called.withLock { $0 } == 0, "\(left * 30) bytes are left")
        }
        _ = await inbox.next()
        #expect(called.withLock { $0 } == 1)
    }

    @Test(arguments: [1, 2, 3, 5, 7, 100])
    func `messages that arrived together are taken in parts of any size`(limit: Int) throws {
        let inbox = Inbox(capacity: 100)
        var decoded = DecodedRuns()
        for run in 0..<3 {
            let block = (0..<10).map { UInt8(10 * run + $0) }
            // Each message is one byte. The byte behind it belongs to no message.
            decoded.foundBounds = (0..<5).map { 2 * $0..<2 * $0 + 1 }
            let isInside = decoded.appendFound(in: block[...])
            #expect(isInside)
        }
        _ = inbox.offer(&decoded, from: NoPeer(), to: 0)
        var taken: [UInt8] = []
        while taken.count < 15 {
            let batch = try #require(try inbox.nextBatch(atMost: limit))
            #expect(batch.count == min(limit, 15 - taken.count))
            #expect(inbox.depth == (15 - taken.count - batch.count, 15 - taken.count - batch.count))
            let payloads = batch.map { Array($0.payload) }
            #expect(payloads.count == batch.count)
            taken += payloads.joined()
        }
        #expect(taken == (0..<15).map { UInt8(2 * $0) })
        #expect(throws: ParleyError.self) { try inbox.nextBatch(atMost: limit) }
    }

    @Test(arguments: [1, 2])
    func `on a loop's thread, too, the end is told instead of a wait that would deadlock`(queues: Int) async {
        let loop = EventLoop()
        let inbox = Inbox(capacity: 8, capacityBytes: .max, queues: queues)
        inbox.finish()
        let taken: Result<Int?, any Error> = await withCheckedContinuation { continuation in
            loop.execute {
                continuation.resume(
                    returning: Result { try inbox.nextBatch(atMost: 1, .until(nil))?.count }
                )
            }
        }
        #expect(throws: Never.self) { try #expect(taken.get() == nil) }
        await loop.stop()
    }

    @Test func `a finished inbox has space, so that producers do not wait`() {
        let inbox = Inbox(capacity: 1)
        #expect(inbox.offer(rpcs(0..<1)) == 0)
        inbox.finish()
        #expect(inbox.space == 1)
    }

    @Test func `an inbox that never becomes empty does not grow`() async {
        let inbox = Inbox(capacity: 8)
        inbox.offer(rpcs(0..<1))
        for _ in 0..<50_000 {
            inbox.offer(rpcs(0..<1))
            _ = await inbox.next()
        }
        #expect(inbox.queues[0].placesHeld < 4_096)
    }

    @Test(arguments: [1, 3]) func `many consumers get each RPC exactly once`(queues: Int) async {
        let total = 10_000
        let inbox = Inbox(capacity: queues * total, capacityBytes: .max, queues: queues)
        let sums = await withTaskGroup(of: [Int].self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var values: [Int] = []
                    while let rpc = await inbox.next() {
                        values.append(Int(rpc.payload[0]) << 8 | Int(rpc.payload[1]))
                    }
                    return values
                }
            }
            for value in 0..<total {
                let rpc = RPC(peer: NoPeer(), payload: [UInt8(value >> 8), UInt8(value & 255)])
                inbox.offer([rpc], to: value % queues)
            }
            inbox.finish()
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(sums.sorted() == Array(0..<total))
    }

    @Test func `a cancelled consumer ends without taking an RPC`() async {
        let inbox = Inbox(capacity: 4)
        let cancelled = Task { await inbox.next() }
        let other = Task { await inbox.next() }
        cancelled.cancel()
        #expect(await cancelled.value == nil)
        inbox.offer(rpcs(7..<8))
        #expect(await other.value?.payload == [7])
    }

    @Test(arguments: [1, 2]) func `concurrent cancelling and offering loses no RPC`(queues: Int) async {
        for _ in 0..<2_000 {
            let inbox = Inbox(capacity: 4, capacityBytes: .max, queues: queues)
            let consumer = Task { await inbox.next() }
            async let offered: InboxRoom = inbox.offer(rpcs(1..<2), to: queues - 1)
            consumer.cancel()
            _ = await offered
            if await consumer.value == nil { #expect(await inbox.next()?.payload == [1]) }
        }
    }

    // MARK: Several queues

    @Test func `an RPC in any queue, or the end, wakes a waiting consumer`() async throws {
        let inbox = Inbox(capacity: 8, capacityBytes: .max, queues: 3)
        for index in [2, 0, 1] {
            let consumer = Task { await inbox.next() }
            inbox.offer(rpcs(UInt8(index)..<UInt8(index + 1)), to: index)
            #expect(await consumer.value?.payload == [UInt8(index)])
            async let taken = offPool {
                try? inbox.nextBatch(atMost: 8, .until(nil))?.map { $0.payload[0] }
            }
            inbox.offer(rpcs(7..<8), to: index)
            #expect(await taken == [7])
        }
        let last = Task { await inbox.next() }
        inbox.finish()
        #expect(await last.value == nil)
        #expect(try inbox.nextBatch(atMost: 1, .until(nil)) == nil)
    }

    @Test func `a queue that is always full does not starve another queue`() async {
        let inbox = Inbox(capacity: 8, capacityBytes: .max, queues: 2)
        inbox.offer(rpcs(0..<1), to: 0)
        _ = await inbox.next()
        inbox.offer(rpcs(7..<8), to: 1)
        var taken = 0
        repeat {
            inbox.offer(rpcs(0..<1), to: 0)
            taken += 1
        } while await inbox.next()?.payload == [0] && taken < 10_000
        #expect(taken <= Inbox.longestStay + 1)
    }

    @Test func `a consumer of one queue takes only its RPCs, and a consumer of all takes the rest`() async {
        let inbox = Inbox(capacity: 8, capacityBytes: .max, queues: 2)
        let own = Task {
            var iterator = RPCSequence(inbox.queues[1]).makeAsyncIterator()
            return (await iterator.next()?.payload, await iterator.next()?.payload, await iterator.next())
        }
        let anybody = Task { await inbox.next()?.payload }
        inbox.offer(rpcs(0..<1), to: 0)
        #expect(await anybody.value == [0])
        inbox.offer(rpcs(0..<3), to: 0)
        inbox.offer(rpcs(7..<9), to: 1)
        inbox.finish()
        let (first, second, end) = await own.value
        #expect(first == [7] && second == [8] && end == nil)
        #expect(await inbox.nextBatch()?.map { $0.payload[0] } == [0, 1, 2])
        #expect(await inbox.nextBatch() == nil)
    }

    @Test func `a wake-up whose RPC another consumer took wakes the next consumer`() async throws {
        let loop = EventLoop()
        let inbox = Inbox(capacity: 8, capacityBytes: .max, queues: 2)
        let own = Task(executorPreference: loop) {
            var iterator = RPCSequence(inbox.queues[0]).makeAsyncIterator()
            return await iterator.next()?.payload
        }
        let others = (0..<2).map { _ in Task { await inbox.next()?.payload } }
        // The first consumer waits by then. Its loop is blocked until the others are done.
        let held = await HeldLoop(loop)
        defer { held.letGo() }
        try await eventually { inbox.waitingConsumers == 2 }
        inbox.offer(rpcs(0..<1), to: 0)
        inbox.offer(rpcs(1..<2), to: 1)
        // One of the two was woken for the second RPC and took the first.
        var taken = Set<UInt8>()
        for other in others { if let payload = await other.value { taken.formUnion(payload) } }
        #expect(taken == [0, 1])
        held.letGo()
        inbox.finish()
        #expect(await own.value == nil)
        await loop.stop()
    }

    @Test func `a consumer of all loops leaves its own loop time for other work`() async throws {
        let loop = EventLoop()
        let inbox = Inbox(capacity: 8, capacityBytes: .max, queues: 2)
        let (hasBegun, isOver) = (Lock(false), Lock(false))
        let consuming = Task(executorPreference: loop) {
            // There is always one more RPC, as when another loop is faster.
            repeat {
                inbox.offer(rpcs(0..<1), to: 1)
                hasBegun.withLock { $0 = true }
            } while await inbox.next() != nil && !isOver.withLock { $0 }
        }
        try await eventually { hasBegun.withLock { $0 } }
        loop.execute { isOver.withLock { $0 = true } }
        await consuming.value
        await loop.stop()
    }

    @Test func `the descriptor is readable while an RPC waits in any queue`() throws {
        let inbox = Inbox(capacity: 8, capacityBytes: .max, queues: 2)
        inbox.offer(rpcs(0..<1), to: 1)
        let descriptor = try inbox.pollableDescriptor()
        #expect(isReadable(descriptor))
        inbox.offer(rpcs(0..<1), to: 0)
        _ = try inbox.nextBatch(atMost: 1)
        #expect(isReadable(descriptor))
        _ = try inbox.nextBatch(atMost: 1)
        #expect(!isReadable(descriptor))
        inbox.finish()
        #expect(isReadable(descriptor))
    }
}

/// Whether poll(2) would return at once.
private func isReadable(_ descriptor: Int32) -> Bool {
    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&watched, 1, 0) == 1
}

/// A peer for RPCs.
final class NoPeer: Peer {
    let isOutbound = false
    let localAddress = SocketAddress(host: "", port: 0)
    let remoteAddress = SocketAddress(host: "nobody", port: 1)
    func trySend(_ bytes: ArraySlice<UInt8>) throws(ParleyError) -> Bool { true }
    func trySend(message: ArraySlice<UInt8>) throws(ParleyError) -> Bool { true }
    func sendWhenPossible(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {}
    func sendWhenPossible(message: ArraySlice<UInt8>) async throws(ParleyError) {}
    func openStream(header: ArraySlice<UInt8>) async throws(ParleyError) -> any StreamWriter {
        throw ParleyError(.unsupported, "no streams")
    }
    func read(upTo count: Int) async throws(ParleyError) -> ArraySlice<UInt8>? { nil }
    func read(exactly count: Int) async throws(ParleyError) -> ArraySlice<UInt8> { [] }
    func closeStream() {}
    func close() async {}
    func setDeadline(_ deadline: ContinuousClock.Instant?) {}
    func setReadDeadline(_ deadline: ContinuousClock.Instant?) {}
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?) {}

    /// The replies to its requests, each behind the request's number.
    let replies = Events<ArraySlice<UInt8>>()

    func reply(to request: UInt32, with message: ArraySlice<UInt8>) async throws(ParleyError) {
        replies.add([UInt8(request)] + message)
    }
}

extension Inbox {
    /// What ``next(atMost:_:)`` takes, as a collection.
    fileprivate func nextBatch(atMost limit: Int, _ wait: WaitLimit = .none) throws -> RPCBatch? {
        guard let taken = try next(atMost: limit, wait) else { return nil }
        return RPCBatch(taken)
    }
}
