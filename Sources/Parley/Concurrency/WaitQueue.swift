import Synchronization

/// Tasks, threads and functions that wait for a condition on some locked state: a condition variable for async code.
///
/// A wake-up carries no data. Whoever wakes looks at the state again, so a cancellation that races with a wake-up
/// can lose neither bytes nor messages. Each waiter is woken or cancelled, exactly once: both take it out of the
/// queue under the lock before they resume it.
struct WaitQueue {
    /// In the order of their coming. Most have none at most times; the place of a few is kept, so that to wait again costs
    /// no allocation.
    private var waiters: [Waiter] = []
    /// Counts calls of ``wakeAll()``: whoever looked at the state before one must not sleep through it.
    private(set) var epoch: UInt = 0

    fileprivate struct Waiter {
        let ticket: UInt64
        let waker: Waker
    }

    /// Who waits.
    fileprivate enum Waker {
        case task(UnsafeContinuation<Bool, Never>)
        case thread(ThreadParker)
        case function(@Sendable () -> Void)

        func wake() {
            switch self {
            case .task(let continuation): continuation.resume(returning: true)
            case .thread(let parker): parker.wake()
            case .function(let function): function()
            }
        }
    }

    /// Waiters that have left the queue: resume them when the lock is open again.
    struct Woken {
        fileprivate var first: Waiter?
        fileprivate var others: [Waiter] = []

        var count: Int { first == nil ? 0 : 1 &+ others.count }

        func resume() {
            first?.waker.wake()
            for waiter in others { waiter.waker.wake() }
        }
    }

    var isEmpty: Bool { waiters.isEmpty }

    /// For tests.
    var count: Int { waiters.count }

    /// As ``wakeAll()``, when it is known that nobody waits.
    mutating func noteWakeUp() { epoch &+= 1 }

    mutating func wakeAll() -> Woken {
        epoch &+= 1
        return waiters.isEmpty ? Woken() : wake(atMost: waiters.count)
    }

    /// Takes out those that have waited longest.
    mutating func wake(atMost count: Int) -> Woken {
        guard count > 0, !waiters.isEmpty else { return Woken() }
        // Nearly always there is one.
        if waiters.count == 1 { return Woken(first: waiters.removeLast()) }
        let woken = Woken(first: waiters[0], others: Array(waiters.prefix(count).dropFirst()))
        if count < waiters.count {
            waiters.removeFirst(count)
        } else {
            waiters.removeAll(keepingCapacity: waiters.capacity <= Self.keptPlaces)
        }
        return woken
    }

    private static let keptPlaces = 16

    fileprivate mutating func enqueue(_ waiter: Waiter) { waiters.append(waiter) }

    fileprivate mutating func remove(_ ticket: UInt64) -> Waiter? {
        waiters.firstIndex { $0.ticket == ticket }.map { waiters.remove(at: $0) }
    }
}

private let nextTicket = Atomic<UInt64>(1)

extension Lock {
    /// Suspends until somebody takes this task out of `queue`, unless `isReady` holds already.
    ///
    /// - Returns: false when the task was cancelled instead.
    func wait(
        in queue: any WritableKeyPath<State, WaitQueue> & Sendable,
        unless isReady: (inout State) -> Bool
    ) async -> Bool {
        let ticket = nextTicket.add(1, ordering: .relaxed).oldValue
        let isWoken = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let immediately: Bool? = withLock { state in
                    // The cancellation handler may have run before there was anything to take out.
                    if Task.isCancelled { return false }
                    if isReady(&state) { return true }
                    state[keyPath: queue].enqueue(.init(ticket: ticket, waker: .task(continuation)))
                    return nil
                }
                if let immediately { continuation.resume(returning: immediately) }
            }
        } onCancel: {
            let waiter = withLock { $0[keyPath: queue].remove(ticket) }
            if case .task(let continuation)? = waiter?.waker { continuation.resume(returning: false) }
        }
        // When a continuation is resumed before its task sleeps, ThreadSanitizer sees nothing that orders the two, and takes
        // what the waker did before for a race. The lock it sees.
        return withLock { _ in isWoken }
    }

    /// Blocks the thread until somebody takes it out of `queue`, unless `isReady` holds already.
    ///
    /// - Returns: false when `deadline` passed first; nil is never.
    func block(
        in queue: WritableKeyPath<State, WaitQueue>,
        until deadline: MonotonicTime?,
        unless isReady: (inout State) -> Bool
    ) -> Bool {
        let ticket = nextTicket.add(1, ordering: .relaxed).oldValue
        let parker: ThreadParker? = withLock { state in
            if isReady(&state) { return nil }
            let parker = ThreadParker()
            state[keyPath: queue].enqueue(.init(ticket: ticket, waker: .thread(parker)))
            return parker
        }
        guard let parker, !parker.wait(until: deadline) else { return true }
        // Whoever has taken it out meanwhile meant this thread: that counts as in time.
        return withLock { $0[keyPath: queue].remove(ticket) } == nil
    }

    /// Calls `function` once, from the thread that takes it out of `queue`; not at all when `isReady` holds already.
    ///
    /// - Returns: false when `isReady` holds.
    func notify(
        in queue: WritableKeyPath<State, WaitQueue>,
        unless isReady: (inout State) -> Bool,
        _ function: @escaping @Sendable () -> Void
    ) -> Bool {
        let ticket = nextTicket.add(1, ordering: .relaxed).oldValue
        return withLock { state in
            if isReady(&state) { return false }
            state[keyPath: queue].enqueue(.init(ticket: ticket, waker: .function(function)))
            return true
        }
    }
}
