import Synchronization

/// The bounded queue between a transport and its consumers.
///
/// Any number of tasks may consume. Each RPC goes to exactly one of them, in the order of arrival. The inbox
/// drops nothing: a transport asks for ``space`` first, stops reading the peer that filled the inbox, and
/// resumes when half of the capacity is free. Use it in a ``Transport`` of your own.
///
/// For a transport with several ``TransportOptions/loops`` it has one queue for each loop, so that loops do
/// not wait for one another. Each queue has an equal part of the capacity, rounded down, at least one RPC.
/// RPCs are in the order of arrival within each queue.
public final class Inbox: Sendable {
    /// How many RPCs the inbox holds before producers have to wait.
    public let capacity: Int
    /// How many bytes of payload the inbox holds before producers have to wait. The RPC that exceeds it is
    /// still accepted whole.
    public let capacityBytes: Int

    let queues: [InboxQueue]
    /// The queue of an inbox with only one; nil with several. Its consumers wait in the queue, and the
    /// waiting state below is unused.
    let single: InboxQueue?

    /// Consumers that wait for any of several queues.
    private let consumers: Lock<WaitQueue>
    /// How many of these consumers wait or are about to wait.
    private let waiting = Atomic(0)
    /// The index of the queue from which consumers take first, and how many more RPCs they take from it
    /// before they turn to the next. Both are hints: of two consumers, the last write counts.
    private let preferred = Atomic(0)
    private let left = Atomic(longestStay)
    /// How many RPCs consumers take from one queue before they turn to the next. Large enough to outweigh the
    /// cost of moving a queue's memory to another core.
    static let longestStay = 256

    /// Whether all queues are finished.
    private let isFinished = Atomic(false)
    /// Made by the first call of ``pollableDescriptor()``.
    private let signal = Lock<PollableSignal?>(nil)

    /// Makes an empty inbox. Both limits are at least 1.
    public convenience init(capacity: Int, capacityBytes: Int = .max) {
        self.init(capacity: capacity, capacityBytes: capacityBytes, queues: 1)
    }

    /// Makes an inbox with `count` queues, one for each producing thread.
    init(capacity: Int, capacityBytes: Int, queues count: Int) {
        self.capacity = max(1, capacity)
        self.capacityBytes = max(1, capacityBytes)
        let consumers = Lock(WaitQueue())
        self.consumers = consumers
        queues = (0..<count).map { _ in
            InboxQueue(
                capacity: capacity / count,
                capacityBytes: capacityBytes / count,
                consumersOfAll: consumers
            )
        }
        single = count == 1 ? queues[0] : nil
    }

    /// Whether somebody has ever asked for an RPC.
    var hasConsumers: Bool { queues.contains { $0.hasConsumers } }

    /// The RPCs, and their bytes of payload, that wait for a consumer.
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

    /// Appends RPCs and wakes consumers. Any thread; never blocks. After ``finish()`` it drops them.
    ///
    /// - Returns: how many more RPCs may be offered.
    @discardableResult
    public func offer(_ rpcs: [RPC]) -> Int {
        let room = offer(rpcs, to: 0)
        if room.isOfOnePeer { return space }
        return room.isEmpty ? 0 : room.rpcs
    }

    /// Appends RPCs to one queue; see ``offer(_:)``.
    @discardableResult
    func offer(_ rpcs: [RPC], to index: Int) -> InboxRoom {
        offer(count: rpcs.count, to: index) { queue in
            for rpc in rpcs {
                queue.append(.init(rpc.peer, MessageRun(rpc.payload, rpc.kind)))
            }
        }
    }

    /// Offers to one queue what one peer has sent; see ``offer(_:)``.
    func offer(_ decoded: inout DecodedRuns, from peer: any Peer, to index: Int) -> InboxRoom {
        let count = decoded.count
        let (woken, room) = queues[index].offer(&decoded, from: peer)
        wake(woken, of: count)
        return room
    }

    func offer(
        count: Int,
        to index: Int,
        _ append: (inout InboxQueue.State) -> Void
    ) -> InboxRoom {
        let (woken, room) = queues[index].offer(count: count, append)
        wake(woken, of: count)
        return room
    }

