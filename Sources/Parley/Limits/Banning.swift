// The public API of bans. `Bans` holds them; `Admission` applies them.

extension TCPTransport {
    /// Bans an address: ends its connections with the code `banned` and refuses new ones from and to it.
    ///
    /// A ban covers one IPv4 address, or the /64 around an IPv6 address. It ends with the transport at the
    /// latest. There are at most ``Limits/maxBans``. Any thread.
    ///
    /// - Parameters:
    ///   - host: a numeric address without a port.
    ///   - duration: how long the ban lasts.
    /// - Throws: ``ParleyError`` `invalidAddress`.
    public func ban(_ host: String, for duration: Duration) throws(ParleyError) {
        node.ban(try Node.ip(host), for: duration)
    }

    /// Lifts the ban of an address; does nothing when there is none. Any thread.
    ///
    /// - Throws: ``ParleyError`` `invalidAddress`.
    public func unban(_ host: String) throws(ParleyError) { node.unban(try Node.ip(host)) }

    /// Bans an id: ends its connections with the code `banned`, and refuses new ones from and to it once
    /// their links are secured (``TransportOptions/security``). Otherwise as ``ban(_:for:)-(String,_)``.
    public func ban(_ id: PeerID, for duration: Duration) { node.ban(id, for: duration) }

    /// Lifts the ban of an id; does nothing when there is none. Any thread.
    public func unban(_ id: PeerID) { node.unban(id) }

    /// The ids that are banned now, and until when.
    public var bannedIDs: [PeerID: ContinuousClock.Instant] { node.bannedIDs }

    /// The addresses that are banned now, and until when.
    public var bans: [AddressRange: ContinuousClock.Instant] { node.bans }
}

extension InMemoryTransport {
    /// See ``TCPTransport/ban(_:for:)-(String,_)``.
    public func ban(_ host: String, for duration: Duration) throws(ParleyError) {
        node.ban(try Node.ip(host), for: duration)
    }

    /// See ``TCPTransport/unban(_:)-(String)``.
    public func unban(_ host: String) throws(ParleyError) { node.unban(try Node.ip(host)) }

    /// Bans an id, as a ``TCPTransport`` does.
    public func ban(_ id: PeerID, for duration: Duration) { node.ban(id, for: duration) }

    /// Lifts the ban of an id.
    public func unban(_ id: PeerID) { node.unban(id) }

    /// See ``TCPTransport/bannedIDs``.
    public var bannedIDs: [PeerID: ContinuousClock.Instant] { node.bannedIDs }

    /// See ``TCPTransport/bans``.
    public var bans: [AddressRange: ContinuousClock.Instant] { node.bans }
}
