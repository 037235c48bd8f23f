/// A way to reach other nodes: it listens, dials, and hands over what the peers send.
///
/// One transport is one node; each connection it holds is a ``Peer``. ``TCPTransport`` is the one for networks,
/// ``InMemoryTransport`` the one for tests; write your own with ``Inbox`` and ``RPCSequence``.
///
/// A transport lives until ``close()``, whether or not anything refers to it.
///
/// Source: interface `Transport` of the reference.
public protocol Transport: AnyObject, Sendable {
    /// The configured listening address, and once bound the same with its real port: `:0` becomes `:41234`.
    var address: String { get }

    /// The peers that are greeted and connected now, in no particular order.
    var peers: [any Peer] { get }

    /// What this transport has done and holds, now: a snapshot that asks each peer once, without any I/O.
    var statistics: TransportStatistics { get }

    /// Starts to listen; returns as soon as others can connect.
    ///
    /// - Throws: ``ParleyError``: `invalidAddress`, `nameNotResolved`, `addressInUse`, `addressNotAvailable`,
    ///   `permissionDenied`, `alreadyListening`, `closed`.
    func listenAndAccept() async throws(ParleyError)

    /// Connects to another node, greets it and returns it.
    ///
    /// Every address that the name has is tried, the next one 300 ms after the last (RFC 8305). `:5000` means
    /// this host. When the task is cancelled, the attempt or the connection is closed.
    ///
    /// - Parameter address: `host:port`; see ``SocketAddress``.
    /// - Throws: ``ParleyError``: `invalidAddress`, `nameNotResolved`, `connectionRefused`, `unreachable`,
    ///   `timedOut` (``TransportOptions/dialTimeout``, ``TransportOptions/handshakeTimeout``), `cancelled`,
    ///   `closed`; whatever the handshake or `onPeer` threw; or, when the other side ends the connection before it is
    ///   greeted, the reason (`endOfStream`, `connectionReset`).
    @discardableResult
    func dial(_ address: String) async throws -> any Peer

    /// What the peers send: `for await rpc in transport.consume()`.
    ///
    /// Any number of tasks may consume; each RPC goes to one of them, the RPCs of one peer in their order.
    func consume() -> RPCSequence

    /// Stops listening, writes out what was sent (for at most ``TransportOptions/closeTimeout``), closes every
    /// peer, and returns when no socket or thread is left. Consumers get what had arrived, and then the end.
    ///
    /// A name that is being looked up is waited for, since the system's resolver cannot be interrupted.
    /// Idempotent, and not cut short by cancellation. Afterwards `dial` and every send throw `closed`.
    func close() async
}

extension Transport {
    /// Nothing: a transport of your own may count or not.
    public var statistics: TransportStatistics { TransportStatistics() }
}
