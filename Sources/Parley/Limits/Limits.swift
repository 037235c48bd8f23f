/// How much strangers may take of a node. Each limit is checked before memory or a descriptor is spent on what goes
/// beyond it, and is counted in ``TransportStatistics``.
public struct Limits: Sendable, Hashable {
    // MARK: Peers

    /// Connections in all, those in the handshake included; dials count from their beginning. When it is reached,
    /// others wait in the listener's backlog, and dials throw `tooManyPeers`.
    public var maxPeers = 4_096

    /// Connections that others make; the rest of ``maxPeers`` is kept for dials, so that a flood cannot isolate this
    /// node. When it is reached, others wait in the listener's backlog.
    public var maxInboundPeers = 3_584

    /// Connections that this node makes, dials that are under way included; further ones throw `tooManyPeers`.
    public var maxOutboundPeers = 1_024

    /// Connections that one IPv4 address may make; further ones are reset (`tooManyFromAddress`).
    public var maxPeersPerIPv4 = 8

    /// Connections that one IPv6 /56, what one customer gets, may make; further ones are reset.
    public var maxPeersPerIPv6Customer = 8

    /// Connections that one IPv6 /48, what one site gets, may make; further ones are reset.
    public var maxPeersPerIPv6Site = 64

    /// Whether connections from this host are exempt from the limits by address and from ``acceptsPerSecond``.
    public var exemptsLoopback = true

    /// Connections of others that are not greeted yet. When it is reached, further ones wait in the backlog.
    public var maxHandshakes = 256

    /// Connections that are accepted in one second, on average and in one go; further ones wait in the backlog.
    public var acceptsPerSecond = 1_000

    /// Addresses that may be banned at once; the ban that would end first makes room.
    public var maxBans = 10_000

    // MARK: Memory

    /// The longest message, in either direction; nil leaves it to the wire form (16 MiB unless it says otherwise).
    /// Sending a longer one throws `messageTooLong`; a peer that sends one is dropped with that code, before there is
    /// memory for it.
    public var maxMessageBytes: Int?

    /// Bytes of all peers together that were accepted for sending and are not written yet. When it is reached, sends
    /// wait, but for the first 16 KiB of each peer: those who do not read cannot silence the node towards the others.
    public var sendBufferBytes = 64 << 20

    /// Bytes of all peers together that have arrived and are neither decoded nor read. A peer that goes beyond it, and
    /// keeps more than 64 KiB itself, is dropped with `receiveBufferFull`.
    public var receiveBufferBytes = 256 << 20

    /// How far one peer's stream, or handshake, is read ahead of its reader.
    public var readAheadBytes = 256 << 10

    /// The defaults.
    public init() {}
}
