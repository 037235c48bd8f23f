/// The bounded queue between a transport and its consumers.
///
/// Any number of tasks may consume; each RPC goes to exactly one of them, in the order of arrival. It never drops:
/// a transport asks for ``space`` first, stops reading the peer that filled the inbox, and starts again when
/// consumers have taken half. You meet it when you write a ``Transport`` of your own.
public final class Inbox: Sendable {
    private struct State {
        /// Taken ones are nil until the array is emptied or compacted.
        var queue: [RPC?] = []
        var head = 0
        var payloadBytes = 0
        var isFinished = false
        var consumers = WaitQueue()
        var producers: [@Sendable () -> Void] = []
        /// Producers that were called because there is room, and have not had their turn yet.
        var turns = 0
        /// Raised while a consumer would not have to wait.
        var signal: PollableSignal?
        var isSignalled = false

        var count: Int { queue.count &- head }

        /// Keeps the signal in step. Its calls do not block, and only under the lock they come in the right order.
        mutating func settleSignal() {
            guard let signal, isSignalled != (count > 0 || isFinished) else { return }
            isSignalled.toggle()
            if isSignalled { signal.raise() } else { signal.lower() }
        }

        /// Drops the places of taken RPCs: all at once when it is empty, and otherwise when they are the larger part.
        mutating func removeTaken() {
            if head == queue.count {
                // An idle transport keeps a small array.
                queue.removeAll(keepingCapacity: queue.capacity <= 4_096)
                head = 0
            } else if head >= 1_024, head &* 2 >= queue.count {
                queue.removeFirst(head)
                head = 0
            }
        }
    }

    /// How many RPCs it holds before producers have to wait.
    public let capacity: Int
    /// How many bytes of payload it holds before producers have to wait; the RPC that goes over it is taken whole.
    public let capacityBytes: Int
    private let state = Lock(State())

    /// An empty inbox; both limits are at least 1.
    public init(capacity: Int, capacityBytes: Int = .max) {
        self.capacity = max(1, capacity)
        self.capacityBytes = max(1, capacityBytes)
    }

    // MARK: Producing

    /// How many more RPCs a producer may offer now.
    public var space: Int { state.withLock { space($0) } }

    private func space(_ state: State) -> Int {
        // After the end offers are dropped, so nobody has to wait.
        if state.isFinished { return capacity }
        return state.payloadBytes < capacityBytes ? max(0, capacity - state.count) : 0
    }

    /// The share of a producer in the space: those that were called together divide it, so that one with much to
    /// offer does not keep the others waiting.
    ///
    /// - Parameter isCalled: whether ``whenSpace(_:)`` has called it, which makes this its turn.
    func share(isCalled: Bool) -> Int {
        state.withLock { state in
            let space = space(state)
            let share = space / max(1, isCalled ? state.turns : state.turns &+ 1)
            if isCalled { state.turns = max(0, state.turns &- 1) }
            return min(space, max(1, share))
        }
    }

    /// How many RPCs, and bytes of payload, wait for a consumer.
    var depth: (rpcs: Int, bytes: Int) { state.withLock { ($0.count, $0.payloadBytes) } }

    /// Places in the queue, those of RPCs that are taken included; for tests.
    var placesHeld: Int { state.withLock { $0.queue.count } }

    private func isHalfFree(_ state: State) -> Bool {
        state.isFinished || state.count <= capacity / 2 && state.payloadBytes <= capacityBytes / 2
    }

    /// Appends RPCs and wakes consumers. Any thread; never blocks. After ``finish()`` they are dropped.
    ///
    /// - Returns: the space that is left.
    @discardableResult
    public func offer(_ rpcs: [RPC]) -> Int {
        let (woken, left) = state.withLock { state -> (WaitQueue.Woken, Int) in
            guard !state.isFinished else { return (WaitQueue.Woken(), capacity) }
            for rpc in rpcs {
                state.queue.append(rpc)
                state.payloadBytes &+= rpc.payload.count
            }
            state.settleSignal()
            return (state.consumers.wake(atMost: rpcs.count), space(state))
        }
        woken.resume()
        return left
    }

    /// Calls `action` once, from a consumer's thread or at once, when at least half of the capacity is free.
    public func whenSpace(_ action: @escaping @Sendable () -> Void) {
        let isNow = state.withLock { state in
            if isHalfFree(state) {
                state.turns &+= 1
                return true
            }
            state.producers.append(action)
            return false
        }
        if isNow { action() }
    }

    /// Nothing more will be offered: consumers drain what is left, and then end.
    public func finish() {
        let (woken, producers) = state.withLock { state in
            state.isFinished = true
            state.settleSignal()
            defer { state.producers = [] }
            return (state.consumers.wakeAll(), state.producers)
        }
        woken.resume()
        for producer in producers { producer() }
    }

    // MARK: Consuming

    /// The oldest RPC; waits for one. Nil when the inbox is finished and empty, or the task is cancelled.
    func next() async -> RPC? {
        await take { state in
            guard let rpc = state.queue[state.head].take() else { return nil }
            state.head &+= 1
            state.payloadBytes &-= rpc.payload.count
            return rpc
        }
    }

