// How consumers take from a queue, and wait for it.

extension InboxQueue {
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
