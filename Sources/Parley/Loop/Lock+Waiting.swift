// How a task waits for a condition on locked state: in a queue of that state.

extension Lock {
    /// Waits until this task is woken out of `queue`; returns at once when `isReady` holds. A task on a
    /// loop's thread may work meanwhile (`EventLoop+Working`). Otherwise it is suspended.
    ///
    /// - Returns: false when the task was cancelled instead.
    func wait(
        in queue: any WritableKeyPath<State, WaitQueue> & Sendable,
        unless isReady: (inout State) -> Bool
    ) async -> Bool {
        await wait(at: KeyPathPlace(path: queue), unless: isReady)
    }

    /// The same at a place.
    func wait(
        at place: some WaitPlace<State>,
        unless isReady: (inout State) -> Bool
    ) async -> Bool {
        if isNonisolated(), let loop = EventLoop.working, work(at: place, by: loop, unless: isReady) {
            return true
        }
        let isWoken = await suspend(at: place, unless: isReady)
        withLock { _ in }
        return isWoken
    }

    /// Suspends the task until it is woken, for callers that take the lock next whatever this returns: when a
    /// continuation is resumed before its task sleeps, ThreadSanitizer sees no order between waker and task
    /// and reports the waker's writes as races. It does see the lock.
    @inline(__always)
    func suspend(
        at place: some WaitPlace<State>,
        unless isReady: (inout State) -> Bool
    ) async -> Bool {
        let ticket = newTicket()
        let suspension = Suspension()
        defer { suspension.end() }
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let immediately: Bool? = withLock { state in
                    // The cancellation handler may have run before the waiter was enqueued.
                    if Task.isCancelled { return false }
                    if isReady(&state) { return true }
                    place.change(&state) {
                        $0.enqueue(.init(ticket: ticket, waker: .task(continuation, hand: place.hand)))
                    }
                    return nil
                }
                if let immediately { continuation.resume(returning: immediately) }
            }
        } onCancel: {
            let waiter = withLock { place.change(&$0) { $0.remove(ticket) } }
            if case .task(let continuation, _)? = waiter?.waker { continuation.resume(returning: false) }
        }
    }
}

/// Whether the caller is not part of an actor.
@usableFromInline @inline(__always)
func isNonisolated(_ actor: isolated (any Actor)? = #isolation) -> Bool { actor == nil }
