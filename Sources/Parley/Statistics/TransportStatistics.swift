/// A snapshot of a transport's counters and buffers; see ``Transport/statistics``.
///
/// The peers' numbers are collected one after the other, so a sum may miss what happens meanwhile.
public struct TransportStatistics: Sendable, Hashable {
    /// How long the transport has existed.
    public var uptime: Duration = .zero

    // MARK: Now

    /// Open peers: their handshake and `onPeer` are done.
    public var peers: Int { inboundPeers + outboundPeers }
    /// Those of them that dialed this node.
    public var inboundPeers = 0
    /// Those of them that this node dialed.
    public var outboundPeers = 0
    /// Connections that were never open: in the handshake, in `onPeer`, or closing since.
    public var handshaking = 0
    /// Dials that have no connection yet.
    public var dialing = 0
    /// Peers from which reading is paused because the inbox is full.
    public var pausedPeers = 0
    /// RPCs that wait for a consumer.
    public var inboxRPCs = 0
    /// Bytes of payload that wait for a consumer.
    public var inboxBytes = 0
    /// Bytes, of all peers, that were accepted for sending and are not written yet.
    public var unsentBytes = 0
    /// Bytes, of all peers, that have arrived and are neither decoded nor read.
    public var unreadBytes = 0
    /// Requests of this node without an answer; see ``PeerStatistics/openRequests``.
    public var openRequests = 0
    /// Requests of other nodes that this node has not answered.
    public var unansweredRequests = 0
    /// Open streams of ``WireForm/multiplexed``, of both sides.
    public var openStreams = 0
    /// Why connections wait in the backlog now; nil while connections are accepted.
    public var acceptPause: AcceptPause?

    // MARK: Since the beginning

    /// The traffic in each direction, including that of ended connections.
    public var traffic = Traffic()
    /// Inbound connections that reached the handshake.
    public var accepted: UInt64 = 0
    /// Outbound connections that reached the handshake.
    public var dialed: UInt64 = 0
    /// Dials that ended without a connection.
    public var dialsFailed: UInt64 = 0
    /// Connections that ended in the handshake: it threw, it timed out, the other side closed, or the id was
    /// refused.
    public var handshakesFailed: UInt64 = 0
    /// Connections whose `onPeer` threw.
    public var peersRefused: UInt64 = 0
    /// How often accepting has paused, by reason.
    public var acceptPauses: [AcceptPause: UInt64] = [:]
    /// How often descriptors or memory ran out; a burst of failures counts once.
    public var shortages: UInt64 = 0
    /// Connections that were refused before the handshake, by reason. Refusals by id are also counted in
    /// ``disconnects`` and ``handshakesFailed``.
    public var refusals: [ParleyError.Code: UInt64] = [:]
    /// Connections that reached the handshake and have ended, by reason.
    public var disconnects: [ParleyError.Code: UInt64] = [:]

    /// Connections that had ended and of which something was dropped because of
    /// ``Limits/receiveBufferBytes``: messages that the inbox had no room for, or what streams had not read.
    public var undeliveredDropped: UInt64 = 0
    /// Streams of peers that were reset because of a limit, or because nobody takes them, by reason.
    public var streamRefusals = StreamRefusals()
    /// The same for every reason together.
    public var refusedStreams: UInt64 { streamRefusals.total }

    /// All zero; for transports of your own.
    public init() {}
}

/// The counters that a node keeps apart from its connections. Guarded by the node's lock.
struct NodeCounters {
    /// The traffic of connections that have ended.
    var pastTraffic = Traffic()
    var pastStreamRefusals = StreamRefusals()
    var accepted: UInt64 = 0
    var dialed: UInt64 = 0
    var dialsFailed: UInt64 = 0
    var handshakesFailed: UInt64 = 0
    var peersRefused: UInt64 = 0
    var acceptPauses: [AcceptPause: UInt64] = [:]
    var shortages: UInt64 = 0
    var refusals: [ParleyError.Code: UInt64] = [:]
    var disconnects: [ParleyError.Code: UInt64] = [:]
    var undeliveredDropped: UInt64 = 0

    /// Copies the counters into a snapshot.
    func report(to statistics: inout TransportStatistics) {
        statistics.traffic = pastTraffic
        statistics.streamRefusals = pastStreamRefusals
        statistics.accepted = accepted
        statistics.dialed = dialed
        statistics.dialsFailed = dialsFailed
        statistics.handshakesFailed = handshakesFailed
        statistics.peersRefused = peersRefused
        statistics.acceptPauses = acceptPauses
        statistics.shortages = shortages
        statistics.refusals = refusals
        statistics.disconnects = disconnects
        statistics.undeliveredDropped = undeliveredDropped
    }
}
