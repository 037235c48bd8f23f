import Synchronization

/// The bounded queue between a transport and its consumers.
///
/// Any number of tasks may consume; each RPC goes to exactly one of them, in the order of arrival. It never drops:
/// a transport asks for ``space`` first, stops reading the peer that filled the inbox, and starts again when
/// consumers have taken half. You meet it when you write a ``Transport`` of your own.
///
/// A transport with several ``TransportOptions/loops`` has a queue for each of them inside, so that loops do not wait for one
/// another. Each has its part of the capacity, rounded down, but at least one; and the order is that of arrival in each.
public final class Inbox: Sendable {
    /// How many RPCs it holds before producers have to wait.
    public let capacity: Int
    /// How many bytes of payload it holds before producers have to wait; the RPC that goes over it is taken whole.
    public let capacityBytes: Int

    let queues: [InboxQueue]
    /// The only queue, where there is one alone: its consumers wait there, and everything else here is idle then.
    let single: InboxQueue?

    /// Consumers of all queues.
    private let consumers = Lock(WaitQueue())
    /// How many of them wait, or are about to.
    private let waiting = Atomic(0)
    /// The queue they look into first, and how many RPCs they take there before they turn to the next. Hints, whichever of
    /// two consumers wrote them last.
    private let place = Atomic(0)
    private let left = Atomic(longestStay)
    /// Longer than it takes to get at the memory of another core.
    static let longestStay = 256

    /// Whether all queues are finished.
    private let isFinished = Atomic(false)
    /// Made when somebody asks for it.
    private let signal = Lock<PollableSignal?>(nil)

    /// An empty inbox; both limits are at least 1.
    public convenience init(capacity: Int, capacityBytes: Int = .max) {
        self.init(capacity: capacity, capacityBytes: capacityBytes, queues: 1)
    }

    /// The same for producers on several threads, each of which has a queue.
    init(capacity: Int, capacityBytes: Int, queues count: Int) {
        self.capacity = max(1, capacity)
        self.capacityBytes = max(1, capacityBytes)
        queues = (0..<count).map { _ in
            InboxQueue(capacity: capacity / count, capacityBytes: capacityBytes / count)
        }
        single = count == 1 ? queues[0] : nil
    }

    /// How many RPCs, and bytes of payload, wait for a consumer.
    var depth: (rpcs: Int, bytes: Int) {
        queues.reduce((0, 0)) { sum, queue in
            let depth = queue.depth
            return (sum.0 &+ depth.rpcs, sum.1 &+ depth.bytes)
        }
    }

    // MARK: Producing

    /// How many more RPCs a producer may offer now.
    public var space: Int {
        let room = queues[0].room
        return room.isEmpty ? 0 : room.rpcs
    }

    /// Appends RPCs and wakes consumers. Any thread; never blocks. After ``finish()`` they are dropped.
    ///
    /// - Returns: the space that is left.
    @discardableResult
    public func offer(_ rpcs: [RPC]) -> Int {
        let room = offer(rpcs, to: 0)
        return room.isEmpty ? 0 : room.rpcs
    }

    /// The same for the queue that is filled.
    @discardableResult
    func offer(_ rpcs: [RPC], to index: Int) -> InboxRoom {
        offer(count: rpcs.count, to: index) { queue in
            for rpc in rpcs {
                queue.append(.init(rpc.peer, MessageRun(rpc.payload, isStream: rpc.stream)))
            }
        }
    }

    /// The same for what one peer has sent.
    func offer(_ decoded: borrowing DecodedRuns, from peer: any Peer, to index: Int) -> InboxRoom {
        let runs = decoded.runs
        return offer(count: decoded.count, to: index) { queue in
            for run in runs { queue.append(.init(peer, run)) }
        }
    }

    private func offer(
        count: Int,
        to index: Int,
        _ append: (inout InboxQueue.State) -> Void
    ) -> InboxRoom {
        let (woken, room) = queues[index].offer(count: count, append)
        woken.resume()
        // A consumer counts itself before it looks into the queues, and this one was filled before the look at the count: one
        // of both sees the other.
        if single == nil, waiting.load(ordering: .sequentiallyConsistent) > 0 {
            consumers.withLock { $0.wake(atMost: count &- woken.count) }.resume()
        }
        return room
    }

    /// Calls `action` once, from a consumer's thread or at once, when at least half of the capacity is free.
    public func whenSpace(_ action: @escaping @Sendable () -> Void) { queues[0].whenSpace(action) }

    /// Nothing more will be offered: consumers drain what is left, and then end.
    public func finish() {
        for queue in queues { queue.finish() }
        isFinished.store(true, ordering: .sequentiallyConsistent)
        consumers.withLock { $0.wakeAll() }.resume()
    }

    // MARK: Consuming

    /// The oldest RPC of a queue, if there is one; nil also when it is time to let a loop do something else.
    func takeNext() -> RPC? { isTimeToYield ? nil : takeOne().taken }

    /// The same; waits for one. Nil when the inbox is finished and empty, or the task is cancelled.
    func waitForNext() async -> RPC? { await wait { takeOne() } }

    /// Everything that one queue has, at least one RPC, if there is one; nil as for ``takeNext()``.
    func takeBatch() -> RPCBatch? { isTimeToYield ? nil : takeSome(.max).taken }

