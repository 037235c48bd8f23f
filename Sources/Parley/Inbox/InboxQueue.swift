import Synchronization

/// One bounded queue of an ``Inbox``, with one lock. The peers of one loop fill it.
///
/// While each peer has a consumer of its own (``PeerLanes``), what arrives goes on to a queue for each peer,
/// which shares the capacity with the others (``InboxPool``).
@usableFromInline
final class InboxQueue: Sendable {
    struct State {
        /// The delivery to take from; nil when nothing waits. It is stored apart, so that taking one message
        /// of many touches no array.
        fileprivate(set) var oldest: RPCBatch.Delivery?
        /// The other deliveries. An idle transport keeps little memory for them.
        private var others = Line<RPCBatch.Delivery>(keeping: 1_024)
        /// Messages of `oldest` that consumers take without the lock. `count` and `payloadBytes` include the
        /// taken ones until ``closeRun()``.
        private(set) var openRun: OpenRun?
        /// The RPCs that wait.
        fileprivate(set) var count = 0
        fileprivate(set) var payloadBytes = 0
        /// How many of them are events that peers have caused.
        fileprivate(set) var events = 0
        /// Whether somebody has ever asked for an RPC.
        var hasConsumers = false
        var isFinished = false
        var consumers = WaitQueue()
        /// Those who wait for the end, whatever is left to take.
        fileprivate var endWaiters = WaitQueue()
        var producers: [@Sendable () -> Void] = []
        /// Producers that were called because there is space and have not offered yet.
        var turns = 0
        /// Readable while a consumer would not have to wait.
        fileprivate var signal: PollableSignal?
        /// ``isReady`` as it was told to `signal` last.
        fileprivate var wasReady = false
        /// The value of ``InboxQueue/hasRPCs``.
        fileprivate var hadRPCs = false
        /// The queues of single peers; nil while all peers have the same consumers.
        var lanes: PeerLanes?
        /// What the pool counts as held by this queue.
        fileprivate var pooled = InboxPool.Amount()
        /// Whether a consumer has taken something since ``InboxQueue/beginTaking()``. Only with a pool.
        var hasTaken = false

        fileprivate var placesHeld: Int { others.placesHeld }

        mutating func append(_ delivery: consuming RPCBatch.Delivery) {
            count &+= delivery.run.count
            payloadBytes &+= delivery.run.payloadBytes
            if let event = delivery.run.event, event.isOfPeer { events &+= 1 }
            enqueue(delivery)
        }

        /// Appends what is left of a delivery of which something may be taken already.
        mutating func append(restOf delivery: consuming RPCBatch.Delivery) {
            count &+= delivery.count
            payloadBytes &+= delivery.payloadBytes
            enqueue(delivery)
        }

        @inline(__always)
        private mutating func enqueue(_ delivery: consuming RPCBatch.Delivery) {
            if oldest == nil { oldest = delivery } else { others.append(delivery) }
        }

        /// Takes the oldest RPC. The queue must not be empty, and holds no events: consumers of events take
        /// batches.
        @inline(__always)
        mutating func removeFirst() -> RPC {
            if let rpc = openRun?.take() { return rpc }
            closeRun()
            let rpc = oldest!.rpc(at: oldest!.lower)
            oldest!.lower &+= 1
            if oldest!.lower == oldest!.upper {
                oldest = others.popFirst()
            }
            count &-= 1
            payloadBytes &-= rpc.payload.count
            return rpc
        }

        /// Takes the oldest RPCs, at most `limit`. The queue must not be empty.
        mutating func removeFirst(atMost limit: Int) -> RPCBatch.Taken {
            closeRun()
            // The common case: everything is one delivery.
            if others.isEmpty, let count = oldest?.count, count <= limit, let delivery = oldest.take() {
                self.count = 0
                payloadBytes = 0
                events = 0
                return RPCBatch.Taken(first: delivery, others: [], count: count)
            }
            let first = removeDelivery(atMost: limit)
            var left = limit &- first.count
            var others: [RPCBatch.Delivery] = []
            while left > 0, oldest != nil {
                let delivery = removeDelivery(atMost: left)
                left &-= delivery.count
                others.append(delivery)
            }
            return RPCBatch.Taken(first: first, others: others, count: limit &- left)
        }

        /// Takes the oldest delivery. If it has more than `limit` RPCs, only so many of them are taken.
        private mutating func removeDelivery(atMost limit: Int) -> RPCBatch.Delivery {
            var delivery = oldest.take()!
            if delivery.count <= limit {
                oldest = others.popFirst()
            } else {
                oldest = delivery
                oldest!.lower &+= limit
                delivery.upper = delivery.lower &+ limit
            }
            count &-= delivery.count
            payloadBytes &-= delivery.payloadBytes
            if let event = delivery.run.event, event.isOfPeer { events &-= 1 }
            return delivery
        }

        /// Takes all RPCs. The queue must not be empty.
        mutating func removeAll() -> RPCBatch { RPCBatch(removeFirst(atMost: .max)) }

        /// Takes all deliveries; none when the queue is empty.
        mutating func removeDeliveries() -> [RPCBatch.Delivery] { count > 0 ? removeAll().deliveries : [] }

