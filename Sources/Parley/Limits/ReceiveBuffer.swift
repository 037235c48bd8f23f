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
        guard held != inbound.heldBytes else { return false }
        if hasProgress || inbound.heldBytes == 0 { inbound.heldSince = MonotonicTime.millisecondsNow }
        let grown = held &- inbound.heldBytes
        inbound.heldBytes = held
        let total = node.heldBytes.add(grown, ordering: .relaxed).newValue
        return grown > 0 && total > node.options.limits.receiveBufferBytes
    }

    /// Drops what this connection holds. Under the receiving half's lock.
    func dropHeld(_ inbound: inout Inbound) {
        inbound.state.dropInput()
        node.heldBytes.subtract(inbound.heldBytes, ordering: .relaxed)
        inbound.heldBytes = 0
        inbound.linkBytes = 0
    }

    /// The rank of this connection when one has to be dropped: bytes times the time they are held.
    fileprivate func weight(at now: UInt64) -> UInt64 {
        inbound.withLock { inbound in
            let isStream = inbound.state.phase == .stream
            let since = isStream ? max(inbound.heldSince, inbound.streamReadAt) : inbound.heldSince
            let held = inbound.heldBytes &+ (multiplexed?.heldBytes ?? 0)
            return ReceiveBuffer.weight(bytes: held, milliseconds: now &- min(now, since))
        }
    }
}

/// Decides which connection is dropped when all together hold too much.
enum ReceiveBuffer {
    /// Bytes times time without progress. A large message that arrives at full speed weighs little; the
    /// beginning of one that does not go on weighs more each second.
    static func weight(bytes: Int, milliseconds: UInt64) -> UInt64 {
        let age = min(milliseconds, .max - 1) + 1
        let (product, overflow) = UInt64(max(0, bytes)).multipliedReportingOverflow(by: age)
        return overflow ? .max : product
    }
}

extension Node {
    /// Drops the connections that hold most for longest until all together are within the limit. Any thread.
    func dropLargestHolder() {
        let limit = options.limits.receiveBufferBytes
        let now = MonotonicTime.millisecondsNow
        while heldBytes.load(ordering: .relaxed) > limit {
            let holders = state.withLock { state in
                state.connections.elements.map(\.connection) + state.undelivered.values
            }
            let weights = holders.map { $0.weight(at: now) }
            guard let most = weights.indices.max(by: { weights[$0] < weights[$1] }), weights[most] > 0 else {
                return
            }
            holders[most].drop(beyond: limit)
        }
    }
}

extension Connection {
    /// Ends this connection and drops what it holds at once: all together hold too much.
    fileprivate func drop(beyond limit: Int) {
        let (held, wasOver, readers) = inbound.withLock { inbound in
            let held = inbound.heldBytes &+ (multiplexed?.heldBytes ?? 0)
            dropHeld(&inbound)
            let wasOver = if case .over = inbound.intake.state { true } else { false }
            // What arrives before the link is closed is dropped too.
            if !wasOver { _ = inbound.intake.apply(.discard) }
            return (held, wasOver, inbound.readWaiters.wakeAll())
        }
        readers.resume()
        multiplexed?.dropHeld()
        guard !wasOver else {
            node.forgetUndelivered(of: self)
            loop.executeIfStarted { [self] in endDelivery() }
            return node.undeliveredDropped(self, bytes: held)
        }
        fail(
            ParleyError(
                .receiveBufferFull,
                "\(remoteAddress) holds \(held) unread bytes, and all peers together more than \(limit)"
            )
        )
    }
}
