// From an address to a peer whose handshake is over.

import Synchronization

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
    /// - Throws: `invalidAddress`, `invalidArgument`, `closed`, `forked`, or why the loop's thread cannot
    ///   start. `completion` is not called then.
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
    final class Pending: Sendable {}
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