    /// Everything there is, at least one RPC; waits for one. Nil as for ``next()``.
    func nextBatch() async -> [RPC]? {
        await take { state in
            let batch = state.queue[state.head...].compactMap { $0 }
            state.head = state.queue.count
            state.payloadBytes = 0
            return batch
        }
    }

    /// Up to `limit` RPCs, at least one; blocks the thread until there is one.
    ///
    /// - Returns: nil when the inbox is finished and empty.
    /// - Throws: `wouldBlock` when it may not wait, `wouldDeadlock` on an event loop's thread, `timedOut`.
    package func next(atMost limit: Int, _ patience: Patience) throws(ParleyError) -> [RPC]? {
        while true {
            let (taken, isOver) = tryTake { state in
                let end = min(state.queue.count, state.head &+ max(1, limit))
                var rpcs: [RPC] = []
                rpcs.reserveCapacity(end &- state.head)
                while state.head < end, let rpc = state.queue[state.head].take() {
                    state.head &+= 1
                    state.payloadBytes &-= rpc.payload.count
                    rpcs.append(rpc)
                }
                return rpcs
            }
            if taken != nil || isOver { return taken }
            guard case .until(let deadline) = patience else {
                throw ParleyError(.wouldBlock, "no message has arrived yet")
            }
            guard !EventLoop.isCurrentThreadALoop else {
                throw ParleyError(.wouldDeadlock, "waiting for a message would block an event loop's thread")
            }
            guard state.block(in: \.consumers, until: deadline, unless: { $0.count > 0 || $0.isFinished })
            else {
                throw ParleyError(.timedOut, "no message arrived in time")
            }
        }
    }

    /// A descriptor that is readable while there is something to consume, or the end; made with the first call.
    package func pollableDescriptor() throws(ParleyError) -> Int32 {
        try state.withLock { state throws(ParleyError) in
            if let signal = state.signal { return signal.descriptor }
            let signal = try PollableSignal()
            state.signal = signal
            state.settleSignal()
            return signal.descriptor
        }
    }

    private func take<Taken>(_ body: (inout State) -> Taken?) async -> Taken? {
        while true {
            let (taken, isOver) = tryTake(body)
            if taken != nil || isOver { return taken }
            guard await state.wait(in: \.consumers, unless: { $0.count > 0 || $0.isFinished }) else {
                return nil
            }
        }
    }

    /// Takes what there is now; tells whether nothing more can come.
    private func tryTake<Taken>(_ body: (inout State) -> Taken?) -> (taken: Taken?, isOver: Bool) {
        let (taken, isOver, producers) = state.withLock { state in
            let taken = state.count > 0 ? body(&state) : nil
            var producers: [@Sendable () -> Void] = []
            if !state.producers.isEmpty, isHalfFree(state) {
                swap(&producers, &state.producers)
                state.turns &+= producers.count
            }
            state.removeTaken()
            state.settleSignal()
            return (taken, taken == nil && state.isFinished, producers)
        }
        for producer in producers { producer() }
        return (taken, isOver)
    }
}

/// What a transport's peers send, one RPC at a time: `for await rpc in transport.consume()`.
///
/// Any number of tasks may iterate, each RPC goes to one of them. The sequence ends when the transport is closed
/// and everything that had arrived is consumed, or when the task is cancelled.
public struct RPCSequence: AsyncSequence, Sendable {
    let inbox: Inbox

    /// The RPCs of an inbox; for transports of your own.
    public init(_ inbox: Inbox) { self.inbox = inbox }

    /// The same RPCs in arrays of what has arrived since the last one: for consumers that would rather pay once
    /// for many messages.
    public var batches: RPCBatches { RPCBatches(inbox: inbox) }

    /// An iterator; iterators of one sequence share its RPCs.
    public func makeAsyncIterator() -> Iterator { Iterator(inbox: inbox) }

    /// Takes RPCs out of the inbox.
    public struct Iterator: AsyncIteratorProtocol {
        let inbox: Inbox

        /// Waits for the next RPC; nil at the end or when the task is cancelled.
        public mutating func next() async -> RPC? { await inbox.next() }

        /// Waits for the next RPC; nil at the end or when the task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(Never) -> RPC? {
            await inbox.next()
        }
    }
}

/// What a transport's peers send, in non-empty arrays; see ``RPCSequence/batches``.
public struct RPCBatches: AsyncSequence, Sendable {
    let inbox: Inbox

    /// An iterator; iterators of one sequence share its RPCs.
    public func makeAsyncIterator() -> Iterator { Iterator(inbox: inbox) }

    /// Takes everything that is there out of the inbox.
    public struct Iterator: AsyncIteratorProtocol {
        let inbox: Inbox

        /// Waits until something has arrived; nil at the end or when the task is cancelled.
        public mutating func next() async -> [RPC]? { await inbox.nextBatch() }

        /// Waits until something has arrived; nil at the end or when the task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(Never) -> [RPC]? {
            await inbox.nextBatch()
        }
    }
}
