import Synchronization

/// One bounded queue of an ``Inbox``, with one lock. The peers of one loop fill it.
///
/// While each peer has a consumer of its own (``PeerLanes``), what arrives goes on to a queue for each peer,
/// which shares the capacity with the others (``InboxPool``).
final class InboxQueue: Sendable {
    struct State {
        /// The delivery to take from; nil when nothing waits. It is stored apart, so that taking one message
        /// of many touches no array.
        fileprivate var oldest: RPCBatch.Delivery?
        /// The other deliveries. An idle transport keeps little memory for them.
        private var others = Line<RPCBatch.Delivery>(keeping: 1_024)
        /// Messages of `oldest` that consumers take without the lock. `count` and `payloadBytes` include the
        /// taken ones until ``closeRun()``.
        private(set) var openRun: OpenRun?
        /// The RPCs that wait.
        fileprivate(set) var count = 0
        fileprivate(set) var payloadBytes = 0
        /// How many of them are events of peers.
        fileprivate(set) var events = 0
        /// Whether somebody has ever asked for an RPC.
        fileprivate(set) var hasConsumers = false
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
            if delivery.run.event != nil { events &+= 1 }
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
            if delivery.run.event != nil { events &-= 1 }
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
        fileprivate var isReady: Bool { count > 0 || isFinished }
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

    /// How many events of peers wait for a consumer.
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

    // MARK: Producing

    /// The room that is left now.
    var room: InboxRoom { state.withLock { room(&$0) } }

    private func room(_ state: inout State) -> InboxRoom {
        state.closeRun()
        // After the end offers are dropped, so no producer has to wait.
        if state.isFinished {
            return InboxRoom(rpcs: capacity, bytes: .max, turns: state.turns, isOfOnePeer: pool != nil)
        }
        if let pool { return pool.room(holding: state.held, turns: state.turns) }
        let elsewhere = state.lanes?.pool.held ?? InboxPool.Amount()
        return InboxRoom(
            rpcs: max(0, capacity - state.count - elsewhere.rpcs),
            bytes: capacityBytes &- state.payloadBytes &- elsewhere.bytes,
            turns: state.turns
        )
    }

    /// The room for one peer.
    func room(for peer: any Peer) -> InboxRoom {
        state.withLock { state in
            guard let lanes = state.lanes else { return room(&state) }
            return lanes[peer]?.queue.room ?? lanes.pool.room(holding: .init(), turns: 0)
        }
    }

    /// The share of the room for a producer that ``whenSpace(_:)`` has called; this uses up its turn.
    /// Producers that were called together divide the room, so that one with much to offer does not starve
    /// the others.
    ///
    /// - Parameter room: set to the room that there is now.
    /// - Returns: how many RPCs it may offer, and how many bytes of payload. The last RPC may exceed the
    ///   bytes.
    func takeShare(_ room: inout InboxRoom) -> (rpcs: Int, bytes: Int) {
        state.withLock { state in takeShare(&state, &room) }
    }

    /// The same for one peer.
    func takeShare(of peer: any Peer, _ room: inout InboxRoom) -> (rpcs: Int, bytes: Int) {
        state.withLock { state in
            guard let lanes = state.lanes else { return takeShare(&state, &room) }
            if let lane = lanes[peer] { return lane.queue.takeShare(&room) }
            room = lanes.pool.room(holding: .init(), turns: 0)
            return room.share
        }
    }

    private func takeShare(_ state: inout State, _ room: inout InboxRoom) -> (rpcs: Int, bytes: Int) {
        var left = self.room(&state)
        left.turns = max(0, state.turns &- 1)
        state.turns = left.turns
        room = left
        return left.share
    }

    func isHalfFree(_ state: inout State) -> Bool {
        state.closeRun()
        if state.isFinished { return true }
        if let pool { return pool.isHalfFree(holding: state.held) }
        let elsewhere = state.lanes?.pool.held ?? InboxPool.Amount()
        return state.count &+ elsewhere.rpcs <= capacity / 2
            && state.payloadBytes &+ elsewhere.bytes <= capacityBytes / 2
    }

    /// Appends RPCs, as ``Inbox/offer(_:)`` says.
    ///
    /// - Returns: the consumers of this queue to resume, and the room that is left: for the peer of the last
    ///   RPC, while each peer has a queue.
    func offer(count: Int, _ append: (inout State) -> Void) -> (WaitQueue.Woken, room: InboxRoom) {
        state.withLock { offer(&$0, count: count, append) }
    }

    /// Offers what one peer has sent. When the queue is empty, a single RPC is handed to the consumer that
    /// waits longest, if it has a hand or works on this thread: it would take that RPC next anyway.
    ///
    /// - Returns: the consumers of this queue to resume, and the room that is left.
    func offer(_ decoded: inout DecodedRuns, from peer: any Peer) -> (WaitQueue.Woken, room: InboxRoom) {
        state.withLock { state in
            if decoded.count == 1, let receiver = hand(&decoded, of: peer, &state) {
                // The queue is empty, and all of it is its own.
                return (receiver, InboxRoom(rpcs: capacity, bytes: capacityBytes, turns: state.turns))
            }
            return offer(&state, count: decoded.count) { state in
                decoded.takeRuns { state.append(.init(peer, $0)) }
            }
        }
    }

