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

    /// The addresses that are banned now, and until when.
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
