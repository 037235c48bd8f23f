/// A node on TCP, driven by libuv on a thread of its own.
///
/// ```swift
/// let transport = TCPTransport(TransportOptions(listenAddress: ":3000"))
/// try await transport.listenAndAccept()
/// for await rpc in transport.consume() {
///     try await rpc.peer.send(message: rpc.payload)
/// }
/// ```
///
/// The thread starts with the first `listenAndAccept` or `dial` and ends with `close`.
///
/// Source: `TCPTransport` of the reference.
public final class TCPTransport: Transport {
    package let inbox: Inbox
    package let node: Node

    /// A node that neither listens nor is connected yet.
    public convenience init(_ options: TransportOptions = TransportOptions()) {
        self.init(options, observer: nil)
    }

    /// The same, with somebody who hears of everything on the loop's thread.
    package init(_ options: TransportOptions, observer: (any LoopObserver)?) {
        inbox = Inbox(capacity: options.inboxCapacity, capacityBytes: options.inboxCapacityBytes)
        node = Node(options, inbox: inbox, observer: observer)
    }

    /// See ``Transport/address``.
    public var address: String { node.address }

    /// See ``Transport/peers``.
    public var peers: [any Peer] { node.connections }

    /// See ``Transport/statistics``.
    public var statistics: TransportStatistics { node.statistics(of: inbox) }

    /// Runs Swift tasks on the transport's own thread: `Task(executorPreference: transport.executor)`. A consumer
    /// there gets RPCs and sends answers without a change of threads; in return it must never block.
    public var executor: any TaskExecutor { node.loop }

