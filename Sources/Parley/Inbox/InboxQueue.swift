import Synchronization

/// One queue of an ``Inbox``: bounded, with one lock, filled by the peers of one thread.
final class InboxQueue: Sendable {
    struct State {
        /// Taken ones are nil until the array is emptied or compacted.
        private var queue: [RPCBatch.Delivery?] = []
        private var head = 0
        /// RPCs that wait.
        fileprivate(set) var count = 0
        fileprivate(set) var payloadBytes = 0
        fileprivate var isFinished = false
        fileprivate var consumers = WaitQueue()
        fileprivate var producers: [@Sendable () -> Void] = []
        /// Producers that were called because there is room, and have not had their turn yet.
        fileprivate var turns = 0
        /// Told while a consumer would not have to wait.
        fileprivate var signal: PollableSignal?
        fileprivate var wasReady = false
        /// What ``InboxQueue/hasSome`` says.
        fileprivate var hadSome = false

        /// Places in the queue, those of RPCs that are taken included.
        fileprivate var places: Int { queue.count }

        mutating func append(_ delivery: RPCBatch.Delivery) {
            count &+= delivery.run.count
            payloadBytes &+= delivery.run.payloadBytes
            queue.append(delivery)
        }

        /// The oldest RPC; there is one.
        @inline(__always)
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

        /// Whether a consumer would not have to wait: something is there, or nothing more will come.
        fileprivate var isReady: Bool { count > 0 || isFinished }
    }

    let capacity: Int
    let capacityBytes: Int
    private let state = Lock(State())
    private let filled = Atomic(false)

    init(capacity: Int, capacityBytes: Int) {
        self.capacity = max(1, capacity)
        self.capacityBytes = max(1, capacityBytes)
    }

    /// Whether something waits for a consumer; for those who look into several queues, without their locks.
    var hasSome: Bool { filled.load(ordering: .sequentiallyConsistent) }

    /// How many RPCs, and bytes of payload, wait for a consumer.
    var depth: (rpcs: Int, bytes: Int) { state.withLock { ($0.count, $0.payloadBytes) } }

    /// For tests.
    var placesHeld: Int { state.withLock { $0.places } }

    /// Tells of what has changed. Nothing in here blocks, and only under the lock it comes in the right order.
    private func publish(_ state: inout State) {
        if state.hadSome != (state.count > 0) {
            state.hadSome.toggle()
            filled.store(state.hadSome, ordering: .sequentiallyConsistent)
        }
        if state.wasReady != state.isReady {
            state.wasReady.toggle()
            state.signal?.change(by: state.wasReady ? 1 : -1)
        }
    }

    /// From now on `signal` is told while a consumer would not have to wait.
    func tell(_ signal: PollableSignal) {
        state.withLock { state in
            state.signal = signal
            if state.wasReady { signal.change(by: 1) }
        }
    }

    // MARK: Producing

    /// How much there is room for now.
    var room: InboxRoom { state.withLock { room($0) } }

    private func room(_ state: State) -> InboxRoom {
        // After the end offers are dropped, so nobody has to wait.
        if state.isFinished { return InboxRoom(rpcs: capacity, bytes: .max, turns: state.turns) }
        return InboxRoom(
            rpcs: max(0, capacity - state.count),
            bytes: capacityBytes &- state.payloadBytes,
            turns: state.turns
        )
    }

    /// How much a producer may offer that ``whenSpace(_:)`` has called: those that were called together divide the room,
    /// so that one with much to offer does not keep the others waiting.
    ///
    /// - Parameter room: what there is room for, renewed.
    func takeTurn(_ room: inout InboxRoom) -> (rpcs: Int, bytes: Int) {
        state.withLock { state in
            var left = self.room(state)
            left.turns = max(0, state.turns &- 1)
            defer { state.turns = left.turns }
            room = left
            return left.share
        }
    }

    private func isHalfFree(_ state: State) -> Bool {
        state.isFinished || state.count <= capacity / 2 && state.payloadBytes <= capacityBytes / 2
    }

    /// Appends RPCs, as ``Inbox/offer(_:)`` says.
    ///
    /// - Returns: the consumers of this queue that are to be resumed, and the room that is left.
    func offer(count: Int, _ append: (inout State) -> Void) -> (WaitQueue.Woken, room: InboxRoom) {
        state.withLock { state in
            guard !state.isFinished else { return (WaitQueue.Woken(), room(state)) }
            append(&state)
            publish(&state)
            return (state.consumers.wake(atMost: count), room(state))
        }
    }

    /// See ``Inbox/whenSpace(_:)``.
    func whenSpace(_ action: @escaping @Sendable () -> Void) {
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

    func finish() {
        let (woken, producers) = state.withLock { state in
            state.isFinished = true
            publish(&state)
            defer { state.producers = [] }
            return (state.consumers.wakeAll(), state.producers)
        }
        woken.resume()
        for producer in producers { producer() }
    }

    // MARK: Consuming

    /// Takes what there is now; tells whether nothing more can come.
    @inline(__always)
    func take<Taken>(_ body: (inout State) -> Taken) -> (taken: Taken?, isOver: Bool) {
        let (taken, isOver, producers) = state.withLock { state in
            let taken = state.count > 0 ? body(&state) : nil
            var producers: [@Sendable () -> Void] = []
            if !state.producers.isEmpty, isHalfFree(state) {
                swap(&producers, &state.producers)
                state.turns &+= producers.count
            }
            publish(&state)
            return (taken, taken == nil && state.isFinished, producers)
        }
        for producer in producers { producer() }
        return (taken, isOver)
    }

    /// The oldest RPC, if there is one.
    @inline(__always)
    func takeNext() -> RPC? { take { $0.removeFirst() }.taken }

    /// The oldest RPC; waits for one. Nil when the queue is finished and empty, or the task is cancelled.
    func waitForNext() async -> RPC? { await waitAndTake { $0.removeFirst() } }

    /// Everything there is, at least one RPC, if there is one.
    func takeBatch() -> RPCBatch? { take { $0.removeFirst(atMost: .max) }.taken }

    /// Everything there is, at least one RPC; waits for one. Nil as for ``waitForNext()``.
    func waitForBatch() async -> RPCBatch? { await waitAndTake { $0.removeFirst(atMost: .max) } }

    /// Takes what comes next, when there was nothing.
    private func waitAndTake<Taken>(_ body: (inout State) -> Taken) async -> Taken? {
        while await state.wait(in: \.consumers, unless: { $0.isReady }) {
            // Somebody else may have been faster.
            let (taken, isOver) = take(body)
            if taken != nil || isOver { return taken }
        }
        return nil
    }

    /// Blocks the thread until a consumer is to look again.
    ///
    /// - Returns: false when the deadline has passed.
    func block(until deadline: MonotonicTime?) -> Bool {
        state.block(in: \.consumers, until: deadline, unless: { $0.isReady })
    }
}