    /// The same; waits for one. Nil as for ``waitForNext()``.
    func waitForBatch() async -> RPCBatch? { await wait { takeSome(.max) } }

    /// Up to `limit` RPCs, at least one; blocks the thread until there is one.
    ///
    /// - Returns: nil when the inbox is finished and empty.
    /// - Throws: `wouldBlock` when it may not wait, `wouldDeadlock` on an event loop's thread, `timedOut`.
    package func next(atMost limit: Int, _ patience: WaitLimit) throws(ParleyError) -> RPCBatch? {
        while true {
            let (taken, isOver) = takeSome(max(1, limit))
            if taken != nil || isOver { return taken }
            guard case .until(let deadline) = patience else {
                throw ParleyError(.wouldBlock, "no message has arrived yet")
            }
            guard !EventLoop.isCurrentThreadALoop else {
                throw ParleyError(.wouldDeadlock, "waiting for a message would block an event loop's thread")
            }
            guard block(until: deadline) else {
                throw ParleyError(.timedOut, "no message arrived in time")
            }
        }
    }

    /// A descriptor that is readable while there is something to consume, or the end; made with the first call.
    package func pollableDescriptor() throws(ParleyError) -> Int32 {
        try signal.withLock { signal throws(ParleyError) in
            if let signal { return signal.descriptor }
            let made = try PollableSignal()
            signal = made
            for queue in queues { queue.tell(made) }
            return made.descriptor
        }
    }

    private func takeOne() -> (taken: RPC?, isOver: Bool) { take({ $0.removeFirst() }, { _ in 1 }) }

    private func takeSome(_ limit: Int) -> (taken: RPCBatch?, isOver: Bool) {
        take({ $0.removeFirst(atMost: limit) }, { $0.count })
    }

    /// Takes what there is now, from whichever queue; tells whether nothing more can come.
    private func take<Taken>(
        _ body: (inout InboxQueue.State) -> Taken,
        _ count: (Taken) -> Int
    ) -> (taken: Taken?, isOver: Bool) {
        if let single { return single.take(body) }
        // Looked at before the queues are.
        let isOver = isFinished.load(ordering: .sequentiallyConsistent)
        let first = firstPlace()
        var place = first
        repeat {
            if queues[place].hasSome, let taken = queues[place].take(body).taken {
                noteTaken(count(taken), at: place, hasLookedElsewhere: place != first)
                passOn()
                return (taken, false)
            }
            place = after(place)
        } while place != first
        return (nil, isOver)
    }

    /// What was taken may have been meant for a consumer of that queue, and what woke this one lies in another still.
    private func passOn() {
        guard waiting.load(ordering: .sequentiallyConsistent) > 0, hasSome else { return }
        consumers.withLock { $0.wake(atMost: 1) }.resume()
    }

    private func after(_ place: Int) -> Int { place &+ 1 < queues.count ? place &+ 1 : 0 }

    private func firstPlace() -> Int {
        let place = place.load(ordering: .relaxed)
        return left.load(ordering: .relaxed) > 0 ? place : after(place)
    }

    private func noteTaken(_ count: Int, at place: Int, hasLookedElsewhere: Bool) {
        let current = self.place.load(ordering: .relaxed)
        let left = left.load(ordering: .relaxed)
        if place == current {
            let isNewStay = left <= 0 && hasLookedElsewhere
            self.left.store((isNewStay ? Self.longestStay : left) &- count, ordering: .relaxed)
        } else if left <= 0 || !queues[current].hasSome {
            self.place.store(place, ordering: .relaxed)
            self.left.store(Self.longestStay &- count, ordering: .relaxed)
        }
    }

    // MARK: Waiting

    /// Waits until `take` has something.
    private func wait<Taken>(_ take: () -> (taken: Taken?, isOver: Bool)) async -> Taken? {
        assert(single == nil, "consumers of a single queue wait there")
        if isTimeToYield { await Task.yield() }
        waiting.add(1, ordering: .sequentiallyConsistent)
        defer { waiting.subtract(1, ordering: .sequentiallyConsistent) }
        while await consumers.wait(in: \.self, unless: { _ in isReady }) {
            // Somebody else may have been faster.
            let (taken, isOver) = take()
            if taken != nil || isOver { return taken }
        }
        return nil
    }

    /// Blocks the thread likewise; false when the deadline has passed.
    private func block(until deadline: MonotonicTime?) -> Bool {
        if let single { return single.block(until: deadline) }
        waiting.add(1, ordering: .sequentiallyConsistent)
        defer { waiting.subtract(1, ordering: .sequentiallyConsistent) }
        return consumers.block(in: \.self, until: deadline, unless: { _ in isReady })
    }

    /// How many consumers of all queues wait; for tests.
    var waitingConsumers: Int { consumers.withLock { $0.count } }

    private var hasSome: Bool { queues.contains { $0.hasSome } }

    private var isReady: Bool { hasSome || isFinished.load(ordering: .sequentiallyConsistent) }

    /// Whether the caller is on a loop, and has taken much. Other loops fill their queues meanwhile, so that it might never
    /// come to an end, and its own one not to its sockets.
    private var isTimeToYield: Bool {
        left.load(ordering: .relaxed) <= 0 && EventLoop.isCurrentThreadALoop
    }
}
