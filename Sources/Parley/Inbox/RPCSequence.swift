/// The RPCs of a transport's peers, one at a time: `for await rpc in transport.consume()`.
///
/// Any number of tasks may iterate. Each RPC goes to one of them: one that arrives while tasks wait may
/// belong at once to the task that has waited longest. The sequence ends when the transport is closed and
/// everything in the inbox is consumed, or when the task is cancelled.
public struct RPCSequence: AsyncSequence, Sendable {
    let source: RPCSource

    /// Makes the sequence of an inbox's RPCs, for transports of your own.
    public init(_ inbox: Inbox) { source = RPCSource(inbox) }

    /// Makes the sequence of one queue's RPCs.
    init(_ queue: InboxQueue) { source = RPCSource(queue) }

    /// The same RPCs in batches. Each batch holds what has arrived since the last one; it costs one wait for
    /// many messages.
    public var batches: RPCBatches { RPCBatches(source: source) }

    /// Waits until nothing more can arrive: the transport is closed. Takes nothing. Returns at once when the
    /// task is cancelled.
    package func untilFinished() async { await source.queue.untilFinished() }

    /// Makes an iterator. The iterators of one sequence share its RPCs.
    public func makeAsyncIterator() -> Iterator { Iterator(source: source) }

    /// Takes one RPC at a time from the inbox.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let source: RPCSource
        @usableFromInline let hand = ConsumerHand()

        init(source: RPCSource) { self.source = source }

        // Inlined into the caller, and run where the caller runs, whatever `actor` is. When an RPC waits
        // already, no asynchronous function is called and no executor is involved.

        /// Waits for the next RPC; nil at the end or when the task is cancelled.
        @inlinable @inline(__always)
        public mutating func next() async -> RPC? {
            if let rpc = hand.takeOpen() { return rpc }
            if let rpc = source.takeNext(into: hand, mayWork: isNonisolated()) { return rpc }
            return await source.waitForNext(into: hand)
        }

        /// Waits for the next RPC; nil at the end or when the task is cancelled.
        @inlinable @inline(__always)
        public mutating func next(isolation actor: (any Actor)?) async throws(Never) -> RPC? {
            if let rpc = hand.takeOpen() { return rpc }
            if let rpc = source.takeNext(into: hand, mayWork: isNonisolated()) { return rpc }
            return await source.waitForNext(into: hand)
        }
    }
}

/// The RPCs of a transport's peers, in batches that are never empty; see ``RPCSequence/batches``.
public struct RPCBatches: AsyncSequence, Sendable {
    let source: RPCSource

    /// Makes an iterator. The iterators of one sequence share its RPCs.
    public func makeAsyncIterator() -> Iterator { Iterator(source: source) }

    /// Takes all waiting RPCs from the inbox at a time.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let source: RPCSource
        @usableFromInline let hand = ConsumerHand()

        init(source: RPCSource) { self.source = source }

        /// Waits for the next batch; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next() async -> RPCBatch? {
            if let batch = source.takeBatch(into: hand, mayWork: isNonisolated()) { return batch }
            return await source.waitForBatch(into: hand)
        }

        /// Waits for the next batch; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next(isolation actor: (any Actor)?) async throws(Never) -> RPCBatch? {
            if let batch = source.takeBatch(into: hand, mayWork: isNonisolated()) { return batch }
            return await source.waitForBatch(into: hand)
        }
    }
}

/// Where a consumer takes RPCs: one queue, or all queues of an inbox.
@usableFromInline
struct RPCSource: Sendable {
    /// The queue, when `all` is nil.
    let queue: InboxQueue
    /// The inbox, when it has several queues.
    let all: Inbox?

    init(_ queue: InboxQueue) {
        self.queue = queue
        all = nil
    }

    init(_ inbox: Inbox) {
        queue = inbox.queues[0]
        all = inbox.single == nil ? inbox : nil
    }

    /// The queues from which it takes.
    var queues: [InboxQueue] { all?.queues ?? [queue] }

    // In a forked child the sequence is over: its producers are gone.

    @usableFromInline
    func takeNext(into hand: ConsumerHand, mayWork: Bool) -> RPC? {
        if ForkedChild.isThisProcess { return nil }
        if let rpc = takeFromQueue(into: hand) { return rpc }
        return mayWork && all == nil ? workForNext(into: hand) : nil
    }

    private func workForNext(into hand: ConsumerHand) -> RPC? {
        guard let loop = EventLoop.working else { return nil }
        hand.letGo()
        let rpc = queue.workForNext(on: loop)
        if let rpc { hand.take(rpc) }
        return rpc
    }

    private func takeFromQueue(into hand: ConsumerHand) -> RPC? {
        var run: OpenRun?
        guard let rpc = all == nil ? queue.takeNext(opening: &run) : all?.takeNext() else { return nil }
        hand.hold(run)
        hand.take(rpc)
        return rpc
    }

    @usableFromInline
    func waitForNext(into hand: ConsumerHand) async -> RPC? {
        if ForkedChild.isThisProcess { return nil }
        hand.letGo()
        guard all == nil else {
            guard let rpc = await all?.waitForNext() else { return nil }
            hand.take(rpc)
            return rpc
        }
        guard let rpc = await queue.waitForNext(with: hand) else { return nil }
        hand.take(rpc)
        return rpc
    }

    @usableFromInline
    func takeBatch(into hand: ConsumerHand, mayWork: Bool) -> RPCBatch? {
        if ForkedChild.isThisProcess { return nil }
        let batch = all == nil ? queue.takeBatch() : all?.takeBatch()
        if let batch { hand.take(batch) }
        return batch ?? (mayWork && all == nil ? workForBatch(into: hand) : nil)
    }

    private func workForBatch(into hand: ConsumerHand) -> RPCBatch? {
        guard let loop = EventLoop.working else { return nil }
        hand.letGo()
        let batch = queue.workForBatch(on: loop)
        if let batch { hand.take(batch) }
        return batch
    }

    @usableFromInline
    func waitForBatch(into hand: ConsumerHand) async -> RPCBatch? {
        if ForkedChild.isThisProcess { return nil }
        hand.letGo()
        let batch = all == nil ? await queue.waitForBatch() : await all?.waitForBatch()
        if let batch { hand.take(batch) }
        return batch
    }
}
