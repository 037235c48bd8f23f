import Testing

@testable import Parley

/// A single message goes past the queue to a consumer that is suspended or blocked.
@Suite(.timeLimit(.minutes(10))) struct HandOverTests {
    private let inbox = Inbox(capacity: 100)

    private var queue: InboxQueue { inbox.queues[0] }

    /// Offers messages of one byte that arrived together. Returns whether one was handed over: all of the
    /// room is left then.
    @discardableResult
    private func offer(_ bytes: UInt8...) -> Bool {
        var decoded = DecodedRuns()
        for byte in bytes { decoded.append([byte], .messages) }
        return inbox.offer(&decoded, from: NoPeer(), to: 0).rpcs == inbox.capacity
    }

    private func untilConsumersWait(_ count: Int) async throws {
        try await eventually { queue.state.withLock { $0.consumers.count } == count }
    }

    @Test func `a consumer that waits is handed a single message`() async throws {
        let consumer = Task { await inbox.next()?.payload }
        try await untilConsumersWait(1)
        #expect(offer(7))
        #expect(inbox.depth == (0, 0))
        #expect(await consumer.value == [7])
    }

    @Test func `what it was handed is its own, also when the end comes before it runs`() async throws {
        let consumer = Task { await inbox.next()?.payload }
        try await untilConsumersWait(1)
        #expect(offer(7))
        inbox.finish()
        #expect(await inbox.next() == nil)
        #expect(await consumer.value == [7])
    }

    @Test func `the consumer that waits longest is handed the first message`() async throws {
        let first = Task { await inbox.next()?.payload }
        try await untilConsumersWait(1)
        let second = Task { await inbox.next()?.payload }
        try await untilConsumersWait(2)
        #expect(offer(1) && offer(2))
        #expect(!offer(3), "nobody waits for it")
        #expect(await first.value == [1])
        #expect(await second.value == [2])
        #expect(await inbox.next()?.payload == [3])
    }

    @Test func `several messages, and those for a consumer of batches, go through the queue`() async throws {
        let one = Task { await inbox.next()?.payload }
        try await untilConsumersWait(1)
        #expect(!offer(1, 2))
        #expect(await one.value == [1])
        #expect(await inbox.next()?.payload == [2])
        let batch = Task { await inbox.nextBatch()?.map { Array($0.payload) } }
        try await untilConsumersWait(1)
        #expect(!offer(3))
        #expect(await batch.value == [[3]])
    }

    /// Takes one batch of at most five in a thread, which may block until `deadline`. Gives the bytes; nil
    /// when its time was over.
    private func batch(until deadline: MonotonicTime?) throws -> Events<[UInt8]?> {
        let taken = Events<[UInt8]?>()
        let status = LibraryThread.start("parley test") { [inbox] in
            do {
                guard let rpcs = try inbox.next(atMost: 5, .until(deadline)) else { return taken.add(nil) }
                taken.add(RPCBatch(rpcs).map { $0.payload.first! })
            } catch { taken.add(nil) }
        }
        try #require(status == 0)
        return taken
    }

    @Test func `a blocked thread is handed a single message`() async throws {
        let taken = try batch(until: nil)
        try await untilConsumersWait(1)
        #expect(offer(1))
        #expect(try await taken.next() == [1])
        #expect(inbox.depth == (0, 0))
    }

    @Test func `a blocked thread takes several messages from the queue`() async throws {
        let taken = try batch(until: nil)
        try await untilConsumersWait(1)
        #expect(!offer(1, 2))
        #expect(try await taken.next() == [1, 2])
    }

    @Test func `a thread whose time is over meanwhile loses nothing`() async throws {
        for round in 0..<300 {
            let taken = try batch(until: .now + .microseconds(round % 100 * 5))
            if round % 2 == 0 { await Task.yield() }
            let wasHanded = offer(9)
            let bytes = try await taken.next()
            #expect(!wasHanded || bytes == [9])
            if bytes == nil { #expect(await inbox.next()?.payload == [9]) }
        }
        #expect(inbox.depth == (0, 0))
    }

    @Test func `a queue that is not empty keeps its order`() async throws {
        let consumer = Task {
            var bytes: [UInt8] = []
            var rpcs = RPCSequence(inbox).makeAsyncIterator()
            while let rpc = await rpcs.next() { bytes.append(rpc.payload.first!) }
            return bytes
        }
        for byte in UInt8.min...UInt8.max {
            if byte % 16 == 0 { try await untilConsumersWait(1) }
            offer(byte)
        }
        inbox.finish()
        #expect(await consumer.value == Array(UInt8.min...UInt8.max))
    }

    @Test func `a consumer that is cancelled meanwhile loses nothing`() async throws {
        for round in 0..<500 {
            let consumer = Task { await inbox.next()?.payload }
            if round % 2 == 0 { try await untilConsumersWait(1) }
            async let isHanded = offer(9)
            consumer.cancel()
            let wasHanded = await isHanded
            let taken = await consumer.value
            #expect(!wasHanded || taken == [9])
            if taken == nil { #expect(await inbox.next()?.payload == [9]) }
        }
        #expect(inbox.depth == (0, 0))
    }
}
