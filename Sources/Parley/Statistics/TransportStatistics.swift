/// What a transport has done and holds, at one moment; see ``Transport/statistics``.
///
/// The numbers of several peers are collected one after the other, so a sum may miss what happened meanwhile.
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
    /// Connections that are not open: in the handshake, in `onPeer`, or closing.
    public var handshaking = 0
    /// Dials that have no connection yet.
    public var dialing = 0
    /// Peers that nothing is read from now, because the inbox is full.
    public var pausedPeers = 0
    /// RPCs that wait for a consumer.
    public var inboxRPCs = 0
    /// Bytes of payload that wait for a consumer.
    public var inboxBytes = 0
    /// Bytes of all peers that were accepted for sending and are not written yet.
    public var unsentBytes = 0
    /// Bytes of all peers that have arrived and are neither decoded nor read.
    public var unreadBytes = 0
    /// Why connections wait in the backlog now; nil when they are accepted.
    public var acceptPause: AcceptPause?

    // MARK: Since the beginning

    /// What has gone each way, over connections that have ended too.
    public var traffic = Traffic()
    /// Connections that others made and that got as far as the handshake.
    public var accepted: UInt64 = 0
    /// Connections that this node made and that got as far as the handshake.
    public var dialed: UInt64 = 0
    /// Dials that ended without a connection.
    public var dialsFailed: UInt64 = 0
    /// Connections that ended in the handshake: it threw, took too long, or the other side left.
    public var handshakesFailed: UInt64 = 0
    /// Connections whose `onPeer` threw.
    public var peersRefused: UInt64 = 0
    /// How often accepting has paused, by reason.
    public var acceptPauses: [AcceptPause: UInt64] = [:]
    /// How often descriptors or memory have run out, one for each burst of failures.
    public var shortages: UInt64 = 0
    /// Connections that were turned away before the handshake, by reason.
    public var refusals: [ParleyError.Code: UInt64] = [:]
    /// Connections that got as far as the handshake and have ended, by reason.
    public var disconnects: [ParleyError.Code: UInt64] = [:]

    /// Connections that had ended, and whose last messages were dropped because of ``Limits/receiveBufferBytes`` before there
    /// was room for them in the inbox.
    public var backlogsDropped: UInt64 = 0

    /// Nothing yet; for transports of your own.
    public init() {}
}

/// What a node counts beside the connections it holds, under the node's lock.
struct NodeCounters {
    /// Of connections that have ended.
    var pastTraffic = Traffic()
    var accepted: UInt64 = 0
    var dialed: UInt64 = 0
    var dialsFailed: UInt64 = 0
    var handshakesFailed: UInt64 = 0
    var peersRefused: UInt64 = 0
    var acceptPauses: [AcceptPause: UInt64] = [:]
    var shortages: UInt64 = 0
    var refusals: [ParleyError.Code: UInt64] = [:]
    var disconnects: [ParleyError.Code: UInt64] = [:]
    var backlogsDropped: UInt64 = 0

    /// Writes what was counted into a snapshot.
    func report(to statistics: inout TransportStatistics) {
        statistics.traffic = pastTraffic
        statistics.accepted = accepted
        statistics.dialed = dialed
        statistics.dialsFailed = dialsFailed
        statistics.handshakesFailed = handshakesFailed
        statistics.peersRefused = peersRefused
        statistics.acceptPauses = acceptPauses
        statistics.shortages = shortages
        statistics.refusals = refusals
        statistics.disconnects = disconnects
        statistics.backlogsDropped = backlogsDropped
    }
}
