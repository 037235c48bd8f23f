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
    init(_ queue: InboxQueue) { source = .one(queue) }

    /// The same RPCs in batches. Each batch holds what has arrived since the last one; it costs one wait for
    /// many messages.
    public var batches: RPCBatches { RPCBatches(source: source) }

    /// Waits until nothing more can arrive: the transport is closed. Takes nothing. Returns at once when the
    /// task is cancelled.
    package func untilFinished() async { await source.queues[0].untilFinished() }

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
enum RPCSource: Sendable {
    case one(InboxQueue)
    /// There are several.
    case all(Inbox)

    init(_ inbox: Inbox) { self = inbox.single.map(Self.one) ?? .all(inbox) }

    /// The queues from which it takes.
    var queues: [InboxQueue] {
        switch self {
        case .one(let queue): [queue]
        case .all(let inbox): inbox.queues
        }
    }

    // In a forked child the sequence is over: its producers are gone.

    @usableFromInline
    func takeNext(into hand: ConsumerHand, mayWork: Bool) -> RPC? {
        if ForkedChild.isThisProcess { return nil }
        if let rpc = takeFromQueue(into: hand) { return rpc }
        return mayWork ? workForNext(into: hand) : nil
    }

    private func workForNext(into hand: ConsumerHand) -> RPC? {
        guard case .one(let queue) = self, let loop = EventLoop.working else { return nil }
        hand.letGo()
        let rpc = queue.workForNext(on: loop)
        if let rpc { hand.take(rpc) }
        return rpc
    }

    private func takeFromQueue(into hand: ConsumerHand) -> RPC? {
        var run: OpenRun?
        let taken =
            switch self {
            case .one(let queue): queue.takeNext(opening: &run)
            case .all(let inbox): inbox.takeNext()
            }
        guard let rpc = taken else { return nil }
        hand.hold(run)
        hand.take(rpc)
        return rpc
    }

    @usableFromInline
    func waitForNext(into hand: ConsumerHand) async -> RPC? {
        if ForkedChild.isThisProcess { return nil }
        hand.letGo()
        let taken =
            switch self {
            case .one(let queue): await queue.waitForNext(with: hand)
            case .all(let inbox): await inbox.waitForNext()
            }
        guard let rpc = taken else { return nil }
        hand.take(rpc)
        return rpc
    }

    @usableFromInline
    func takeBatch(into hand: ConsumerHand, mayWork: Bool) -> RPCBatch? {
        if ForkedChild.isThisProcess { return nil }
        let batch =
            switch self {
            case .one(let queue): queue.takeBatch()
            case .all(let inbox): inbox.takeBatch()
            }
        if let batch { hand.take(batch) }
        return batch ?? (mayWork ? workForBatch(into: hand) : nil)
    }

    private func workForBatch(into hand: ConsumerHand) -> RPCBatch? {
        guard case .one(let queue) = self, let loop = EventLoop.working else { return nil }
        hand.letGo()
        let batch = queue.workForBatch(on: loop)
        if let batch { hand.take(batch) }
        return batch
    }

    @usableFromInline
    func waitForBatch(into hand: ConsumerHand) async -> RPCBatch? {
        if ForkedChild.isThisProcess { return nil }
        hand.letGo()
        let batch =
            switch self {
            case .one(let queue): await queue.waitForBatch()
            case .all(let inbox): await inbox.waitForBatch()
            }
        if let batch { hand.take(batch) }
        return batch
    }
}
