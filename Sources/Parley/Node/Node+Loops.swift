// The assignment of connections to loops. Any thread.

extension Node {
    /// The loop that listens. It is also used for work that belongs to no peer.
    package var loop: EventLoop { contexts[0].loop }

    /// Reserves a place on the context with the fewest connections. ``release(_:)`` follows once for each
    /// call.
    func reserveContext() -> LoopContext {
        guard contexts.count > 1 else { return contexts[0] }
        return loads.withLock { loads in
            var least = 0
            for index in 1..<loads.count where loads[index] < loads[least] { least = index }
            loads[least] += 1
            return contexts[least]
        }
    }

    /// Moves a reservation to the first context, which listens: the thread of `context` cannot start.
    func takeFirst(insteadOf context: LoopContext) -> LoopContext {
        loads.withLock { loads in
            loads[context.index] -= 1
            loads[0] += 1
        }
        return contexts[0]
    }

    /// Releases the place of a connection that has ended or did not open.
    func release(_ context: LoopContext) {
        guard contexts.count > 1 else { return }
        loads.withLock { $0[context.index] -= 1 }
    }
}
