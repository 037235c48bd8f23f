import Synchronization

/// A queue for each peer whose RPCs have arrived at an ``InboxQueue``, so that each peer has a consumer of
/// its own. The lock of the inbox queue guards it. It is held while the lock of a lane's queue is taken.
struct PeerLanes {
    let pool: InboxPool
    /// Where new lanes are announced.
    let arrivals: PeerArrivals
    private unowned let owner: InboxQueue
    private var lanes: [ObjectIdentifier: PeerLane] = [:]

    init(of owner: InboxQueue, _ arrivals: PeerArrivals) {
        pool = InboxPool(of: owner)
        self.owner = owner
        self.arrivals = arrivals
    }

    var all: [PeerLane] { Array(lanes.values) }

    subscript(peer: any Peer) -> PeerLane? { lanes[ObjectIdentifier(peer)] }

    /// The lane of a peer, which is made for its first RPC.
    mutating func lane(of peer: any Peer) -> (PeerLane, isNew: Bool) {
        if let lane = self[peer] { return (lane, false) }
        let lane = PeerLane(peer, owner, InboxQueue(sharing: pool))
        lanes[ObjectIdentifier(peer)] = lane
        return (lane, true)
    }

    @discardableResult
    mutating func remove(_ peer: any Peer) -> PeerLane? {
        lanes.removeValue(forKey: ObjectIdentifier(peer))
    }

    /// Nothing more arrives for any lane. No lock is held.
    func finish() {
        for lane in all { lane.queue.finish() }
        arrivals.finish()
    }
}

/// What one peer has sent and its consumer has not taken yet.
final class PeerLane: Sendable {
    /// Kept, so that no other peer can have its identity meanwhile.
    let peer: any Peer
    /// The queue from which its RPCs come.
    let owner: InboxQueue
    let queue: InboxQueue
    private let givenUp = Atomic(false)

    /// Whether its consumer has given up. What its peer still sends is dropped.
    var isGivenUp: Bool {
        get { givenUp.load(ordering: .relaxed) }
        set { givenUp.store(newValue, ordering: .relaxed) }
    }

    init(_ peer: any Peer, _ owner: InboxQueue, _ queue: InboxQueue) {
        self.peer = peer
        self.owner = owner
        self.queue = queue
    }
}

/// The new lanes of one or several inbox queues, for the task that starts a consumer for each.
final class PeerArrivals: Sendable {
    private struct State {
        var lanes: [PeerLane] = []
        var unfinishedQueues: Int
        var waiters = WaitQueue()
    }

    private let state: Lock<State>

    /// - Parameter queues: how many inbox queues announce lanes here.
    init(queues: Int) { state = Lock(State(unfinishedQueues: queues)) }

    /// Announces a lane. Returns who waits for it.
    func add(_ lane: PeerLane) -> WaitQueue.Woken {
        state.withLock { state in
            state.lanes.append(lane)
            return state.waiters.wake(atMost: 1)
        }
    }

    /// One of the queues announces no more lanes.
    func finish() {
        state.withLock { state in
            state.unfinishedQueues &-= 1
            return state.waiters.wakeAll()
        }.resume()
    }

    /// The lanes that were announced since; waits for one. Nil when there will be none, or when the task is
    /// cancelled.
    func next() async -> [PeerLane]? {
        while true {
            let (lanes, isOver) = state.withLock { state in
                defer { state.lanes = [] }
                return (state.lanes, state.unfinishedQueues <= 0)
            }
            if !lanes.isEmpty { return lanes }
            if isOver { return nil }
            let isWoken = await state.wait(
                in: \.waiters,
                unless: { !$0.lanes.isEmpty || $0.unfinishedQueues <= 0 }
            )
            guard isWoken else { return nil }
        }
    }
}
