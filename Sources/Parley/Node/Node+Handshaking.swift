// From a link that is up to a greeted peer.

extension Node {
    /// Takes in a connection whose link is up, and greets it. Its loop's thread only.
    func adopt(_ connection: Connection) {
        connection.context.timers.hasTakenIn(self)
        let isOpen = state.withLock { state in
            if connection.isOutbound { state.admission.dialed() }
            guard state.closing == nil else { return false }
            connection.number = state.connections.insert(Entry(connection: connection))
            if connection.isOutbound { state.counters.dialed &+= 1 } else { state.counters.accepted &+= 1 }
            return true
        }
        guard isOpen else { return connection.fail(ParleyError(.closed, "the transport is closed")) }
        guard options.handshake != nil || options.onPeer != nil else { return announce(connection) }
        connection.beginHandshake()
        connection.settleReading()
        // On the loop: its reads and sends need no way to another thread, and strangers cannot keep the threads busy that
        // the application's tasks share.
        let task = Task(executorPreference: connection.loop) { [self] in await greet(connection) }
        state.withLock { $0.connections[connection.number]?.handshake = task }
    }

    private func greet(_ connection: Connection) async {
        do {
            try await options.handshake?(connection)
        } catch {
            // When that is why it failed, there is nothing to add.
            guard connection.isLive else { return }
            let what = "the handshake with \(connection.remoteAddress) failed: \(error)"
            return connection.close(
                because: ParleyError(.handshakeFailed, what),
                handshakeFailure: error
            )
        }
        guard let onPeer = options.onPeer else {
            return connection.loop.perform { [self] in announce(connection) }
        }
        await withTaskExecutorPreference(globalConcurrentExecutor) { await present(connection, to: onPeer) }
    }

    /// Lets the application have a look at it.
    private func present(
        _ connection: Connection,
        to onPeer: @Sendable (any Peer) async throws -> Void
    ) async {
        let isThere = state.withLock { state in
            state.connections[connection.number]?.stage = .announcing
            return state.connections[connection.number] != nil
        }
        guard isThere else { return }
        do {
            try await onPeer(connection)
        } catch {
            let what = "onPeer refused \(connection.remoteAddress): \(error)"
            connection.close(because: ParleyError(.peerRefused, what), handshakeFailure: error)
        }
        if isObserved {
            connection.loop.execute { [self] in announce(connection) }
        } else {
            finishHandshake(connection)
        }
        tellIfGone(connection)
    }

    /// Lets the observer refuse it, and opens it. Its loop's thread, where there is an observer.
    private func announce(_ connection: Connection) {
        if isObserved, self.connection(connection.number) == nil { return }
        do {
            try observer?.peerDidConnect(connection)
        } catch {
            let what = "\(connection.remoteAddress) was refused: \(error)"
            connection.close(because: ParleyError(.peerRefused, what), handshakeFailure: error)
        }
        finishHandshake(connection)
    }

    private func finishHandshake(_ connection: Connection) {
        settleDuplicates(of: connection)
        let woken = connection.open()
        let isOpen = woken != nil
        let hasRoom = state.withLock { state in
            if isOpen, !connection.isOutbound { state.admission.greeted() }
            state.connections[connection.number]?.stage = isOpen ? .greeted : .refused
            state.connections[connection.number]?.handshake = nil
            return state.endAcceptPause()
        }
        // Whoever has dialed finds it among the peers.
        woken?.resume()
        if hasRoom { acceptAgain() }
        guard isOpen else { return }
        log(.info, .peerConnected, connection)
        connection.loop.perform { connection.finishHandshake() }
    }
}
