/// Hears of everything at once, on the thread of the peer's loop: what the C library's callbacks are made of.
///
/// Calls about one peer come one after the other on one thread; with several ``TransportOptions/loops``, those about
/// different peers may come at the same time. Nothing here may block, or wait for a thread of this transport.
package protocol LoopObserver: AnyObject, Sendable {
    /// Whether RPCs go to ``didReceive(_:from:)`` and its sibling rather than into the inbox. Does not change.
    var takesRPCs: Bool { get }

    /// A peer is greeted; nothing of it was delivered yet. Throwing refuses it.
    func peerDidConnect(_ peer: Connection) throws

    /// The counterpart of ``TransportOptions/onDisconnect``. The peer's number is good until this returns.
    func peerDidDisconnect(_ peer: Connection, _ reason: ParleyError)

    /// What one read brought, in order.
    func didReceive(_ runs: [MessageRun], from peer: Connection)

    /// The same for messages that lie in `bytes`, which are lent for the call.
    func didReceive(_ bytes: Span<UInt8>, _ messages: [Range<Int>], from peer: Connection)
}
