// What all peers of a node together have received and left unread: counted when it changes, and bounded by
// `Limits.receiveBufferBytes`.

extension Connection {
    /// Counts what this connection holds now. Under the receiving half's lock.
    ///
    /// - Parameter hasProgress: whether something was handed on: what is held is then new.
    /// - Returns: whether all connections together hold too much.
    @inline(__always)
    func account(_ inbound: inout Inbound, hasProgress: Bool) -> Bool {
        let held = inbound.state.heldBytes
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
    }

    /// How much this connection weighs when one has to go: bytes and how long they are held, multiplied.
    fileprivate func weight(at now: UInt64) -> UInt64 {
        inbound.withLock { inbound in
            let since = inbound.state.phase == .stream ? max(inbound.heldSince, inbound.streamReadAt) : inbound.heldSince
            return ReceiveBuffer.weight(bytes: inbound.heldBytes, milliseconds: now &- min(now, since))
        }
    }
}

/// Who has to go when all connections together hold too much.
enum ReceiveBuffer {
    /// Whoever holds most for longest: a large message that is on its way at full speed weighs little, and the beginning
    /// of one that does not go on weighs more each second.
    static func weight(bytes: Int, milliseconds: UInt64) -> UInt64 {
        let age = min(milliseconds, .max - 1) + 1
        let (product, overflow) = UInt64(max(0, bytes)).multipliedReportingOverflow(by: age)
        return overflow ? .max : product
    }
}

extension Node {
    /// All connections together hold more than they may: the one that holds most for longest goes. Any thread.
    func dropLargestHolder() {
        let limit = options.limits.receiveBufferBytes
        let now = MonotonicTime.millisecondsNow
        while heldBytes.load(ordering: .relaxed) > limit {
            let holders = state.withLock { state in
                state.connections.elements.map(\.connection) + state.backlogs.values
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
    /// Ends this connection because all together hold too much, and drops what it holds at once.
    fileprivate func drop(beyond limit: Int) {
        let (held, wasOver, readers) = inbound.withLock { inbound in
            let held = inbound.heldBytes
            dropHeld(&inbound)
            let wasOver = if case .over = inbound.intake.state { true } else { false }
            // What still comes before the link is closed is dropped too.
            if !wasOver { _ = inbound.intake.apply(.discard) }
            return (held, wasOver, inbound.readers.wakeAll())
        }
        readers.resume()
        guard !wasOver else {
            node.forgetBacklog(of: self)
            return node.backlogDropped(self, bytes: held)
        }
        fail(
            ParleyError(
                .receiveBufferFull,
                "\(remoteAddress) keeps \(held) bytes unread, and all peers more than \(limit)"
            )
        )
    }
}
