/// What a transport's peers send, one RPC at a time: `for await rpc in transport.consume()`.
///
/// Any number of tasks may iterate, each RPC goes to one of them. The sequence ends when the transport is closed
/// and everything that had arrived is consumed, or when the task is cancelled.
public struct RPCSequence: AsyncSequence, Sendable {
    let source: RPCSource

    /// The RPCs of an inbox; for transports of your own.
    public init(_ inbox: Inbox) { source = RPCSource(inbox) }

    /// Those of one queue of an inbox.
    init(_ queue: InboxQueue) { source = RPCSource(queue) }

    /// The same RPCs in batches of what has arrived since the last one: for consumers that would rather pay once
    /// for many messages.
    public var batches: RPCBatches { RPCBatches(source: source) }

    /// An iterator; iterators of one sequence share its RPCs.
    public func makeAsyncIterator() -> Iterator { Iterator(source: source) }

    /// Takes RPCs out of the inbox.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let source: RPCSource

        init(source: RPCSource) { self.source = source }

        // In the caller's code and, whatever `actor` is, where the caller runs: where an RPC waits already, no asynchronous
        // function is called for it, and no executor asked.

        /// Waits for the next RPC; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next() async -> RPC? {
            if let rpc = source.takeNext() { return rpc }
            return await source.waitForNext()
        }

        /// Waits for the next RPC; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next(isolation actor: (any Actor)?) async throws(Never) -> RPC? {
            if let rpc = source.takeNext() { return rpc }
            return await source.waitForNext()
        }
    }
}

/// What a transport's peers send, in batches that are never empty; see ``RPCSequence/batches``.
public struct RPCBatches: AsyncSequence, Sendable {
    let source: RPCSource

    /// An iterator; iterators of one sequence share its RPCs.
    public func makeAsyncIterator() -> Iterator { Iterator(source: source) }

    /// Takes everything that is there out of the inbox.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let source: RPCSource

        init(source: RPCSource) { self.source = source }

        /// Waits until something has arrived; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next() async -> RPCBatch? {
            if let batch = source.takeBatch() { return batch }
            return await source.waitForBatch()
        }

        /// Waits until something has arrived; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next(isolation actor: (any Actor)?) async throws(Never) -> RPCBatch? {
            if let batch = source.takeBatch() { return batch }
            return await source.waitForBatch()
        }
    }
}

/// Where consumers take from.
@usableFromInline
struct RPCSource: Sendable {
    /// One queue, most often the only one of its inbox.
    let queue: InboxQueue
    /// All queues of an inbox that has several.
    let all: Inbox?

    init(_ queue: InboxQueue) {
        self.queue = queue
        all = nil
    }

    init(_ inbox: Inbox) {
        queue = inbox.queues[0]
        all = inbox.single == nil ? inbox : nil
    }

    @usableFromInline
    func takeNext() -> RPC? { all == nil ? queue.takeNext() : all?.takeNext() }

    @usableFromInline
    func waitForNext() async -> RPC? {
        all == nil ? await queue.waitForNext() : await all?.waitForNext()
    }

    @usableFromInline
    func takeBatch() -> RPCBatch? { all == nil ? queue.takeBatch() : all?.takeBatch() }

    @usableFromInline
    func waitForBatch() async -> RPCBatch? {
        all == nil ? await queue.waitForBatch() : await all?.waitForBatch()
    }
}
