import Synchronization

/// A node on TCP. It runs libuv on one thread of its own, or on several: ``TransportOptions/loops``.
///
/// ```swift
/// let transport = TCPTransport(TransportOptions(listenAddress: ":3000"))
/// try await transport.listenAndAccept()
/// for await rpc in transport.consume() {
///     try await rpc.peer.send(message: rpc.payload)
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
    ///     for await rpc in rpcs { try await rpc.peer.send(message: rpc.payload) }
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

    /// Binds to the first address that works.
    private func listen(at configured: SocketAddress) async throws(ParleyError) -> UInt16 {
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

    private func listen(at address: RawSocketAddress) async throws(ParleyError) -> UInt16 {
        try await node.loop.wait { [self] (loop, finish: @escaping (Result<UInt16, ParleyError>) -> Void) in
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
                finish(.success(listener.address.port))
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

// MARK: - Dialing

extension TCPTransport {
    /// See ``Transport/dial(_:)``.
    @discardableResult
    public func dial(_ address: String) async throws -> any Peer {
        let target = try node.dialTarget(address)
        let attempt = DialAttempt(on: node)
        let peer = try await attempt.context.loop.wait {
            [self] (_, finish: @escaping (Result<TCPPeer, ParleyError>) -> Void) in
            dialUntilOpen(target, attempt, finish: finish)
        }
        try peer.throwHandshakeFailure()
        return peer
    }

    /// As ``dial(_:)``, without a task. `completion` is called exactly once, on the thread of the peer's
    /// loop.
    ///
    /// - Returns: a function that cancels the dial, for any thread. `completion` is then called with its
    ///   argument as the error.
    /// - Throws: `invalidAddress`, or `closed`. `completion` is not called then.
    package func dial(
        _ address: String,
        completion: @escaping @Sendable (Result<Connection, any Error>) -> Void
    ) throws(ParleyError) -> @Sendable (ParleyError) -> Void {
        let target = try node.dialTarget(address)
        let attempt = DialAttempt(on: node)
        let loop = attempt.context.loop
        try loop.start()
        let isRunning = loop.execute { [self] in
            let cancel = dialUntilOpen(target, attempt) { result in
                attempt.cancel = nil
                attempt.isOver = true
                completion(
                    Result {
                        let peer = try result.get()
                        try peer.throwHandshakeFailure()
                        return peer
                    }
                )
            }
            if !attempt.isOver { attempt.cancel = cancel }
        }
        guard isRunning else { throw ParleyError(.closed, "the transport is closed") }
        return { reason in loop.execute { attempt.cancel?(reason) } }
    }

    /// Connects to `target` and runs the handshake. The thread of the attempt's context only. `finish` is
    /// called there once: when the dial has failed, or when the handshake is over, whether it succeeded or
    /// not.
    private func dialUntilOpen(
        _ target: DialTarget,
        _ attempt: DialAttempt,
        finish: @escaping (Result<TCPPeer, ParleyError>) -> Void
    ) -> EventLoop.Cancel {
        let cancel = startDialing(target, on: attempt.context) { result in
            guard case .success(let peer) = result else {
                attempt.releaseContext()
                return finish(result)
            }
            attempt.connected(to: peer)
            // `whenOpen` calls back on this same thread.
            nonisolated(unsafe) let finish = finish
            peer.whenOpen {
                attempt.peer = nil
                finish(.success(peer))
            }
        }
        return { reason in if let peer = attempt.peer { peer.fail(reason) } else { cancel(reason) } }
    }

    /// Connects to `target` and starts the handshake. The thread of `context` only; `finish` is called there.
    private func startDialing(
        _ target: DialTarget,
        on context: LoopContext,
        finish: @escaping (Result<TCPPeer, ParleyError>) -> Void
    ) -> EventLoop.Cancel {
        do { try node.beginDial(to: target.address) } catch {
            finish(.failure(error))
            return { _ in }
        }
        let pending = Pending()
        let dialer = Dialer(
            to: target.address,
            family: target.family,
            timeout: node.options.dialTimeout,
            keepAlive: node.options.keepAlive,
            on: context.loop,
            refusal: { [node] in node.refusal(dialing: $0, $1) }
        ) { [node] result in
            node.unregister(pending)
            if case .failure(let error) = result { node.dialFailed(error) }
            finish(result.flatMap { node.adopt($0, on: context, dialed: target) })
        }
        let isOpen = node.register(pending, on: context.loop) {
            dialer.cancel(ParleyError(.closed, "the transport was closed while dialing \(target)"))
        }
        if isOpen {
            dialer.start()
        } else {
            dialer.cancel(ParleyError(.closed, "the transport is closed"))
        }
        return { dialer.cancel($0) }
    }

    /// Reserves a place on a context for a dial until a peer takes it over. The thread of the context's loop
    /// only, except for init and deinit.
    private final class DialAttempt: @unchecked Sendable {
        let context: LoopContext
        var cancel: EventLoop.Cancel?
        var peer: TCPPeer?
        var isOver = false
        private let node: Node
        private let holdsContext = Atomic(true)

        init(on node: Node) {
            self.node = node
            context = node.reserveContext()
        }

        deinit { releaseContext() }

        func connected(to peer: TCPPeer) {
            self.peer = peer
            holdsContext.store(false, ordering: .relaxed)
        }

        /// Releases the place of a dial that led to no peer. Idempotent.
        func releaseContext() {
            if holdsContext.exchange(false, ordering: .relaxed) { node.release(context) }
        }
    }

    /// Identifies a dial or a name look-up among the node's stop actions.
    private final class Pending: Sendable {}
}

extension Node {
    /// Makes a peer of a socket that has just connected, and starts its handshake.
    fileprivate func adopt(
        _ connected: Dialer.Connected,
        on context: LoopContext,
        dialed target: DialTarget
    ) -> Result<TCPPeer, ParleyError> {
        guard
            let peer = TCPPeer(
                context: context,
                handle: connected.handle,
                isOutbound: true,
                local: connected.local,
                remote: connected.address,
                remoteIP: connected.ip,
                expecting: target.id
            )
        else {
            connected.handle.close(abortively: false)
            let error = ParleyError(.connectionReset, "\(target) closed the connection at once")
            dialFailed(error)
            return .failure(error)
        }
        adopt(peer)
        return .success(peer)
    }
}
