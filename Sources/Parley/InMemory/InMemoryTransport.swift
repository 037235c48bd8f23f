/// A transport without sockets, for tests. It behaves as ``TCPTransport`` does, on an ``InMemoryNetwork``.
///
/// ```swift
/// let network = InMemoryNetwork()
/// let server = InMemoryTransport(TransportOptions(listenAddress: ":3000"), network: network)
/// try await server.listenAndAccept()
/// let peer = try await InMemoryTransport(network: network).dial(":3000")
/// ```
///
/// Every name of this host (`localhost`, `127.0.0.1`, an empty host, …) leads to the network. Other hosts do
/// not exist.
public final class InMemoryTransport: Transport {
    private static let hosts: Set = ["", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::"]

    private let inbox: Inbox
    let node: Node
    private let backlog: InMemoryBacklog
    private let network: InMemoryNetwork

    /// A transport on `network` that does not listen yet.
    public init(_ options: TransportOptions = TransportOptions(), network: InMemoryNetwork) {
        inbox = Inbox(capacity: options.inboxCapacity, capacityBytes: options.inboxCapacityBytes)
        node = Node(options, inbox: inbox)
        backlog = InMemoryBacklog(of: node)
        self.network = network
    }

    /// See ``Transport/address``.
    public var address: String { node.address }

    /// See ``Transport/peers``.
    public var peers: [any Peer] { node.connections }

    /// See ``Transport/statistics``.
    public var statistics: TransportStatistics { node.statistics(of: inbox) }

    /// Runs Swift tasks on the transport's loop thread; see ``TCPTransport/executor``.
    public var executor: any TaskExecutor { node.loop }

    /// See ``Transport/listenAndAccept()``.
    public func listenAndAccept() async throws(ParleyError) {
        try await node.listen { (configured) throws(ParleyError) in
            guard Self.hosts.contains(configured.host) else {
                throw ParleyError(.addressNotAvailable, "cannot listen on \(configured): it is not in memory")
            }
            try await node.loop.wait {
                [backlog] (_, finish: @escaping (Result<Void, ParleyError>) -> Void) in
                backlog.open()
                finish(.success(()))
                return { _ in }
            }
            let port = try network.bind(self, port: configured.port)
            let stop: @Sendable () -> Void = { [network, backlog] in
                network.unbind(port: port)
                backlog.close()
            }
            guard node.register(self, on: node.loop, stop: stop) else {
                network.unbind(port: port)
                throw ParleyError(.closed, "the transport is closed")
            }
            return Node.Bound(port: port, listener: ObjectIdentifier(self))
        }
    }

    /// See ``Transport/stopListening()``.
    public func stopListening() async { await node.stopListening() }

    /// See ``Transport/dial(_:)``.
    @discardableResult
    public func dial(_ address: String) async throws -> any Peer {
        let target = try node.dialTarget(address)
        try node.beginDial(to: target.address)
        let peer: InMemoryPeer
        do { peer = try await connect(to: target.address, expecting: target.id) } catch {
            node.dialFailed(error)
            throw error
        }
        try await peer.waitUntilOpen()
        return peer
    }

    private func connect(
        to target: SocketAddress,
        expecting id: PeerID?
    ) async throws(ParleyError) -> InMemoryPeer {
        guard Self.hosts.contains(target.host) else {
            throw ParleyError(.unreachable, "cannot connect to \(target): it is not in memory")
        }
        let address = SocketAddress(host: "127.0.0.1", port: target.port)
        if let refusal = node.refusal(dialing: address, IPAddress(v4: 0x7f00_0001)) { throw refusal }
        guard let listener = network.listener(port: target.port) else {
            throw ParleyError(.connectionRefused, "cannot connect to \(target): nobody listens there")
        }
        return try await connect(
            to: listener,
            from: SocketAddress(host: "127.0.0.1", port: network.ephemeralPort()),
            at: address,
            expecting: id
        )
    }

    /// See ``Transport/consume()``.
    public func consume() -> RPCSequence { RPCSequence(inbox) }

    /// See ``Transport/accept(_:_:)``.
    public func accept(
        _ name: String,
        _ handler: (@Sendable (PeerStream) async throws -> Void)?
    ) throws(ParleyError) {
        try node.accept(name, handler.map(StreamHandler.init)?.acceptor)
    }

    /// See ``Transport/close()``.
    public func close() async { await node.close() }

    private func connect(
        to listener: InMemoryTransport,
        from local: SocketAddress,
        at remote: SocketAddress,
        expecting id: PeerID?
    ) async throws(ParleyError) -> InMemoryPeer {
        let ends = (InMemoryLink(on: node.loop), InMemoryLink(on: listener.node.loop))
        InMemoryLink.join(ends.0, ends.1)
        let dialing = InMemoryPeer(
            context: node.contexts[0],
            link: ends.0,
            isOutbound: true,
            localAddress: local,
            remoteAddress: remote,
            expecting: id
        )
        let isAccepted = listener.node.loop.execute { listener.backlog.add(ends.1, from: local, at: remote) }
        guard isAccepted else {
            ends.0.discard()
            ends.1.discard()
            dialing.abandon()
            throw ParleyError(.connectionRefused, "cannot connect to \(remote): it has just been closed")
        }
        do {
            return try await node.loop.wait {
                [node] (_, finish: @escaping (Result<InMemoryPeer, ParleyError>) -> Void) in
                node.adopt(dialing)
                finish(.success(dialing))
                return { _ in }
            }
        } catch {
            // The loop may be telling this end what the other one does. One that has stopped tells nothing.
            let drop: @Sendable () -> Void = {
                ends.0.discard()
                dialing.abandon()
            }
            if !node.loop.execute(drop) { drop() }
            throw error
        }
    }
}

/// One connection of an ``InMemoryTransport``.
public final class InMemoryPeer: Connection, @unchecked Sendable {
    init(
        context: LoopContext,
        link: InMemoryLink,
        isOutbound: Bool,
        localAddress: SocketAddress,
        remoteAddress: SocketAddress,
        expecting id: PeerID? = nil
    ) {
        super.init(
            context: context,
            link: context.node.link(
                over: link,
                on: context,
                isOutbound: isOutbound,
                remote: remoteAddress,
                expecting: id
            ),
            isOutbound: isOutbound,
            localAddress: localAddress,
            remoteAddress: remoteAddress,
            remoteIP: IPAddress(v4: 0x7f00_0001)
        )
        link.setOwner(ownLinks())
    }

    /// Gives the connection up before it begins. Its links refer back to it, so both forget each other.
    fileprivate func abandon() {
        link = nil
        multiplexed?.disown()
    }
}