    /// Hands the only RPC of `decoded` to the next consumer, if the queue is empty and the consumer may be
    /// handed something. Returns the consumer.
    @inline(__always)
    private func hand(
        _ decoded: inout DecodedRuns,
        of peer: any Peer,
        _ state: inout State
    ) -> WaitQueue.Woken? {
        guard pool == nil, state.count == 0, state.lanes == nil, !state.isFinished else { return nil }
        guard let receiver = state.consumers.wakeReceiver() else { return nil }
        decoded.takeRuns { run in
            if let parker = receiver.parker { return hand(RPCBatch.Delivery(peer, run), to: parker) }
            let rpc = RPC(peer: peer, payload: run[0], kind: run.kind)
            if let hand = receiver.hand {
                unsafeDowncast(hand, to: ConsumerHand.self).handed = rpc
            } else {
                // The worker is the loop of this thread.
                EventLoop.current!.turn.pointee.handed = rpc
            }
        }
        return receiver
    }

    @inline(__always)
    private func hand(_ delivery: consuming RPCBatch.Delivery, to parker: ThreadParker) {
        let hand = parker.hand.map { unsafeDowncast($0, to: ThreadHand.self) } ?? ThreadHand()
        hand.handed = delivery
        parker.hand = hand
    }

    @inline(__always)
    private func offer(
        _ state: inout State,
        count: Int,
        _ append: (inout State) -> Void
    ) -> (WaitQueue.Woken, room: InboxRoom) {
        guard !state.isFinished else { return (WaitQueue.Woken(), room(&state)) }
        append(&state)
        if state.lanes != nil { return moveToLanes(&state) }
        account(&state)
        publish(&state)
        return (state.consumers.wake(atMost: count), room(&state))
    }

    /// See ``Inbox/whenSpace(_:)``.
    func whenSpace(_ action: @escaping @Sendable () -> Void) {
        let isNow = state.withLock { state in
            // Announced first: a consumer of one peer makes room without this lock.
            state.lanes?.pool.isAwaited = true
            if isHalfFree(&state) {
                state.turns &+= 1
                return true
            }
            state.producers.append(action)
            return false
        }
        if isNow { action() }
    }

    /// Calls `action` once when there is space for this peer again.
    func whenSpace(for peer: any Peer, _ action: @escaping @Sendable () -> Void) {
        let lane = state.withLock { state in state.lanes.map { $0[peer]?.queue } }
        switch lane {
        case nil: whenSpace(action)
        // Nothing of this peer waits.
        case .some(nil): action()
        case .some(let queue?): queue.whenSpace(action)
        }
    }

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

    // MARK: Consuming

    /// Takes with `body` if there is an RPC. `isOver` is true when there is none and nothing more can come.
    @inline(__always)
    func take<Taken>(_ body: (inout State) -> Taken) -> (taken: Taken?, isOver: Bool) {
        let (taken, isOver, producers) = state.withLock { take(&$0, body) }
        tellProducers(producers, hasTaken: taken != nil)
        return (taken, isOver)
    }

    /// What was taken under the lock, whether nothing more can come, and the producers to call after it.
    private typealias Attempt<Taken> = (taken: Taken?, isOver: Bool, producers: [@Sendable () -> Void])

    /// The part of ``take(_:)`` that runs under the lock.
    @inline(__always)
    private func take<Taken>(_ state: inout State, _ body: (inout State) -> Taken) -> Attempt<Taken> {
        state.hasConsumers = true
        let taken = state.count > 0 ? body(&state) : nil
        if pool != nil, taken != nil {
            state.hasTaken = true
            account(&state)
        }
        var producers: [@Sendable () -> Void] = []
        // While a run is open, less than half is free.
        if !state.producers.isEmpty, state.openRun == nil, isHalfFree(&state) {
            swap(&producers, &state.producers)
            state.turns &+= producers.count
        }
        // While some are left, it is as ready as before.
        if state.count == 0 { publish(&state) }
        return (taken, taken == nil && state.isFinished, producers)
    }

    @inline(__always)
    private func tellProducers(_ producers: [@Sendable () -> Void], hasTaken: Bool) {
        for producer in producers { producer() }
        if let pool, hasTaken { pool.tellOwner() }
    }

    /// Takes the oldest RPC; nil when there is none.
    @inline(__always)
    func takeNext() -> RPC? { take { $0.removeFirst() }.taken }

    /// Takes the oldest RPC, for a consumer that will ask for more. Sets `run` to messages that it may take
    /// without asking; nil when there are none.
    func takeNext(opening run: inout OpenRun?) -> RPC? {
        guard mayHaveRPCs else { return nil }
        let (taken, producers) = state.withLock { state in
            let (taken, _, producers) = take(&state) { $0.removeFirst() }
            run = taken == nil ? nil : openRun(&state)
            return (taken, producers)
        }
        tellProducers(producers, hasTaken: taken != nil)
        return taken
    }