        /// Lets consumers take messages of the oldest delivery without the lock, at most `limit`. Nil when
        /// these are too few to be worth it. No run is open.
        mutating func openRun(atMost limit: Int) -> OpenRun? {
            guard let oldest else { return nil }
            let count = min(limit, oldest.count &- 1)
            guard count >= OpenRun.shortest else { return nil }
            let run = OpenRun(count, of: oldest)
            openRun = run
            return run
        }

        /// Closes the open run, if there is one, and subtracts what was taken from it.
        @inline(__always)
        mutating func closeRun() { if let run = openRun.take() { subtract(messagesBefore: run.close()) } }

        private mutating func subtract(messagesBefore next: Int) {
            var taken = oldest!
            taken.upper = next
            count &-= taken.count
            payloadBytes &-= taken.payloadBytes
            oldest!.lower = next
        }

        /// Whether a consumer would not have to wait: there is an RPC, or nothing more will come.
        var isReady: Bool { count > 0 || isFinished }
    }

    let capacity: Int
    let capacityBytes: Int
    /// The capacity that this queue of one peer shares with others; nil for a queue with its own.
    let pool: InboxPool?
    /// The consumers that wait for any queue of the inbox; nil for the queue of one peer. Not the inbox: a
    /// weak reference to it would slow every retain of it.
    private let consumersOfAll: Lock<WaitQueue>?
    let state = Lock(State())
    private let filled = Atomic(false)

    init(capacity: Int, capacityBytes: Int, consumersOfAll: Lock<WaitQueue>) {
        self.capacity = max(1, capacity)
        self.capacityBytes = max(1, capacityBytes)
        self.consumersOfAll = consumersOfAll
        pool = nil
    }

    /// Makes a queue that shares the pool's capacity.
    init(sharing pool: InboxPool) {
        capacity = pool.capacity.rpcs
        capacityBytes = pool.capacity.bytes
        self.pool = pool
        consumersOfAll = nil
    }

    /// Wakes the consumers that wait for any queue of the inbox: RPCs were put back into this one.
    func wakeConsumersOfAll() { consumersOfAll?.withLock { $0.wakeAll() }.resume() }

    /// Whether an RPC waits for a consumer. Readable without the lock, for consumers of several queues.
    var hasRPCs: Bool { filled.load(ordering: .sequentiallyConsistent) }

    /// The RPCs, and their bytes of payload, that wait for a consumer.
    var depth: (rpcs: Int, bytes: Int) {
        state.withLock { state in
            state.closeRun()
            let held = state.lanes?.pool.held ?? InboxPool.Amount()
            return (state.count &+ held.rpcs, state.payloadBytes &+ held.bytes)
        }
    }

    /// How many events that peers have caused wait for a consumer.
    var events: Int { state.withLock { $0.events } }

    /// Whether somebody has ever asked for an RPC.
    var hasConsumers: Bool { state.withLock { $0.hasConsumers || $0.lanes != nil } }

    /// The number of places for deliveries, including empty ones. For tests.
    var placesHeld: Int { state.withLock { $0.placesHeld } }

    /// Publishes a change of readiness, in ``hasRPCs`` and to the signal. It runs under the lock, which keeps
    /// changes in order; it does not block.
    func publish(_ state: inout State) {
        if state.hadRPCs != (state.count > 0) {
            state.hadRPCs.toggle()
            filled.store(state.hadRPCs, ordering: .sequentiallyConsistent)
        }
        if state.wasReady != state.isReady {
            state.wasReady.toggle()
            state.signal?.change(by: state.wasReady ? 1 : -1)
        }
    }

    /// Counts in the pool what this queue holds now. Its lock is held.
    @inline(__always)
    func account(_ state: inout State) {
        guard let pool else { return }
        let held = state.held
        pool.change(from: state.pooled, to: held)
        state.pooled = held
    }

    /// Makes `signal` readable while a consumer would not have to wait, from now on.
    func tell(_ signal: PollableSignal) {
        state.withLock { state in
            state.signal = signal
            if state.wasReady { signal.change(by: 1) }
        }
    }

    // MARK: Ending

    func finish() { markFinished().tell() }

    /// Whom to tell of the end.
    struct Finished {
        let woken: WaitQueue.Woken
        let ended: WaitQueue.Woken
        let producers: [@Sendable () -> Void]
        let lanes: PeerLanes?

        func tell() {
            woken.resume()
            ended.resume()
            for producer in producers { producer() }
            lanes?.finish()
        }
    }

    /// Ends the queue. The caller tells those who wait when it holds no lock.
    func markFinished() -> Finished {
        state.withLock { state in
            state.isFinished = true
            publish(&state)
            defer { state.producers = [] }
            return Finished(
                woken: state.consumers.wakeAll(),
                ended: state.endWaiters.wakeAll(),
                producers: state.producers,
                lanes: state.lanes
            )
        }
    }

    var isFinished: Bool { state.withLock { $0.isFinished } }

    /// Waits until ``finish()`` was called, whatever is left to take. Returns at once when the task is
    /// cancelled.
    func untilFinished() async { _ = await state.wait(in: \.endWaiters, unless: { $0.isFinished }) }
}

extension InboxQueue.State {
    /// What waits here.
    var held: InboxPool.Amount { .init(rpcs: count, bytes: payloadBytes) }
}
