/// A node on TCP. It runs libuv on one thread of its own, or on several: ``TransportOptions/loops``.
///
/// ```swift
/// let transport = TCPTransport(TransportOptions(listenAddress: ":3000"))
/// try await transport.listenAndAccept()
/// for await rpc in transport.consume() {
///     try? await rpc.peer.send(message: rpc.payload)  // a peer that has gone meanwhile gets no answer
/// }
/// ```
///
/// A thread starts with its first use (`listenAndAccept`, `dial`, a peer or a task) and ends with `close`.
///
/// Source: `TCPTransport` of the reference.
public final class TCPTransport: Transport {
    package let inbox: Inbox
    package let node: Node

    /// Makes a node that does not listen and has no connections yet.
    public convenience init(_ options: TransportOptions = TransportOptions()) {
        self.init(options, observer: nil)
    }

    /// The same with an observer, which is called on the loops' threads.
    package init(_ options: TransportOptions, observer: (any PeerObserver)?) {
        // With another number of loops it never listens or dials; see TransportOptions.validate().
        let loops = TransportOptions.loopCounts.contains(options.loops) ? options.loops : 1
        inbox = Inbox(
            capacity: options.inboxCapacity,
            capacityBytes: options.inboxCapacityBytes,
            queues: loops
        )
        node = Node(options, inbox: inbox, observer: observer, loops: loops)
    }

    /// See ``Transport/address``.
    public var address: String { node.address }

    /// See ``Transport/peers``.
    public var peers: [any Peer] { node.connections }

    /// See ``Transport/statistics``.
    public var statistics: TransportStatistics { node.statistics(of: inbox) }

    /// Runs Swift tasks on the transport's own thread: `Task(executorPreference: transport.executor)`. A
    /// consumer there gets RPCs and sends answers without a change of threads. It must never block.
    ///
    /// With several ``TransportOptions/loops`` it is the thread that listens. Each peer has its own:
    /// ``Peer/executor``.
    public var executor: any TaskExecutor { node.loop }

    /// The executors of all ``TransportOptions/loops``, ``executor`` first. ``consumeOnEachLoop(_:)`` runs a
    /// consumer on each.
    public var executors: [any TaskExecutor] { node.contexts.map(\.loop) }

    /// See ``Transport/consume()``.
    public func consume() -> RPCSequence { RPCSequence(inbox) }

    /// Calls `body` on the thread of each of the ``TransportOptions/loops``, with the RPCs of that loop's
    /// peers. Loops and consumers then share nothing, so throughput grows with the number of cores. Returns
    /// when every `body` has returned. The RPCs end when the transport closes.
    ///
    /// ```swift
    /// try await transport.consumeOnEachLoop { rpcs in
    ///     // A peer that has gone meanwhile gets no answer; the others go on.
    ///     for await rpc in rpcs { try? await rpc.peer.send(message: rpc.payload) }
    /// }
    /// ```
    ///
    /// `body` must not block. After it has returned, the RPCs of its loop wait for ``consume()``, which takes
    /// from all loops. While both are used, the RPCs of one peer go to both.
    ///
    /// - Throws: the error of the first `body` that throws. The others are cancelled then, and their RPCs end
    ///   after those that have already arrived.
    public func consumeOnEachLoop(
        _ body: @escaping @Sendable (RPCSequence) async throws -> Void
    ) async throws {
        try ForkedChild.check()
        try await withThrowingTaskGroup { group in
            for (context, queue) in zip(node.contexts, inbox.queues) {
                group.addTask(executorPreference: context.loop) { try await body(RPCSequence(queue)) }
            }
            // The first error ends this loop, which cancels the others.
            for try await _ in group {}
        }
    }

    /// See ``Transport/accept(_:_:)``.
    public func accept(
        _ name: String,
        _ handler: (@Sendable (PeerStream) async throws -> Void)?
    ) throws(ParleyError) {
        try node.accept(name, handler.map(StreamHandler.init)?.acceptor)
    }

    /// See ``Transport/close()``.
    public func close() async { await node.close() }
}

// MARK: - Listening

extension TCPTransport {
    /// See ``Transport/listenAndAccept()``.
    public func listenAndAccept() async throws(ParleyError) {
        try await node.listen { (configured) throws(ParleyError) in try await listen(at: configured) }
    }

    /// See ``Transport/stopListening()``.
    public func stopListening() async { await node.stopListening() }

    /// Binds to the first address that works.
    private func listen(at configured: SocketAddress) async throws(ParleyError) -> Node.Bound {
        var failure: ParleyError?
        for address in try await candidates(configured) {
            do { return try await listen(at: address) } catch {
                // Tries another address only where this one does not exist, such as IPv6 on a host without
                // it.
                guard error.code == .addressNotAvailable else { throw error }
                if failure == nil { failure = error }
            }
        }
        throw failure ?? ParleyError(.nameNotResolved, "\"\(configured.host)\" has no address")
    }