    /// Resumes consumers of the queue to which `count` RPCs were offered, and for the rest of them consumers
    /// of all queues.
    @inline(__always)
    private func wake(_ woken: WaitQueue.Woken, of count: Int) {
        woken.resume()
        // A consumer counts itself before it checks the queues. This thread filled the queue before it reads
        // the count. So at least one of the two sees the other.
        if single == nil, waiting.load(ordering: .sequentiallyConsistent) > 0 {
            consumers.withLock { $0.wake(atMost: count &- woken.count) }.resume()
        }
    }

    /// Calls `action` once when at least half of the capacity is free: at once, or later from a consumer's
    /// thread.
    public func whenSpace(_ action: @escaping @Sendable () -> Void) { queues[0].whenSpace(action) }

    /// Nothing more will be offered of this peer: its consumer (``Transport/consumeEachPeer(_:)``) takes what
    /// is left, and then ends. Without such a consumer it does nothing.
    public func finish(_ peer: any Peer) { for queue in queues { queue.finish(peer) } }

    /// Ends the inbox: nothing more will be offered. Consumers take what is left, and then end.
    public func finish() {
        for queue in queues { queue.finish() }
        isFinished.store(true, ordering: .sequentiallyConsistent)
        consumers.withLock { $0.wakeAll() }.resume()
    }

    // MARK: Consuming

    /// Takes the oldest RPC of one queue. Nil when there is none, or when ``isTimeToYield``.
    func takeNext() -> RPC? { isTimeToYield ? nil : takeOne().taken }

    /// Takes the oldest RPC of one queue; waits for one. Nil when the inbox is finished and empty, or when
    /// the task is cancelled.
    func waitForNext() async -> RPC? { await wait { takeOne() } }

    /// Takes all RPCs of one queue, at least one. Nil as for ``takeNext()``.
    func takeBatch() -> RPCBatch? { isTimeToYield ? nil : takeAll().taken }

    /// Takes all RPCs of one queue, at least one; waits for one. Nil as for ``waitForNext()``.
    func waitForBatch() async -> RPCBatch? { await wait { takeAll() } }

    /// Takes up to `limit` RPCs, at least one. Blocks the thread until there is one.
    ///
    /// - Returns: nil when the inbox is finished and empty.
    /// - Throws: `wouldBlock` when `waitLimit` allows no waiting, `wouldDeadlock` on an event loop's thread,
    ///   `timedOut`.
    package func next(atMost limit: Int, _ waitLimit: WaitLimit) throws(ParleyError) -> RPCBatch.Taken? {
        try ForkedChild.check()
        let mayBlock = !EventLoop.isCurrentThreadALoop
        // A queue that is seen to be empty without the lock is waited for at once.
        var mayTake = !mayBlock || waitLimit.isNone || single?.mayHaveRPCs != false
        var taken: RPCBatch.Taken?
        while true {
            if mayTake {
                let isOver = take(atMost: max(1, limit), into: &taken)
                if taken != nil || isOver { return taken }
            }
            mayTake = true
            guard case .until(let deadline) = waitLimit else {
                throw ParleyError(.wouldBlock, "no message has arrived yet")
            }
            guard mayBlock else {
                throw ParleyError(.wouldDeadlock, "waiting for a message would block an event loop's thread")
            }
            guard block(until: deadline, handed: &taken) else {
                throw ParleyError(.timedOut, "no message arrived in time")
            }
            if taken != nil { return taken }
        }
    }

    /// A descriptor that is readable while a consumer would not have to wait: there is an RPC, or the inbox
    /// is finished. The first call makes it.
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

    private func takeAll() -> (taken: RPCBatch?, isOver: Bool) { take({ $0.removeAll() }, { $0.count }) }

    /// Sets `taken` to the oldest RPCs, at most `limit`. Leaves it as it is when there are none, and returns
    /// whether nothing more can come.
    private func take(atMost limit: Int, into taken: inout RPCBatch.Taken?) -> Bool {
        take(
            { queue in
                let removed = queue.removeFirst(atMost: limit)
                let count = removed.count
                taken = consume removed
                return count
            },
            { $0 }
        ).isOver
    }

