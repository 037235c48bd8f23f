// A queue for each peer: RPCs go from the inbox queue to the lane of their peer. The lock of the inbox queue
// is taken before that of a lane.

extension InboxQueue {
    /// Gives each peer a queue of its own, beginning with what waits here.
    ///
    /// - Throws: `invalidArgument` when each peer has one already, or when this is the queue of one peer.
    func beginLanes(_ arrivals: PeerArrivals) throws(ParleyError) {
        guard pool == nil else {
            throw ParleyError(.invalidArgument, "these are the RPCs of one peer already")
        }
        let (woken, producers, lanes) = try state.withLock {
            state throws(ParleyError) -> (WaitQueue.Woken, [@Sendable () -> Void], PeerLanes?) in
            guard state.lanes == nil else {
                throw ParleyError(.invalidArgument, "the RPCs of each peer are being consumed already")
            }
            state.lanes = PeerLanes(of: self, arrivals)
            let (woken, _) = moveToLanes(&state)
            // Producers that wait for room here have room of their own now, and ask for it.
            defer { state.producers = [] }
            return (woken, state.producers, state.isFinished ? state.lanes : nil)
        }
        woken.resume()
        for producer in producers { producer() }
        lanes?.finish()
    }

    /// Takes back what the peers' consumers have left. The RPCs of one peer stay in order.
    ///
    /// - Returns: how many RPCs it took back.
    func endLanes() -> Int {
        let (woken, producers, lanes, count) = state.withLock { state in
            let lanes = state.lanes
            state.lanes = nil
            for lane in lanes?.all ?? [] {
                for delivery in lane.queue.removeAll() { state.append(restOf: delivery) }
            }
            publish(&state)
            defer { state.producers = [] }
            return (state.consumers.wake(atMost: state.count), state.producers, lanes, state.count)
        }
        woken.resume()
        for producer in producers { producer() }
        // Producers that wait for a lane ask this queue from now on.
        lanes?.finish()
        return count
    }

    /// Removes everything, and calls nobody.
    private func removeAll() -> [RPCBatch.Delivery] {
        state.withLock { state in
            let deliveries = state.removeDeliveries()
            account(&state)
            publish(&state)
            return deliveries
        }
    }

    /// Moves everything that waits here to its peers' lanes. The lock of this queue is held.
    func moveToLanes(_ state: inout State) -> (WaitQueue.Woken, room: InboxRoom) {
        var woken = WaitQueue.Woken()
        var room = InboxRoom.unknown
        for delivery in state.removeDeliveries() {
            guard let (lane, isNew) = state.lanes?.lane(of: delivery.peer) else { break }
            let offered = lane.queue.offer(count: delivery.count) { $0.append(restOf: delivery) }
            woken.append(offered.0)
            if isNew, let waiter = state.lanes?.arrivals.add(lane) { woken.append(waiter) }
            room = offered.room
        }
        publish(&state)
        return (woken, room)
    }

    /// Whether this peer has a lane now.
    func hasLane(of peer: any Peer) -> Bool { state.withLock { $0.lanes?[peer] != nil } }

    /// Whether an RPC waits in this peer's lane.
    func hasWaiting(of peer: any Peer) -> Bool {
        state.withLock { state in state.lanes?[peer].map { $0.queue.depth.rpcs > 0 } ?? false }
    }

    /// The number of lanes, for tests.
    var laneCount: Int { state.withLock { $0.lanes?.all.count ?? 0 } }

    /// Ends the lane of a peer that sends nothing more. Its consumer takes what is left, and then the end.
    func finish(_ peer: any Peer) {
        state.withLock { state -> Finished? in
            guard let lane = state.lanes?[peer] else { return nil }
            if lane.isGivenUp { state.lanes?.remove(peer) }
            return lane.queue.markFinished()
        }?.tell()
    }

    /// Drops what waits in a lane whose consumer has given up, and what its peer may still send.
    func drop(_ lane: PeerLane) {
        state.withLock { state -> Finished in
            lane.isGivenUp = true
            // The peer sends nothing more.
            if lane.queue.isFinished, state.lanes?[lane.peer] === lane { state.lanes?.remove(lane.peer) }
            return lane.queue.markFinished()
        }.tell()
        while lane.queue.takeBatch() != nil {}
    }

    /// Decides whether the consumer of a lane is called again after it has returned: when RPCs are left. A
    /// consumer that has taken none loses the first, so that it is not called for ever.
    ///
    /// A lane without RPCs is given up. The next RPC of its peer makes another one.
    func goesOn(_ lane: PeerLane) -> Bool {
        if !lane.queue.state.withLock({ $0.hasTaken }) { lane.queue.takeNext()?.peer.consumed(1) }
        return state.withLock { state in
            if lane.queue.depth.rpcs > 0 { return true }
            if state.lanes?[lane.peer] === lane { state.lanes?.remove(lane.peer) }
            return false
        }
    }

    /// Forgets that something was taken; see ``goesOn(_:)``.
    func beginTaking() { state.withLock { $0.hasTaken = false } }

    /// Calls the producers that wait for the room of all peers, when a peer's consumer has made enough.
    func laneMadeRoom() {
        let producers = state.withLock { state in
            guard isHalfFree(&state) else { return [@Sendable () -> Void]() }
            state.lanes?.pool.isAwaited = false
            state.turns &+= state.producers.count
            defer { state.producers = [] }
            return state.producers
        }
        for producer in producers { producer() }
    }
}
