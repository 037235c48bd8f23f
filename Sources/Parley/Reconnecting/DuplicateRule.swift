/// What to do when two nodes have two connections, because both have dialed or one has dialed twice.
///
/// Addresses do not say who a node is: your handshake has to find out. What it found is asked for when the handshake and
/// `onPeer` are done.
public struct DuplicateRule: Sendable {
    /// Which of two connections stays.
    public enum Verdict: Sendable {
        /// The one that was there.
        case keepExisting
        /// The one that has just been greeted.
        case keepNew
        /// Both: this node does not mind.
        case keepBoth
    }

    let identify: @Sendable (any Peer) -> String?
    let settle: @Sendable (_ existing: any Peer, _ new: any Peer) -> Verdict

    /// A rule of your own. The loser is closed with the reason `duplicate`; a dial that loses throws it.
    ///
    /// - Parameters:
    ///   - identify: who this greeted peer is; nil when that is not known, and there is nothing to settle then.
    ///   - settle: decides between two connections with the same node. Both sides have to come to the same end.
    ///
    /// Both are called on any thread, and must not block.
    public init(
        identify: @escaping @Sendable (any Peer) -> String?,
        settle: @escaping @Sendable (_ existing: any Peer, _ new: any Peer) -> Verdict
    ) {
        self.identify = identify
        self.settle = settle
    }

    /// The connection that the node with the smaller identity has dialed stays; of two that the same node has dialed,
    /// the newer. Both sides decide alike.
    ///
    /// - Parameters:
    ///   - identity: this node's own.
    ///   - identify: as for ``init(identify:settle:)``.
    public static func smallerDials(
        identity: String,
        identify: @escaping @Sendable (any Peer) -> String?
    ) -> DuplicateRule {
        DuplicateRule(identify: identify) { existing, new in
            guard existing.isOutbound != new.isOutbound else { return .keepNew }
            let isOursToDial = identity < (identify(new) ?? "")
            return new.isOutbound == isOursToDial ? .keepNew : .keepExisting
        }
    }
}

extension Node {
    /// Decides which of two connections with one node stays, if there are two. Any thread.
    func applyDuplicateRule(to connection: Connection) {
        guard let rule = options.duplicates, connection.outbound.withLock({ $0.lifecycle.isStarting }),
            let identity = rule.identify(connection)
        else { return }
        let existing: Connection? = state.withLock { state in
            guard state.connections[connection.number] != nil else { return nil }
            state.identityOf[connection.number] = identity
            let known = state.identities[identity].flatMap { state.connections[$0]?.connection }
            if known == nil { state.identities[identity] = connection.number }
            return known
        }
        guard let existing, existing !== connection else { return }
        // One that is ending already is no reason to refuse a new one.
        var verdict = existing.isLive ? rule.settle(existing, connection) : .keepNew
        if verdict == .keepExisting, !existing.isLive { verdict = .keepNew }
        let reason = ParleyError(.duplicate, "there is another connection with node \(identity)")
        switch verdict {
        case .keepBoth: break
        case .keepExisting: connection.close(because: reason, handshakeFailure: reason)
        case .keepNew:
            state.withLock { state in
                // The new one may have ended meanwhile, and was forgotten then.
                guard state.connections[connection.number] != nil else { return }
                state.identities[identity] = connection.number
            }
            existing.close(because: reason)
        }
    }
}

extension Node.State {
    /// A connection is gone, and does not stand for its node any more.
    mutating func forgetIdentity(of connection: Connection) {
        guard let identity = identityOf.removeValue(forKey: connection.number),
            identities[identity] == connection.number
        else { return }
        identities[identity] = nil
    }
}
