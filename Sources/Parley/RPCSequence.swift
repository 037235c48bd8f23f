/// What a transport's peers send, one RPC at a time: `for await rpc in transport.consume()`.
///
/// Any number of tasks may iterate, each RPC goes to one of them. The sequence ends when the transport is closed
/// and everything that had arrived is consumed, or when the task is cancelled.
public struct RPCSequence: AsyncSequence, Sendable {
    let inbox: Inbox

    /// The RPCs of an inbox; for transports of your own.
    public init(_ inbox: Inbox) { self.inbox = inbox }

    /// The same RPCs in batches of what has arrived since the last one: for consumers that would rather pay once
    /// for many messages.
    public var batches: RPCBatches { RPCBatches(inbox: inbox) }

    /// An iterator; iterators of one sequence share its RPCs.
    public func makeAsyncIterator() -> Iterator { Iterator(inbox: inbox) }

    /// Takes RPCs out of the inbox.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let inbox: Inbox

        init(inbox: Inbox) { self.inbox = inbox }

        // In the caller's code: where an RPC waits already, no asynchronous function is called for it.

        /// Waits for the next RPC; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next() async -> RPC? {
            if let rpc = inbox.takeNext() { return rpc }
            return await inbox.waitForNext()
        }

        /// Waits for the next RPC; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(Never) -> RPC? {
            if let rpc = inbox.takeNext() { return rpc }
            return await inbox.waitForNext()
        }
    }
}

/// What a transport's peers send, in batches that are never empty; see ``RPCSequence/batches``.
public struct RPCBatches: AsyncSequence, Sendable {
    let inbox: Inbox

    /// An iterator; iterators of one sequence share its RPCs.
    public func makeAsyncIterator() -> Iterator { Iterator(inbox: inbox) }

    /// Takes everything that is there out of the inbox.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let inbox: Inbox

        init(inbox: Inbox) { self.inbox = inbox }

        /// Waits until something has arrived; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next() async -> RPCBatch? {
            if let batch = inbox.takeBatch() { return batch }
            return await inbox.waitForBatch()
        }

        /// Waits until something has arrived; nil at the end or when the task is cancelled.
        @inlinable
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(Never) -> RPCBatch? {
            if let batch = inbox.takeBatch() { return batch }
            return await inbox.waitForBatch()
        }
    }
}
