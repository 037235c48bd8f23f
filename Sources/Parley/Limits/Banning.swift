extension TCPTransport {
    /// Shuts an address out: ends its connections with the code `banned`, and lets none be made from or to it.
    ///
    /// A ban is of one IPv4 address, or of the IPv6 /64 around one, and lives as long as the transport at most; there are
    /// at most ``Limits/maxBans``.
    ///
    /// - Parameter host: a numeric address without a port.
    /// - Throws: ``ParleyError`` `invalidAddress`.
    public func ban(_ host: String, for duration: Duration) throws(ParleyError) {
        node.ban(try Node.ip(host), for: duration)
    }

    /// Takes a ban back; nothing when there is none.
    ///
    /// - Throws: ``ParleyError`` `invalidAddress`.
    public func unban(_ host: String) throws(ParleyError) { node.unban(try Node.ip(host)) }

    /// What is banned now, and until when.
    public var bans: [AddressRange: ContinuousClock.Instant] { node.bans }
}

extension InMemoryTransport {
    /// See ``TCPTransport/ban(_:for:)``.
    public func ban(_ host: String, for duration: Duration) throws(ParleyError) {
        node.ban(try Node.ip(host), for: duration)
    }

    /// See ``TCPTransport/unban(_:)``.
    public func unban(_ host: String) throws(ParleyError) { node.unban(try Node.ip(host)) }

    /// See ``TCPTransport/bans``.
    public var bans: [AddressRange: ContinuousClock.Instant] { node.bans }
}
