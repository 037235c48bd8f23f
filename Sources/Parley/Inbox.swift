/// The bounded queue between a transport and its consumers.
///
/// Any number of tasks may consume; each RPC goes to exactly one of them, in the order of arrival. It never drops:
/// a transport asks for ``space`` first, stops reading the peer that filled the inbox, and starts again when
/// consumers have taken half. You meet it when you write a ``Transport`` of your own.
public final class Inbox: Sendable {
    private struct State {
        /// Taken ones are nil until the array is emptied or compacted.
        var queue: [RPCBatch.Delivery?] = []
        var head = 0
        /// RPCs that wait.
        var count = 0
        var payloadBytes = 0
        var isFinished = false
        var consumers = WaitQueue()
        var producers: [@Sendable () -> Void] = []
        /// Producers that were called because there is room, and have not had their turn yet.
        var turns = 0
        /// What was promised to producers on other threads that have not offered yet; see ``Inbox/share(isCalled:among:)``.
        var promised = 0
        /// Raised while a consumer would not have to wait.
        var signal: PollableSignal?
        var isSignalled = false

        mutating func append(_ delivery: RPCBatch.Delivery) {
            count &+= delivery.run.count
            payloadBytes &+= delivery.run.payloadBytes
            queue.append(delivery)
        }

        /// The oldest RPC; there is one.
        mutating func removeFirst() -> RPC {
            let rpc = queue[head]!.rpc(at: queue[head]!.lower)
            queue[head]!.lower &+= 1
            if queue[head]!.lower == queue[head]!.upper {
                queue[head] = nil
                head &+= 1
                removeTaken()
            }
            count &-= 1
            payloadBytes &-= rpc.payload.count
            return rpc
        }

        /// The oldest RPCs, at most `limit` of them.
        mutating func removeFirst(atMost limit: Int) -> RPCBatch {
            var taken: [RPCBatch.Delivery] = []
            var left = limit
            while left > 0, head < queue.count, var delivery = queue[head] {
                if delivery.count <= left {
                    queue[head] = nil
                    head &+= 1
                } else {
                    delivery.upper = delivery.lower &+ left
                    queue[head]!.lower &+= left
                }
                left &-= delivery.count
                payloadBytes &-= delivery.payloadBytes
                taken.append(delivery)
            }
            count &-= limit &- left
            removeTaken()
            return RPCBatch(taken)
        }

        /// Keeps the signal in step. Its calls do not block, and only under the lock they come in the right order.
        mutating func settleSignal() {
            guard let signal, isSignalled != (count > 0 || isFinished) else { return }
            isSignalled.toggle()
            if isSignalled { signal.raise() } else { signal.lower() }
        }

