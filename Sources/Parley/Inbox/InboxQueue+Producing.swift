// How the loops fill a queue: the room that is left, and offers.

extension InboxQueue {
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

    /// The room for a producer that ``whenSpace(_:)`` has called; this uses up its turn. Producers that were
    /// called together divide the room (``InboxRoom/share``), so that one with much to offer does not starve
    /// the others.
    func takeTurn() -> InboxRoom { state.withLock { takeTurn(&$0) } }

    /// The same for one peer.
    func takeTurn(of peer: any Peer) -> InboxRoom {
        state.withLock { state in
            guard let lanes = state.lanes else { return takeTurn(&state) }
            return lanes[peer]?.queue.takeTurn() ?? lanes.pool.room(holding: .init(), turns: 0)
        }
    }

    private func takeTurn(_ state: inout State) -> InboxRoom {
        var room = room(&state)
        room.turns = max(0, state.turns &- 1)
        state.turns = room.turns
        return room
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
}
