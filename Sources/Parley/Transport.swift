/// A node: it listens, dials, and delivers what its peers send.
///
/// Each of its connections is a ``Peer``. Use ``TCPTransport`` for networks and ``InMemoryTransport`` for
/// tests, or write your own with ``Inbox`` and ``RPCSequence``. Every method may be called from any thread or
/// task.
///
/// A transport lives until ``close()``, whether or not anything refers to it.
///
/// Source: interface `Transport` of the reference.
public protocol Transport: AnyObject, Sendable {
    /// The configured listening address; once bound, with the real port: `:0` becomes `:41234`.
    var address: String { get }

    /// The peers, in no particular order: connections that are open, or closing after they were open.
    var peers: [any Peer] { get }

    /// A snapshot of the transport's counters and buffers. It visits each peer once and does no I/O.
    var statistics: TransportStatistics { get }

    /// Starts to listen. Returns as soon as others can connect.
    ///
    /// - Throws: ``ParleyError``: `invalidAddress`, `nameNotResolved`, `addressInUse`, `addressNotAvailable`,
    ///   `permissionDenied`, `alreadyListening`, `cancelled` (also by ``stopListening()``), `closed`;
    ///   `invalidArgument` for an option out of its range (``TransportOptions/validate()``).
    func listenAndAccept() async throws(ParleyError)

    /// Stops listening: no further connection is accepted, and the port is free when this returns. Peers
    /// stay, handshakes that are under way go on, and others can still be dialed. ``listenAndAccept()`` may
    /// follow, with another port where the configured one is 0. One that is under way is not waited for: it
    /// closes what it has bound, and throws `cancelled`.
    ///
    /// Cancellation does not cut it short. Idempotent.
    func stopListening() async

    /// Connects to another node and returns its peer when the handshake and `onPeer` are done.
    ///
    /// Every address of the name is tried, each 300 ms after the one before (RFC 8305). `:5000` means this
    /// host. When the task is cancelled, the attempt or the connection is closed. A connection of a socket to
    /// itself, which the kernel may make where nobody listens, is dropped and tried again.
    ///
    /// When an id is dialed (``TransportOptions/security``), another node that answers does not learn who
    /// dialed.
    ///
    /// The other side may decide after this has returned: a node that does not let this one in, by its allow
    /// list or its `onPeer`, ends the connection then, and what was sent to it is lost.
    ///
    /// - Parameter address: `host:port`, see ``SocketAddress``; with an id `12D3KooW…@host:port`, or the
    ///   multiaddr `/ip4/192.168.1.5/tcp/3000/p2p/12D3KooW…` (also with `/ip6`, `/dns`, `/dns4` or
    ///   `/dns6`; the last two try only the IPv4 or the IPv6 addresses of the name).
    /// - Throws: ``ParleyError``: `invalidAddress`, `nameNotResolved`, `connectionRefused`, `unreachable`,
    ///   `addressNotAvailable` (an unknown zone), `tooManyPeers`, `tooManyOpenFiles`, `notAllowed`,
    ///   `banned`, `securityFailed`, `identityMismatch`, `identityNotAllowed`, `duplicate`, `forked`,
    ///   `timedOut` (``TransportOptions/dialTimeout``, ``TransportOptions/handshakeTimeout``), `cancelled`,
    ///   `closed`; `invalidArgument` for an option out of its range (``TransportOptions/validate()``), and
    ///   for an id without ``TransportOptions/security``; the error that the handshake or `onPeer` threw; or,
    ///   when the other side ends the connection before both are done, the reason (`endOfStream`,
    ///   `connectionReset`).
    @discardableResult
    func dial(_ address: String) async throws -> any Peer

    /// The RPCs of all peers: `for await rpc in transport.consume()`.
    ///
    /// Any number of tasks may consume. Each RPC goes to one of them. The RPCs of one peer are taken in
    /// order. A task that reads a peer's stream takes no RPC meanwhile, and all peers wait for it: give each
    /// peer a task with ``consumeEachPeer(_:)``.
    ///
    /// Consume even if you only read streams: their openings are RPCs, and when
    /// ``TransportOptions/inboxCapacity`` of them wait, no peer is read any more. A peer that ends its
    /// sending and still reads gets the answers that a consumer sends before it asks for the next RPC.
    func consume() -> RPCSequence

    /// Calls `handler` with each stream that a peer opens for a protocol, in a task of its own: see
    /// ``Peer/openStream(protocol:)``. When it returns, the stream is closed; when it throws, aborted.
    ///
    /// ```swift
    /// try transport.accept("/echo/1.0.0") { stream in
    ///     for try await bytes in stream.chunks() { try await stream.write(bytes) }
    /// }
    /// ```
    ///
    /// A stream for a name without a handler is refused. Streams of a peer are handed out once its handshake
    /// and `onPeer` are done. A second handler for a name replaces the first one; nil removes it. Streams
    /// that were handed out are not affected.
    ///
    /// - Throws: ``ParleyError``: `unsupported` without ``WireForm/multiplexed``, `invalidArgument` for a
    ///   name that ``Peer/openStream(protocol:)`` refuses, and in libp2p for ping, identify and its push.
    func accept(
        _ name: String,
        _ handler: (@Sendable (PeerStream) async throws -> Void)?
    ) throws(ParleyError)

    /// Stops listening, writes out what was sent (for at most ``TransportOptions/closeTimeout``), closes
    /// every peer, and returns when no socket is left and the threads of the loops are at their end. Names
    /// may still be looked up: nothing can end the system's look-up, and nothing waits for it. Consumers get
    /// the RPCs that are in the inbox, and then the end; what waited for room there is dropped.
    ///
    /// Cancellation does not cut it short. Idempotent. Afterwards `dial` and every send throw `closed`.
    func close() async
}

extension Transport {
    /// The open peer with that id; nil when there is none. Of several, any.
    public func peer(_ id: PeerID) -> (any Peer)? { openPeers.first { $0.id == id } }

    /// The peers whose end has not begun.
    var openPeers: [any Peer] { peers.filter { ($0 as? Connection)?.isLive ?? true } }

    /// Throws `unsupported`. A transport of your own may have streams.
    public func accept(
        _ name: String,
        _ handler: (@Sendable (PeerStream) async throws -> Void)?
    ) throws(ParleyError) {
        throw ParleyError(.unsupported, "the transport has no streams with names")
    }

    /// Does nothing. A transport of your own may stop.
    public func stopListening() async {}

    /// All zero. A transport of your own may count.
    public var statistics: TransportStatistics { TransportStatistics() }
}
