/// Decides which connection stays when there are two with the same node, because both sides dialed or one
/// dialed twice.
///
/// Addresses do not identify a node: its ``Peer/id`` or your handshake has to. The rule is applied when the
/// handshake and `onPeer` are done. On a secured link it is asked before them too: a new connection that
/// would lose against an open one is refused there, counted in ``TransportStatistics/refusals``.
///
/// It is not asked about two dials of this node at the same time: which of them the other side opens first is
/// not known here. Its rule decides, and ends one of them; if it has none, both stay.
public struct DuplicateRule: Sendable {
    /// Which of two connections stays.
    public enum Verdict: Sendable {
        /// The older one.
        case keepExisting
        /// The one whose handshake has just finished.
        case keepNew
        /// Both.
        case keepBoth
    }

    let identify: @Sendable (any Peer) -> String?
    let settle: @Sendable (_ existing: any Peer, _ new: any Peer) -> Verdict
    /// Whether it leaves one connection with each ``Peer/id``, whatever else is known of them.
    private(set) var leavesOneOfEachID = false

    /// A rule of your own. The loser is closed with the reason `duplicate`; a dial that loses throws it, or
    /// the end of the connection when the other side was first to refuse it.
    ///
    /// - Parameters:
    ///   - identify: returns the identity that the handshake found for a peer; nil when it is unknown, as
    ///     before the handshake. The rule does not apply then.
    ///   - settle: chooses between two connections with the same node. Both sides have to choose the same
    ///     one.
    ///
    /// Both are called on any thread and must not block.
    public init(
        identify: @escaping @Sendable (any Peer) -> String?,
        settle: @escaping @Sendable (_ existing: any Peer, _ new: any Peer) -> Verdict
    ) {
        self.identify = identify
        self.settle = settle
    }

    /// The same for nodes with ``TransportOptions/security``: peers are identified by ``Peer/id``, which both
    /// sides have proven.
    ///
    /// - Parameter id: this node's own; see ``Security/id``.
    public static func smallerDials(_ id: PeerID) -> DuplicateRule {
        var rule = smallerDials(identity: "\(id)") { peer in peer.id.map { "\($0)" } }
        rule.leavesOneOfEachID = true
        return rule
    }

    /// Keeps the connection that the node with the smaller identity dialed; of two dialed by the same node,
    /// the newer. Both sides choose the same one.
    ///
    /// - Parameters:
    ///   - identity: this node's own identity.
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

extension DuplicateRule {
    /// The verdict of the rule, except that a connection which is ending already does not win: this side ends
    /// it, or the other side sends nothing more. Of two dials at the same time both stay here: the other
    /// side, which opens one after the other, ends one.
    fileprivate func verdict(on existing: IdentityHolder, _ new: Connection) -> Verdict {
        let connection = existing.connection
        func isEnding() -> Bool { !connection.isLive || connection.isHalfClosed }
        if isEnding() { return .keepNew }
        if connection.isOutbound, new.isOutbound, existing.since > new.began { return .keepBoth }
        let verdict = settle(connection, new)
        return verdict == .keepExisting && isEnding() ? .keepNew : verdict
    }
}

/// A connection that represents an identity.
struct IdentityHolder {
    let connection: Connection
    /// When its handshake was done.
    let since = MonotonicTime.now
}

extension Node {
    /// Whether a connection whose id is proven would lose already, so that its handshake is no use. Any
    /// thread.
    func losesToOlder(_ connection: Connection) -> Bool {
        guard let rule = options.duplicates, let identity = rule.identify(connection) else { return false }
        let older = state.withLock { $0.identities[identity] ?? [] }
        return older.contains { rule.verdict(on: $0, connection) == .keepExisting }
    }

    /// Applies the duplicate rule to a connection whose handshake is done: closes it or the older connections
    /// with the same node, if there are some. Any thread.
    func applyDuplicateRule(to connection: Connection) {
        guard let rule = options.duplicates, connection.outbound.withLock({ $0.lifecycle.isStarting }),
            let identity = rule.identify(connection)
        else { return }
        let older: [IdentityHolder] = state.withLock { state in
            // It may have ended meanwhile. Its identity is removed when it is.
            guard state.connections[connection.number] != nil else { return [] }
            state.identityOf[connection.number] = identity
            let older = state.identities[identity] ?? []
            state.identities[identity, default: []].append(IdentityHolder(connection: connection))
            return older
        }
        let reason = ParleyError(.duplicate, "there is another connection with node \(identity)")
        let verdicts = older.map { rule.verdict(on: $0, connection) }
        guard !verdicts.contains(.keepExisting) else {
            return connection.close(because: reason, handshakeFailure: reason)
        }
        for (holder, verdict) in zip(older, verdicts) where verdict == .keepNew {
            holder.connection.close(because: reason)
        }
    }
}

extension Node.State {
    /// Removes the identity of a connection that has closed.
    mutating func forgetIdentity(of connection: Connection) {
        guard let identity = identityOf.removeValue(forKey: connection.number) else { return }
        identities[identity]?.removeAll { $0.connection === connection }
        if identities[identity]?.isEmpty == true { identities[identity] = nil }
    }
}
