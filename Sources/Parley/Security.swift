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
        case asking(@Sendable (_ id: PeerID, _ isOutbound: Bool) async -> Bool)
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
        AllowedPeers(rule: .asking { id, _ in await isAllowed(id) })
    }

    /// These peers, and those for which `isAllowed` returns true, which is told who dialed as well.
    package func or(
        asking isAllowed: @escaping @Sendable (_ id: PeerID, _ isOutbound: Bool) async -> Bool
    ) -> AllowedPeers {
        AllowedPeers(
            rule: .asking { id, isOutbound in
                if decides(id) == true { return true }
                return await isAllowed(id, isOutbound)
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