        /// Drops the places of what was taken: all at once when it is empty, and otherwise when they are the larger
        /// part.
        private mutating func removeTaken() {
            if head == queue.count {
                // An idle transport keeps a small array.
                queue.removeAll(keepingCapacity: queue.capacity <= 1_024)
                head = 0
            } else if head >= 64, head &* 2 >= queue.count {
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
    /// - Parameters:
    ///   - isCalled: whether ``whenSpace(_:)`` has called it, which makes this its turn.
    ///   - threads: how many threads have producers. Where that is more than one, the share is promised, so that they do not
    ///     fill the same space twice: ``offer(_:from:promised:)`` or ``giveBack(promised:)`` is next.
    func share(isCalled: Bool, among threads: Int = 1) -> Int {
        state.withLock { state in
            let space = max(0, space(state) &- state.promised)
            // The turns are those of all threads.
            let share = space / (isCalled ? max(1, state.turns) : (state.turns &+ 1) &* threads)
            if isCalled { state.turns = max(0, state.turns &- 1) }
            let granted = min(space, max(1, share))
            if threads > 1 { state.promised &+= granted }
            return granted
        }
    }

    /// Nothing is offered for what was promised.
    func giveBack(promised: Int) { state.withLock { $0.promised &-= promised } }

    /// Whether there is space, and nobody who was called for it.
    var hasUnclaimedSpace: Bool { state.withLock { $0.turns == 0 && space($0) > 0 } }

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
        offer(count: rpcs.count) { state in
            for rpc in rpcs {
                state.append(.init(rpc.peer, MessageRun(rpc.payload, isStream: rpc.stream)))
            }
        }
    }

    /// The same for what one peer has sent.
    func offer(_ decoded: borrowing DecodedRuns, from peer: any Peer, promised: Int = 0) -> Int {
        let runs = decoded.runs
        return offer(count: decoded.count, promised: promised) { state in
            for run in runs { state.append(.init(peer, run)) }
        }
    }

    private func offer(count: Int, promised: Int = 0, _ append: (inout State) -> Void) -> Int {
        let (woken, left) = state.withLock { state -> (WaitQueue.Woken, Int) in
            state.promised &-= promised
            guard !state.isFinished else { return (WaitQueue.Woken(), capacity) }
            append(&state)
            state.settleSignal()
            return (state.consumers.wake(atMost: count), space(state))
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

    /// The oldest RPC, if there is one.
    @usableFromInline
    func takeNext() -> RPC? { tryTake { $0.removeFirst() }.taken }

    /// The oldest RPC; waits for one. Nil when the inbox is finished and empty, or the task is cancelled.
    @usableFromInline
    func waitForNext() async -> RPC? { await waitAndTake { $0.removeFirst() } }

    /// Everything there is, at least one RPC, if there is one.
    @usableFromInline
    func takeBatch() -> RPCBatch? { tryTake { $0.removeFirst(atMost: .max) }.taken }

    /// Everything there is, at least one RPC; waits for one. Nil as for ``waitForNext()``.
    @usableFromInline
    func waitForBatch() async -> RPCBatch? { await waitAndTake { $0.removeFirst(atMost: .max) } }

    /// Up to `limit` RPCs, at least one; blocks the thread until there is one.
    ///
    /// - Returns: nil when the inbox is finished and empty.
    /// - Throws: `wouldBlock` when it may not wait, `wouldDeadlock` on an event loop's thread, `timedOut`.
    package func next(atMost limit: Int, _ patience: Patience) throws(ParleyError) -> RPCBatch? {
        while true {
            let (taken, isOver) = tryTake { $0.removeFirst(atMost: max(1, limit)) }
            if taken != nil || isOver { return taken }
            guard case .until(let deadline) = patience else {
                throw ParleyError(.wouldBlock, "no message has arrived yet")
            }
            guard !EventLoop.isCurrentThreadALoop else {
                throw ParleyError(.wouldDeadlock, "waiting for a message would block an event loop's thread")
            }
            guard
                state.block(in: \.consumers, until: deadline, unless: { $0.count > 0 || $0.isFinished })
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

    /// Takes what comes next, when there was nothing.
    private func waitAndTake<Taken>(_ body: (inout State) -> Taken) async -> Taken? {
        while await state.wait(in: \.consumers, unless: { $0.count > 0 || $0.isFinished }) {
            // Somebody else may have been faster.
            let (taken, isOver) = tryTake(body)
            if taken != nil || isOver { return taken }
        }
        return nil
    }

    /// Takes what there is now; tells whether nothing more can come.
    @inline(__always)
    private func tryTake<Taken>(_ body: (inout State) -> Taken) -> (taken: Taken?, isOver: Bool) {
        let (taken, isOver, producers) = state.withLock { state in
            let taken = state.count > 0 ? body(&state) : nil
            var producers: [@Sendable () -> Void] = []
            if !state.producers.isEmpty, isHalfFree(state) {
                swap(&producers, &state.producers)
                state.turns &+= producers.count
            }
            state.settleSignal()
            return (taken, taken == nil && state.isFinished, producers)
        }
        for producer in producers { producer() }
        return (taken, isOver)
    }
}