    /// The open run, which other consumers may have too, or a new one.
    ///
    /// Producers that wait are told by whoever takes under the lock. So the run ends where taking one more
    /// message would leave half of the capacity free.
    private func openRun(_ state: inout State) -> OpenRun? {
        // What a pool counts changes under the lock.
        guard pool == nil else { return nil }
        if let run = state.openRun { return run }
        guard !state.producers.isEmpty else { return state.openRun(atMost: .max) }
        let spareBytes = state.payloadBytes &- capacityBytes / 2 &- 1
        return state.openRun(
            atMost: max(
                state.count &- capacity / 2 &- 1,
                state.oldest?.messages(within: spareBytes) ?? 0
            )
        )
    }

    /// False when a consumer has nothing to take here, which it finds out without the lock: it waits next, or
    /// asks another queue. The queue of one peer is asked under the lock, which tells the others of the pool.
    @inline(__always)
    var mayHaveRPCs: Bool { hasRPCs || pool != nil }

    /// Where consumers wait, and where one that waits for a single RPC may be handed it.
    private struct Consumers: WaitPlace {
        var consumer: ConsumerHand?

        @inline(__always)
        var hand: AnyObject? { consumer }

        @inline(__always)
        func change<Result>(_ state: inout State, _ body: (inout WaitQueue) -> Result) -> Result {
            body(&state.consumers)
        }
    }

    /// Takes the oldest RPC; waits for one. Nil when the queue is finished and empty, or when the task is
    /// cancelled.
    @inline(__always)
    func waitForNext(with hand: ConsumerHand) async -> RPC? {
        await waitAndTake(at: Consumers(consumer: hand), handed: { hand.handed.take() }) {
            $0.removeFirst()
        }
    }

    /// Takes the oldest RPC; `loop` works while there is none. Nil when it is better to suspend.
    func workForNext(on loop: EventLoop) -> RPC? {
        guard work(on: loop, isHanded: true) else { return nil }
        return loop.turn.pointee.handed.take() ?? take { $0.removeFirst() }.taken
    }

    /// Takes all RPCs, at least one; `loop` works while there is none. Nil when it is better to suspend.
    func workForBatch(on loop: EventLoop) -> RPCBatch? {
        work(on: loop, isHanded: false) ? take { $0.removeAll() }.taken : nil
    }

    @inline(__always)
    private func work(on loop: EventLoop, isHanded: Bool) -> Bool {
        state.work(at: Consumers(), by: loop, isHanded: isHanded) { state in
            state.hasConsumers = true
            return state.isReady
        }
    }

    /// Takes all RPCs, at least one; nil when there is none.
    func takeBatch() -> RPCBatch? {
        mayHaveRPCs ? take { $0.removeAll() }.taken : nil
    }

    /// Takes all RPCs, at least one; waits for one. Nil as for ``waitForNext(with:)``.
    func waitForBatch() async -> RPCBatch? {
        await waitAndTake(at: Consumers(), handed: { nil }) { $0.removeAll() }
    }

    /// Waits until there is an RPC, and takes what was handed, or else with `body`. Nil as for
    /// ``waitForNext(with:)``.
    @inline(__always)
    private func waitAndTake<Taken>(
        at place: some WaitPlace<State>,
        handed: () -> Taken?,
        _ body: (inout State) -> Taken
    ) async -> Taken? {
        while true {
            let isWoken = await state.suspend(at: place) { state in
                state.hasConsumers = true
                return state.isReady
            }
            let (taken, isOver, producers) = state.withLock { state -> Attempt<Taken> in
                // With the lock, so that ThreadSanitizer sees what came before.
                if let rpc = handed() { return (rpc, false, []) }
                guard isWoken else { return (nil, true, []) }
                return take(&state, body)
            }
            tellProducers(producers, hasTaken: taken != nil)
            // Otherwise another consumer has taken it.
            if taken != nil || isOver { return taken }
        }
    }

    /// Blocks the thread until it is handed a message, or should look again.
    ///
    /// - Parameter handed: set to the message.
    /// - Returns: false when the deadline passes first.
    func block(until deadline: MonotonicTime?, handed: inout RPCBatch.Taken?) -> Bool {
        state.block(at: Consumers(), until: deadline, isHanded: true) { state in
            state.hasConsumers = true
            return state.isReady
        } collect: { parker in
            guard let hand = parker.hand else { return }
            let delivery = unsafeDowncast(hand, to: ThreadHand.self).handed.take()
            if let delivery { handed = RPCBatch.Taken(first: delivery, others: [], count: 1) }
        }
    }
}

extension InboxQueue.State {
    /// What waits here.
    fileprivate var held: InboxPool.Amount { .init(rpcs: count, bytes: payloadBytes) }
}
