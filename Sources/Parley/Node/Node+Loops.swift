// How connections are spread over the loops. Any thread.

extension Node {
    /// The loop where the node listens, and that whoever has no peer in mind gets.
    package var loop: EventLoop { contexts[0].loop }

    /// A context for one more connection: the one that has the fewest. ``release(_:)`` is called once for each call.
    func reserveContext() -> LoopContext {
        guard contexts.count > 1 else { return contexts[0] }
        return loads.withLock { loads in
            var least = 0
            for index in 1..<loads.count where loads[index] < loads[least] { least = index }
            loads[least] += 1
            return contexts[least]
        }
    }

    /// The same, when that one's thread cannot be started: the first, which listens, then.
    func takeFirst(insteadOf context: LoopContext) -> LoopContext {
        loads.withLock { loads in
            loads[context.index] -= 1
            loads[0] += 1
        }
        return contexts[0]
    }

    /// A connection of that context has ended, or did not come to be.
    func release(_ context: LoopContext) {
        guard contexts.count > 1 else { return }
        loads.withLock { $0[context.index] -= 1 }
    }
}
