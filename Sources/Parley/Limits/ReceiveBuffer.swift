// The unread bytes of all peers of a node together. They are counted on every change and bounded by
// `Limits.receiveBufferBytes`.

extension Connection {
    /// Counts what this connection holds now. Under the receiving half's lock.
    ///
    /// - Parameter hasProgress: whether something was delivered. The time of what is held starts again then.
    /// - Returns: whether all connections together hold too much.
    @inline(__always)
    func account(_ inbound: inout Inbound, hasProgress: Bool) -> Bool {
        let held = inbound.state.heldBytes &+ inbound.linkBytes
        guard held != inbound.held.bytes else { return false }
        let grown = inbound.held.change(to: held, hasProgress, at: MonotonicTime.millisecondsNow)
        let total = node.heldBytes.add(grown, ordering: .relaxed).newValue
        return grown > 0 && total > node.options.limits.receiveBufferBytes
    }

    /// Drops what this connection holds. Under the receiving half's lock.
    func dropHeld(_ inbound: inout Inbound) {
        inbound.state.dropInput()
        inbound.linkBytes = 0
        node.heldBytes.subtract(inbound.held.bytes, ordering: .relaxed)
        inbound.held = HeldBytes()
    }

    /// The rank of this connection when one has to be dropped: bytes times the time they are held.
    fileprivate func weight(at now: UInt64) -> UInt64 {
        let weight = inbound.withLock { inbound in
            // A stream's reader makes progress too.
            inbound.held.weight(at: now, notBefore: inbound.state.phase == .stream ? inbound.streamReadAt : 0)
        }
        let streams = multiplexed?.weight(at: now) ?? 0
        return weight > .max - streams ? .max : weight + streams
    }
}

/// How many received bytes are held, and since when.
struct HeldBytes: Sendable {
    private(set) var bytes = 0
    /// Since when none of them was delivered, in milliseconds.
    private(set) var since: UInt64 = 0

    /// - Parameter hasProgress: whether something was delivered. The time starts again then.
    /// - Returns: by how much that is more than before.
    @inline(__always)
    mutating func change(to bytes: Int, _ hasProgress: Bool, at now: @autoclosure () -> UInt64) -> Int {
        if hasProgress || self.bytes == 0 { since = now() }
        defer { self.bytes = bytes }
        return bytes &- self.bytes
    }

    /// Decides which connection is dropped when all together hold too much: bytes times time without
    /// progress. A large message that arrives at full speed weighs little; the beginning of one that does not
    /// go on weighs more each second.
    ///
    /// - Parameter progress: when something else made progress, in milliseconds.
    func weight(at now: UInt64, notBefore progress: UInt64 = 0) -> UInt64 {
        let age = min(now.since(max(since, progress)), .max - 1) + 1
        let (product, overflow) = UInt64(max(0, bytes)).multipliedReportingOverflow(by: age)
        return overflow ? .max : product
    }
}

extension Node {
    /// Drops the connections that hold most for longest until all together are within the limit. Any thread.
    func dropLargestHolder() {
        let limit = options.limits.receiveBufferBytes
        let now = MonotonicTime.millisecondsNow
        // Each at most once, whatever it still counts: this may be the thread on which it has to end.
        var dropped: Set<ObjectIdentifier> = []
        while heldBytes.load(ordering: .relaxed) > limit {
            let holders = state.withLock { state in
                state.connections.elements.map(\.connection) + state.undelivered.values
                    + state.holders.compactMap(\.connection)
            }.filter { !dropped.contains(ObjectIdentifier($0)) }
            let weights = holders.map { $0.weight(at: now) }
            guard let most = weights.indices.max(by: { weights[$0] < weights[$1] }), weights[most] > 0 else {
                return
            }
            dropped.insert(ObjectIdentifier(holders[most]))
            holders[most].drop(beyond: limit)
        }
    }
}

extension Connection {
    /// Ends this connection and drops what it holds at once: all together hold too much.
    fileprivate func drop(beyond limit: Int) {
        let (held, reason, wasOver, readers) = inbound.withLock { inbound in
            let held = inbound.held.bytes &+ (multiplexed?.heldBytes ?? 0)
            let reason = ParleyError(
                .receiveBufferFull,
                "\(remoteAddress) holds \(held) unread bytes, and all peers together more than \(limit)"
            )
            dropHeld(&inbound)
            // What is left of a stream would pass for all of it.
            if inbound.closed == nil { inbound.closed = reason }
            let wasOver = if case .over = inbound.intake.state { true } else { false }
            // What arrives before the link is closed is dropped too.
            if !wasOver { _ = inbound.intake.apply(.discard) }
            return (held, reason, wasOver, inbound.readWaiters.wakeAll())
        }
        readers.resume()
        multiplexed?.dropHeld(reason)
        guard !wasOver else {
            node.forgetUndelivered(of: self)
            loop.executeIfStarted { [self] in endDelivery() }
            return node.undeliveredDropped(self, bytes: held)
        }
        fail(reason)
    }
}
