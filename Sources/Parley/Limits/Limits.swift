/// How many connections and how much memory peers may take of a node.
///
/// Each limit is checked before memory or a descriptor is spent on what exceeds it. ``TransportStatistics``
/// counts how often each one takes effect.
public struct Limits: Sendable, Hashable {
    // MARK: Peers

    /// The most connections in all, including those in the handshake; a dial counts from its beginning. At
    /// the limit, inbound connections wait in the listener's backlog and dials throw `tooManyPeers`.
    public var maxPeers = 4_096

    /// The most inbound connections. The rest of ``maxPeers`` is reserved for dials, so that a flood cannot
    /// isolate this node. At the limit, further ones wait in the listener's backlog.
    public var maxInboundPeers = 3_584

    /// The most outbound connections, including dials under way. Further dials throw `tooManyPeers`.
    public var maxOutboundPeers = 1_024

    /// The most inbound connections from one IPv4 address. Further ones are reset (`tooManyFromAddress`).
    public var maxPeersPerIPv4 = 8

    /// The most inbound connections from one IPv6 /56, the usual size of one customer's network. Further ones
    /// are reset (`tooManyFromAddress`).
    public var maxPeersPerIPv6Customer = 8

    /// The most inbound connections from one IPv6 /48, the usual size of one site's network. Further ones are
    /// reset (`tooManyFromAddress`).
    public var maxPeersPerIPv6Site = 64

    /// Whether connections from 127.0.0.0/8 and ::1 are exempt from the limits by address and from
    /// ``acceptsPerSecond``. Other addresses of this machine are not.
    public var exemptsLoopback = true

    /// The most inbound connections whose handshake and `onPeer` are not done. At the limit, further ones
    /// wait in the listener's backlog.
    public var maxHandshakes = 256

    /// The average accept rate in connections per second; also the largest burst. Further ones wait in the
    /// listener's backlog.
    public var acceptsPerSecond = 1_000

    /// The most bans of addresses at one time, and the most bans of ids. Over the limit, the ban that would
    /// end first is dropped.
    public var maxBans = 10_000

    // MARK: Requests

    /// The most requests to one peer that have no answer, including those that timed out or were cancelled: 1
    /// to 4,096. Further ones wait, and throw `timedOut` when their time is up. A peer that has more than
    /// 4,096 open is dropped.
    public var maxOpenRequests = mostOpenRequests

    /// The greatest ``maxOpenRequests``.
    package static let mostOpenRequests = PeerState.mostOpenRequests

    // MARK: Streams

    /// The most streams of ``WireForm/multiplexed`` that one peer may have open. Further ones are reset. A
    /// stream that the peer has reset counts until its handler has released it.
    public var maxStreamsPerPeer = 1_024

    /// The most streams that all peers together may have open, with the one of each peer's messages. Further
    /// ones are reset.
    public var maxStreams = 65_536

    /// How many streams a peer may open in a second, and in one burst. Further ones are reset; a peer that
    /// opens twice as many is dropped.
    public var streamsPerSecond = 10_000

    // MARK: Memory

    /// The longest message in bytes, in either direction; nil leaves the limit to the wire form (16 MiB by
    /// default). It can only lower the wire form's limit; to raise that, use
    /// ``WireForm/framed(maxMessageBytes:)``. Sending a longer one throws `messageTooLong`. A peer that sends
    /// a longer one is dropped: `protocolViolation` over the wire form's limit, `messageTooLong` over this
    /// one. Up to 64 KiB more than this may be collected before.
    public var maxMessageBytes: Int?

    /// The most unwritten bytes of all peers together: accepted for sending, not yet written. At the limit,
    /// sends wait. Each peer's first 16 KiB do not count, so that peers that do not read cannot block sends
    /// to others.
    public var sendBufferBytes = 64 << 20

    /// The most bytes that one peer's streams may have received and unread, and that they may still send
    /// before they are read: the sum of the windows of both sides' streams. A stream takes 256 KiB of it, and
    /// more, up to 16 MiB, where the round trip needs it. Further streams of the peer are reset, those of
    /// this side wait. The messages of each side have 256 KiB beside that. It is never more than
    /// ``receiveBufferBytes``.
    public var streamBytesPerPeer = 256 << 20

    /// The most unread bytes of all peers together: arrived, neither decoded nor read. What connections that
    /// have ended left unread counts too. Above the limit, the peer
    /// that holds most for longest (bytes times time without progress) is dropped with `receiveBufferFull`.
    public var receiveBufferBytes = 256 << 20

    /// How many bytes of one peer's stream or handshake are read ahead of its reader. A stream is read up to
    /// 256 KiB at a time. With less than twice as much, the link pauses whenever the reader has it all.
    public var readAheadBytes = PeerState.readAheadBytes

    /// The defaults.
    public init() {}
}