    /// See ``Transport/consume()``.
    public func consume() -> RPCSequence { RPCSequence(inbox) }

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
                // Another address is tried only where this one does not exist, such as IPv6 on a host without it.
                guard error.code == .addressNotAvailable else { throw error }
                if failure == nil { failure = error }
            }
        }
        throw failure ?? ParleyError(.nameNotResolved, "\"\(configured.host)\" has no address")
    }

    private func candidates(_ configured: SocketAddress) async throws(ParleyError) -> [RawSocketAddress] {
        if configured.host.isEmpty {
            // One dual-stack socket; IPv4 alone where there is no IPv6.
            return ["::", "0.0.0.0"].compactMap { RawSocketAddress(numericHost: $0, port: configured.port) }
        }
        if let address = RawSocketAddress(numericHost: configured.host, port: configured.port) {
            return [address]
        }
        let resolved = try await node.loop.wait {
            (loop, finish: @escaping (Result<[RawSocketAddress], ParleyError>) -> Void) in
            do throws(ParleyError) {
                let resolver = try Resolver(configured, on: loop, completion: finish)
                return { _ in resolver.cancel() }
            } catch {
                finish(.failure(error))
                return { _ in }
            }
        }
        // As Go does for a name: IPv4 first.
        return resolved.filter { !$0.isIPv6 } + resolved.filter { $0.isIPv6 }
    }

    private func listen(at address: RawSocketAddress) async throws(ParleyError) -> UInt16 {
        try await node.loop.wait { [self] (loop, finish: @escaping (Result<UInt16, ParleyError>) -> Void) in
            do throws(ParleyError) {
                let listener = try Listener(
                    on: loop,
                    address: address,
                    keepAlive: node.options.keepAlive,
                    permit: { [node] in node.acceptPermit() },
                    deliver: { [self] event in handle(event) }
                )
                let stop: @Sendable () -> Void = { [node] in
                    node.resumeAccepting = nil
                    listener.stop()
                }
                node.resumeAccepting = { listener.resume() }
                guard node.register(listener, stop: stop) else {
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
            guard node.admit(remote?.ip, remote.map(SocketAddress.init) ?? SocketAddress(host: "", port: 0))
            else { return Listener.refuse(descriptor) }
            do {
                try adopt(descriptor, from: remote.map(SocketAddress.init), at: local)
            } catch {
                node.withdraw(remote?.ip)
                acceptFailed(error)
            }
        case .backingOff(let error, _):
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

    private func adopt(
        _ descriptor: Int32,
        from remote: SocketAddress?,
        at local: SocketAddress?
    ) throws(ParleyError) {
        let handle = try TCPHandle(adopting: descriptor, on: node.loop)
        guard
            let peer = TCPPeer(
                node: node,
                handle: handle,
                isOutbound: false,
                local: local ?? handle.localAddress,
                remote: remote
            )
        else {
            handle.close(abortively: false)
            throw ParleyError(.connectionReset, "a connection went away before it was accepted")
        }
        node.adopt(peer)
    }
}

// MARK: - Dialing

extension TCPTransport {
    /// See ``Transport/dial(_:)``.
    @discardableResult
    public func dial(_ address: String) async throws -> any Peer {
        let target = try node.dialTarget(address)
        let peer = try await node.loop.wait {
            [self] (_, finish: @escaping (Result<TCPPeer, ParleyError>) -> Void) in
            reach(target, finish: finish)
        }
        try peer.throwGreetingFailure()
        return peer
    }

    /// See ``dial(_:)``, without a task: `completion` is called exactly once, on the loop's thread.
    ///
    /// - Returns: how to give up; `completion` is still called, with the reason that is passed. Any thread.
    /// - Throws: `invalidAddress`, or `closed`; `completion` is not called then.
    package func dial(
        _ address: String,
        completion: @escaping @Sendable (Result<Connection, any Error>) -> Void
    ) throws(ParleyError) -> @Sendable (ParleyError) -> Void {
        let target = try node.dialTarget(address)
        try node.loop.start()
        let attempt = DialAttempt()
        let isRunning = node.loop.execute { [self] in
            attempt.cancel = reach(target) { result in
                attempt.cancel = nil
                completion(
                    Result {
                        let peer = try result.get()
                        try peer.throwGreetingFailure()
                        return peer
                    }
                )
            }
        }
        guard isRunning else { throw ParleyError(.closed, "the transport is closed") }
        return { [loop = node.loop] reason in loop.execute { attempt.cancel?(reason) } }
    }

    /// Connects to `target` and greets it. The loop's thread only, and `finish` is called there, once: when it could not be
    /// reached, or the greeting is over, well or not.
    private func reach(
        _ target: SocketAddress,
        finish: @escaping (Result<TCPPeer, ParleyError>) -> Void
    ) -> EventLoop.Cancel {
        let attempt = DialAttempt()
        let cancel = startDialing(target) { result in
            guard case .success(let peer) = result else { return finish(result) }
            attempt.peer = peer
            // On this thread again.
            nonisolated(unsafe) let finish = finish
            peer.whenGreeted {
                attempt.peer = nil
                finish(.success(peer))
            }
        }
        return { reason in if let peer = attempt.peer { peer.fail(reason) } else { cancel(reason) } }
    }

    /// Connects to `target` and begins to greet it. The loop's thread only, and `finish` is called there.
    private func startDialing(
        _ target: SocketAddress,
        finish: @escaping (Result<TCPPeer, ParleyError>) -> Void
    ) -> EventLoop.Cancel {
        do { try node.beginDial(to: target) } catch {
            finish(.failure(error))
            return { _ in }
        }
        let dialing = Dialing()
        let dialer = Dialer(
            to: target,
            timeout: node.options.dialTimeout,
            keepAlive: node.options.keepAlive,
            on: node.loop,
            refusal: { [node] in node.refusal(dialing: $0) }
        ) { [node] result in
            node.unregister(dialing)
            if case .failure(let error) = result { node.dialFailed(error) }
            finish(result.flatMap { handle, remote in node.adopt(handle, dialed: target, at: remote) })
        }
        let isOpen = node.register(dialing) {
            dialer.cancel(ParleyError(.closed, "the transport was closed while dialing \(target)"))
        }
        if isOpen {
            dialer.start()
        } else {
            dialer.cancel(ParleyError(.closed, "the transport is closed"))
        }
        return { dialer.cancel($0) }
    }

    /// The loop's thread only.
    private final class DialAttempt: @unchecked Sendable {
        var cancel: EventLoop.Cancel?
        var peer: TCPPeer?
    }

    /// What a dial is known by while it lasts.
    private final class Dialing {}
}

extension Node {
    /// Makes a peer of a socket that has just connected, and begins to greet it.
    fileprivate func adopt(
        _ handle: TCPHandle,
        dialed target: SocketAddress,
        at remote: SocketAddress
    ) -> Result<TCPPeer, ParleyError> {
        guard
            let peer = TCPPeer(
                node: self,
                handle: handle,
                isOutbound: true,
                local: handle.localAddress,
                remote: remote
            )
        else {
            handle.close(abortively: false)
            let error = ParleyError(.connectionReset, "\(target) closed the connection at once")
            dialFailed(error)
            return .failure(error)
        }
        adopt(peer)
        return .success(peer)
    }
}
