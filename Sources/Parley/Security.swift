/// How the links of a node are secured; see ``TransportOptions/security``.
public struct Security: Sendable {
    let link: (any LinkSecurity)?
    let allowed: AllowedPeers

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
        case asking(@Sendable (PeerID) async -> Bool)
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
        AllowedPeers(rule: .asking(isAllowed))
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
