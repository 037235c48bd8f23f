/// How the links of a node are secured; see ``TransportOptions/security``.
public struct Security: Sendable {
    let link: (any LinkSecurity)?
    package var allowed: AllowedPeers

    package init(_ link: any LinkSecurity, allow allowed: AllowedPeers) {
        self.link = link
        self.allowed = allowed
    }

    private init() {
        link = nil
        allowed = .everyone
    }

    /// Links are not secured and peers have no ids: the wire form of nodes that have nothing else.
    public static let none = Security()

    /// This node's own id; nil without security.
    public var id: PeerID? { link?.id }
}

/// The peers whose ids are allowed, by their ids.
public struct AllowedPeers: Sendable {
    enum Rule {
        case everyone
        case only(Set<PeerID>)
        /// - Parameter limit: how long an answer may take instead of the handshake's time-out, if it is set.
        case asking(limit: Duration?, @Sendable (ProvenPeer) async -> Bool)
    }

    let rule: Rule

    /// Every peer that proves its id.
    public static let everyone = AllowedPeers(rule: .everyone)

    /// These peers.
    public static func only(_ ids: some Sequence<PeerID>) -> AllowedPeers {
        AllowedPeers(rule: .only(Set(ids)))
    }

    /// The peers for which `isAllowed` returns true. It may look the id up elsewhere: it is called in a task
    /// of its own, as a part of the handshake. ``TransportOptions/handshakeTimeout`` ends the connection and
    /// cancels the task; let `isAllowed` return then.
    public static func asking(_ isAllowed: @escaping @Sendable (PeerID) async -> Bool) -> AllowedPeers {
        AllowedPeers(rule: .asking(limit: nil) { peer in await isAllowed(peer.id) })
    }

    /// These peers, and those for which `isAllowed` returns true.
    ///
    /// - Parameter limit: how long `isAllowed` may take. The handshake's time-out stands still meanwhile, so
    ///   that a person can be asked and silent peers are still dropped early. Nil: a part of the handshake.
    package func or(
        within limit: Duration? = nil,
        asking isAllowed: @escaping @Sendable (ProvenPeer) async -> Bool
    ) -> AllowedPeers {
        AllowedPeers(
            rule: .asking(limit: limit) { peer in
                if decides(peer.id) == true { return true }
                return await isAllowed(peer)
            }
        )
    }

    /// Whether the id is allowed, as far as that is known at once; nil when somebody has to be asked.
    func decides(_ id: PeerID) -> Bool? {
        switch rule {
        case .everyone: true
        case .only(let ids): ids.contains(id)
        case .asking: nil
        }
    }
}

/// A peer that has proven its id, and nothing else yet.
package struct ProvenPeer: Sendable {
    package let id: PeerID
    package let remoteAddress: SocketAddress
    /// Whether this side dialed.
    package let isOutbound: Bool
}