    /// Takes from the first queue that has something. `isOver` is true when there is nothing and nothing more
    /// can come.
    private func take<Taken>(
        _ body: (inout InboxQueue.State) -> Taken,
        _ count: (Taken) -> Int
    ) -> (taken: Taken?, isOver: Bool) {
        if let single { return single.take(body) }
        // Read before the queues are checked: what was offered before the end is then seen.
        let isOver = isFinished.load(ordering: .sequentiallyConsistent)
        let first = firstIndex()
        var index = first
        repeat {
            if queues[index].hasRPCs, let taken = queues[index].take(body).taken {
                noteTaken(count(taken), at: index, hasLookedElsewhere: index != first)
                wakeNextConsumer()
                return (taken, false)
            }
            index = indexAfter(index)
        } while index != first
        return (nil, isOver)
    }

    /// Wakes another consumer if a queue still has something. The RPC that was taken may be another than the
    /// one that woke this consumer.
    private func wakeNextConsumer() {
        guard waiting.load(ordering: .sequentiallyConsistent) > 0, hasRPCs else { return }
        consumers.withLock { $0.wake(atMost: 1) }.resume()
    }

    private func indexAfter(_ index: Int) -> Int { index &+ 1 < queues.count ? index &+ 1 : 0 }

    /// The index of the queue to take from first.
    private func firstIndex() -> Int {
        let index = preferred.load(ordering: .relaxed)
        return left.load(ordering: .relaxed) > 0 ? index : indexAfter(index)
    }

    /// Counts what was taken from a queue. That queue becomes the preferred one when the old one is empty or
    /// has had its share.
    private func noteTaken(_ count: Int, at index: Int, hasLookedElsewhere: Bool) {
        let current = preferred.load(ordering: .relaxed)
        let left = left.load(ordering: .relaxed)
        if index == current {
            let isNewStay = left <= 0 && hasLookedElsewhere
            self.left.store((isNewStay ? Self.longestStay : left) &- count, ordering: .relaxed)
        } else if left <= 0 || !queues[current].hasRPCs {
            preferred.store(index, ordering: .relaxed)
            self.left.store(Self.longestStay &- count, ordering: .relaxed)
        }
    }

    // MARK: Waiting

    /// Waits until `take` returns something. Nil when the inbox is over, or when the task is cancelled.
    private func wait<Taken>(_ take: () -> (taken: Taken?, isOver: Bool)) async -> Taken? {
        assert(single == nil, "consumers of a single queue wait there")
        if isTimeToYield { await Task.yield() }
        waiting.add(1, ordering: .sequentiallyConsistent)
        defer { waiting.subtract(1, ordering: .sequentiallyConsistent) }
        while await consumers.wait(in: \.self, unless: { _ in isReady }) {
            // Another consumer may have taken it.
            let (taken, isOver) = take()
            if taken != nil || isOver { return taken }
        }
        return nil
    }

    /// Blocks the thread until it is handed a message, to which `handed` is set then, or until a consumer
    /// should look again; false when the deadline passes first.
    private func block(until deadline: MonotonicTime?, handed: inout RPCBatch.Taken?) -> Bool {
        if let single { return single.block(until: deadline, handed: &handed) }
        waiting.add(1, ordering: .sequentiallyConsistent)
        defer { waiting.subtract(1, ordering: .sequentiallyConsistent) }
        return consumers.block(in: \.self, until: deadline, unless: { _ in isReady })
    }

    /// The number of consumers that wait for any of several queues, for tests.
    var waitingConsumers: Int { consumers.withLock { $0.count } }

    private var hasRPCs: Bool { queues.contains { $0.hasRPCs } }

    private var isReady: Bool { hasRPCs || isFinished.load(ordering: .sequentiallyConsistent) }

    /// Whether the caller runs on a loop's thread and has taken its share. Other loops keep filling their
    /// queues, so without a yield it might never return to its own loop's sockets.
    private var isTimeToYield: Bool {
        left.load(ordering: .relaxed) <= 0 && EventLoop.isCurrentThreadALoop
    }
}
