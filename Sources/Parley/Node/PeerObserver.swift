/// The observer of a node's peers and their RPCs. It is called on the thread of the peer's loop. The C
/// library's callbacks are built on it.
///
/// Calls about one peer come one after the other on one thread. With several ``TransportOptions/loops``,
/// calls about different peers may be concurrent. They must not block, or wait for a thread of this
/// transport.
package protocol PeerObserver: AnyObject, Sendable {
    /// Whether RPCs go to ``didReceive(_:from:)`` and its sibling instead of the inbox. Constant.
    var takesRPCs: Bool { get }

    /// The peer's handshake is done, and nothing of it was delivered yet. An error refuses it.
    func peerDidConnect(_ peer: Connection) throws

    /// The counterpart of ``TransportOptions/onDisconnect``. The peer's number is valid until this returns.
    func peerDidDisconnect(_ peer: Connection, _ reason: ParleyError)

    /// The RPCs of one read, in order.
    func didReceive(_ runs: [MessageRun], from peer: Connection)

    /// The same for messages inside `bytes`, which are borrowed for the call.
    func didReceive(_ bytes: Span<UInt8>, _ messages: [Range<Int>], from peer: Connection)
}
