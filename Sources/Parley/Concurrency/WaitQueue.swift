import Synchronization

/// A condition variable for async code: tasks, threads and functions wait in it for a condition on locked
/// state.
///
/// A waiter is woken, is cancelled, or gives up. Whichever comes first removes it from the queue under the
/// lock, so that no other follows. A woken waiter that has a hand may have been given what it waits for. Any
/// other looks at the state again. So a cancellation that races with a wake-up loses neither bytes nor
/// messages.
struct WaitQueue {
    /// The waiters, the oldest first. Most queues are empty most of the time. A small allocation is kept, so
    /// that waiting again does not allocate.
    private var waiters: [Waiter] = []
    /// The number of ``wakeAll()`` calls. Whoever reads the state and waits later compares it, so as not to
    /// miss one.
    private(set) var epoch: UInt = 0

    struct Waiter {
        let ticket: UInt64
        let waker: Waker

        func wake() { waker.wake(ticket) }
    }

    /// How a waiter is woken.
    enum Waker {
        /// `hand`: where it may be handed what it waits for; nil when it has none. The owner of the queue
        /// knows its type.
        case task(UnsafeContinuation<Bool, Never>, hand: AnyObject?)
        /// `isHanded`: whether it may be handed what it waits for, in its parker's hand.
        case thread(ThreadParker, isHanded: Bool)
        case function(@Sendable () -> Void)
        /// `isHanded`: whether it may be handed what it waits for. Its own thread knows where, so it needs no
        /// hand, and each message is spared the references to one.
        case working(any WorkingWaiter, isHanded: Bool)

        func wake(_ ticket: UInt64) {
            switch self {
            case .task(let continuation, _): continuation.resume(returning: true)
            case .thread(let parker, _): parker.wake()
            case .function(let function): function()
            case .working(let worker, _): worker.wake(ticket)
            }
        }
    }

    /// Waiters that were removed from the queue. Resume them after the lock is released.
    struct Woken {
        fileprivate var first: Waiter?
        fileprivate var others: [Waiter] = []

        var count: Int { first == nil ? 0 : 1 &+ others.count }

        /// The hand of the first waiter, if it has one.
        @inline(__always)
        var hand: AnyObject? { if case .task(_, let hand)? = first?.waker { hand } else { nil } }

        /// The first waiter's parker, if that is a thread.
        @inline(__always)
        var parker: ThreadParker? { if case .thread(let parker, _)? = first?.waker { parker } else { nil } }

        mutating func append(_ more: Woken) {
            guard first != nil, let next = more.first else {
                if first == nil { self = more }
                return
            }
            others.append(next)
            others += more.others
        }

        func resume() {
            first?.wake()
            for waiter in others { waiter.wake() }
        }
    }

    var isEmpty: Bool { waiters.isEmpty }

    /// The number of waiters, for tests.
    var count: Int { waiters.count }

    /// Counts as a ``wakeAll()`` for those who have read the epoch and do not wait yet.
    mutating func countWakeUp() { epoch &+= 1 }

    /// Removes all waiters.
    mutating func wakeAll() -> Woken {
        epoch &+= 1
        return waiters.isEmpty ? Woken() : wake(atMost: waiters.count)
    }

    /// Removes at most `count` waiters, the oldest first.
    mutating func wake(atMost count: Int) -> Woken {
        guard count > 0, !waiters.isEmpty else { return Woken() }
        // The common case: no array of woken waiters.
        if waiters.count == 1 { return Woken(first: waiters.removeLast()) }
        let woken = Woken(first: waiters[0], others: Array(waiters.prefix(count).dropFirst()))
        if count < waiters.count {
            waiters.removeFirst(count)
        } else {
            waiters.removeAll(keepingCapacity: waiters.capacity <= Self.idleCapacity)
        }
        return woken
    }

    /// Removes the oldest waiter, if this thread may hand it what it waits for.
    @inline(__always)
    mutating func wakeReceiver() -> Woken? {
        guard !waiters.isEmpty else { return nil }
        switch waiters[0].waker {
        case .working(let worker, isHanded: true): guard worker.isCurrent else { return nil }
        case .task(_, hand: .some), .thread(_, isHanded: true): break
        case .task, .thread, .function, .working: return nil
        }
        return wake(atMost: 1)
    }

    private static let idleCapacity = 16

    mutating func enqueue(_ waiter: Waiter) { waiters.append(waiter) }

    mutating func remove(_ ticket: UInt64) -> Waiter? {
        waiters.firstIndex { $0.ticket == ticket }.map { waiters.remove(at: $0) }
    }
}