    private func candidates(_ configured: SocketAddress) async throws(ParleyError) -> [RawSocketAddress] {
        if configured.host.isEmpty {
            // One dual-stack socket, or IPv4 alone where there is no IPv6.
            return ["::", "0.0.0.0"].compactMap { RawSocketAddress(numericHost: $0, port: configured.port) }
        }
        try RawSocketAddress.checkZone(of: configured)
        if let address = RawSocketAddress(numericHost: configured.host, port: configured.port) {
            return [address]
        }
        let resolved = try await resolve(configured)
        // IPv4 first, as Go does for a name.
        return resolved.filter { !$0.isIPv6 } + resolved.filter { $0.isIPv6 }
    }

    /// Looks the listening name up. Fails at once when the node closes.
    private func resolve(_ name: SocketAddress) async throws(ParleyError) -> [RawSocketAddress] {
        try await node.loop.wait {
            [node] (loop, finish: @escaping (Result<[RawSocketAddress], ParleyError>) -> Void) in
            // Used on the loop's thread only.
            nonisolated(unsafe) let finish = finish
            let pending = Pending()
            do throws(ParleyError) {
                let lookup = try Resolver(name, nil, on: loop) { [node] result in
                    node.unregister(pending)
                    finish(result)
                }
                let stop: @Sendable () -> Void = {
                    lookup.cancel()
                    finish(.failure(ParleyError(.closed, "the transport was closed while listening")))
                }
                if !node.register(pending, on: loop, stop: stop) { stop() }
                return { [node] _ in
                    node.unregister(pending)
                    lookup.cancel()
                }
            } catch {
                finish(.failure(error))
                return { _ in }
            }
        }
    }

    private func listen(at address: RawSocketAddress) async throws(ParleyError) -> Node.Bound {
        try await node.loop.wait {
            [self] (loop, finish: @escaping (Result<Node.Bound, ParleyError>) -> Void) in
            do throws(ParleyError) {
                let listener = try Listener(
                    on: loop,
                    address: address,
                    keepAlive: node.options.keepAlive,
                    permit: { [node] in node.acceptPermit() },
                    admit: { [node] remote in
                        node.admit(
                            remote?.ip,
                            remote.map(SocketAddress.init) ?? SocketAddress(host: "", port: 0)
                        )
                    },
                    deliver: { [self] event in handle(event) }
                )
                let stop: @Sendable () -> Void = { [node] in
                    node.resumeAccepting = nil
                    listener.stop()
                }
                node.resumeAccepting = { listener.resume() }
                guard node.register(listener, on: loop, stop: stop) else {
                    stop()
                    throw ParleyError(.closed, "the transport is closed")
                }
                let port = listener.address.port
                finish(.success(Node.Bound(port: port, listener: ObjectIdentifier(listener))))
            } catch { finish(.failure(error)) }
            return { _ in }
        }
    }

    private func handle(_ event: Listener.Event) {
        switch event {
        case .accepted(let descriptor, let remote, let local):
            let context = node.reserveContext()
            if context.loop.isCurrent { return adopt(descriptor, from: remote, at: local, on: context) }
            let isRunning = context.loop.execute { [self] in
                adopt(descriptor, from: remote, at: local, on: context)
            }
            if isRunning { return }
            // Its thread could not start, or has ended.
            adopt(descriptor, from: remote, at: local, on: node.takeFirst(insteadOf: context))
        case .backingOff(let error):
            node.beginAcceptPause(.descriptors)
            acceptFailed(error)
        case .resumed:
            node.acceptPauseIsOver()
        }
    }

    private func acceptFailed(_ error: ParleyError) {
        if error.code == .tooManyOpenFiles { return node.reportShortage(error, during: "accept") }
        node.logThrottled(.warning, .acceptFailed, key: "", ["error": "\(error)"])
    }

    /// Makes a peer of an accepted and admitted socket. The thread of `context` only.
    private func adopt(
        _ descriptor: Int32,
        from remote: RawSocketAddress?,
        at local: SocketAddress?,
        on context: LoopContext
    ) {
        do throws(ParleyError) {
            let handle = try TCPHandle(adopting: descriptor, on: context.loop)
            guard
                let peer = TCPPeer(
                    context: context,
                    handle: handle,
                    isOutbound: false,
                    local: local ?? handle.localAddress.map(SocketAddress.init),
                    remote: remote.map(SocketAddress.init),
                    remoteIP: remote?.ip
                )
            else {
                handle.close(abortively: false)
                throw ParleyError(.connectionReset, "a connection was closed before it was accepted")
            }
            node.adopt(peer)
        } catch {
            node.release(context)
            node.withdraw(remote?.ip)
            acceptFailed(error)
        }
    }
}