/// Who does other work while it waits.
protocol WorkingWaiter: AnyObject, Sendable {
    /// Whether it works on the calling thread.
    var isCurrent: Bool { get }

    /// Works until `ticket` is woken. Returns false when it gives up before that.
    func work(until ticket: UInt64) -> Bool

    /// Ends the work for this ticket. Any thread; it may come late, when that work is over.
    func wake(_ ticket: UInt64)
}

/// A number that no other waiter has.
func newTicket() -> UInt64 { nextTicket.add(1, ordering: .relaxed).oldValue }

private let nextTicket = Atomic<UInt64>(1)

/// Where a waiter finds its queue in the guarded state. A key path is such a place; one that has to be made
/// for each wait, because it contains an object, costs more than the wait, so that the object is the place.
protocol WaitPlace<State>: Sendable {
    associatedtype State

    func change<Result>(_ state: inout State, _ body: (inout WaitQueue) -> Result) -> Result

    /// The hand of a task that waits here; nil when it has none.
    var hand: AnyObject? { get }
}

extension WaitPlace {
    @inline(__always)
    var hand: AnyObject? { nil }
}

struct KeyPathPlace<State>: WaitPlace {
    let path: any WritableKeyPath<State, WaitQueue> & Sendable

    @inline(__always)
    func change<Result>(_ state: inout State, _ body: (inout WaitQueue) -> Result) -> Result {
        body(&state[keyPath: path])
    }
}

extension Lock {
    /// Blocks the thread until it is woken out of `queue`; returns at once when `isReady` holds.
    ///
    /// - Returns: false when `deadline` passed first; nil means no deadline.
    func block(
        in queue: any WritableKeyPath<State, WaitQueue> & Sendable,
        until deadline: MonotonicTime?,
        unless isReady: (inout State) -> Bool
    ) -> Bool {
        block(at: KeyPathPlace(path: queue), until: deadline, unless: isReady)
    }

    /// The same at a place.
    ///
    /// - Parameters:
    ///   - isHanded: whether the thread may be handed what it waits for.
    ///   - collect: called with the parker of a thread that was woken, whose hand may have something.
    func block(
        at place: some WaitPlace<State>,
        until deadline: MonotonicTime?,
        isHanded: Bool = false,
        unless isReady: (inout State) -> Bool,
        collect: (ThreadParker) -> Void = { _ in }
    ) -> Bool {
        let ticket = newTicket()
        var parker: ThreadParker?
        withLock { state in
            guard !isReady(&state) else { return }
            let taken = ThreadParker.take()
            place.change(&state) {
                $0.enqueue(.init(ticket: ticket, waker: .thread(taken, isHanded: isHanded)))
            }
            parker = taken
        }
        guard let parker else { return true }
        let isInTime = parker.wait(until: deadline)
        // A waiter that is not in the queue any more was woken: that counts as in time.
        let isWoken = isInTime || withLock({ place.change(&$0) { $0.remove(ticket) } }) == nil
        if isWoken { collect(parker) }
        // A parker whose wake-up is still to come is not kept.
        if isInTime || !isWoken { ThreadParker.keep(parker) }
        return isWoken
    }

    /// Lets `waiter` work until it is woken out of the queue; returns at once when `isReady` holds.
    ///
    /// - Parameter isHanded: whether it may be handed what it waits for.
    /// - Returns: false when the waiter has given up.
    @inline(__always)
    func work(
        at place: some WaitPlace<State>,
        by waiter: some WorkingWaiter,
        isHanded: Bool = false,
        unless isReady: (inout State) -> Bool
    ) -> Bool {
        let ticket = newTicket()
        let mustWait = withLock { state in
            if isReady(&state) { return false }
            place.change(&state) {
                $0.enqueue(.init(ticket: ticket, waker: .working(waiter, isHanded: isHanded)))
            }
            return true
        }
        if !mustWait || waiter.work(until: ticket) { return true }
        // A waiter that is not in the queue any more was woken.
        return withLock { place.change(&$0) { $0.remove(ticket) } } == nil
    }

    /// Calls `function` once, from the thread that wakes it out of its queue; not at all when `isReady` holds
    /// already.
    ///
    /// - Returns: false when `isReady` holds.
    func notify(
        at place: some WaitPlace<State>,
        unless isReady: (inout State) -> Bool,
        _ function: @escaping @Sendable () -> Void
    ) -> Bool {
        let ticket = newTicket()
        return withLock { state in
            if isReady(&state) { return false }
            place.change(&state) { $0.enqueue(.init(ticket: ticket, waker: .function(function))) }
            return true
        }
    }
}
