// From a connected link to an open connection: handshake, `onPeer`, duplicates.

extension Node {
    /// Adds a connection whose link is connected, and starts its handshake. Its loop's thread only.
    func adopt(_ connection: Connection) {
        connection.context.timers.connectionBegan(self)
        let refusal: ParleyError? = state.withLock { state in
            if connection.isOutbound { state.admission.dialed() }
            guard state.closing == nil else { return ParleyError(.closed, "the transport is closed") }
            // It may have been banned since it was admitted, or while it was dialed.
            if let ip = connection.remoteIP, state.admission.bans.contains(ip) {
                state.counters.refusals[.banned, default: 0] &+= 1
                return ParleyError(.banned, "\(connection.remoteAddress) is banned")
            }
            connection.number = state.connections.insert(Entry(connection: connection))
            if connection.isOutbound { state.counters.dialed &+= 1 } else { state.counters.accepted &+= 1 }
            return nil
        }
        if let refusal { return connection.fail(refusal) }
        guard !securesLinks else { return beginSecuring(connection) }
        beginHandshake(with: connection)
    }

    /// Starts the handshake of a connection that has passed everything before it. Its loop's thread only.
    func beginHandshake(with connection: Connection) {
        guard options.handshake != nil || options.onPeer != nil else { return askObserver(about: connection) }
        if !securesLinks { connection.startHandshakeTimer() }
        connection.readForHandshake()
        // The handshake runs on the loop. Its reads and sends need no change of threads, and unknown peers
        // cannot occupy the threads that the application's tasks share. Until it waits for the first time it
        // runs right here.
        let task = Task.immediateDetached(executorPreference: connection.loop) { [self] in
            await runHandshake(connection)
        }
        state.withLock { $0.connections.change(connection.number) { $0.handshake.runs(in: task) } }
    }

    private func runHandshake(_ connection: Connection) async {
        do {
            try await options.handshake?(connection)
        } catch {
            // The connection's end made the handshake fail; its reason stands.
            guard connection.isLive else { return }
            let what = "the handshake with \(connection.remoteAddress) failed: \(error)"
            return connection.close(because: ParleyError(.handshakeFailed, what), handshakeFailure: error)
        }
        guard let onPeer = options.onPeer else {
            return connection.loop.perform { [self] in askObserver(about: connection) }
        }
        await withTaskExecutorPreference(globalConcurrentExecutor) { await runOnPeer(onPeer, connection) }
    }

    /// Runs `onPeer`, which may refuse the connection.
    private func runOnPeer(
        _ onPeer: @Sendable (any Peer) async throws -> Void,
        _ connection: Connection
    ) async {
        guard connection.onPeerBegins() else { return }
        do {
            try await onPeer(connection)
        } catch {
            let what = "onPeer refused \(connection.remoteAddress): \(error)"
            connection.close(because: ParleyError(.peerRefused, what), handshakeFailure: error)
        }
        if isObserved {
            connection.loop.execute { [self] in askObserver(about: connection) }
        } else {
            open(connection)
        }
        connection.onPeerReturned()
    }

    /// Asks the observer, which may refuse the connection, and then opens it. The connection's loop's thread
    /// if there is an observer.
    private func askObserver(about connection: Connection) {
        if isObserved {
            if self.connection(connection.number) == nil { return }
            // The handshake is over: raw bytes would be taken for frames.
            connection.apply(.onPeerBegins)
        }
        defer { if isObserved { connection.onPeerReturned() } }
        do {
            try checkEventRoom()
            try observer?.peerDidConnect(connection)
        } catch {
            let what = "\(connection.remoteAddress) was refused: \(error)"
            connection.close(because: ParleyError(.peerRefused, what), handshakeFailure: error)
        }
        open(connection)
    }

    /// Opens the connection after handshake and `onPeer`, unless it has ended since.
    private func open(_ connection: Connection) {
        applyDuplicateRule(to: connection)
        let isOpen = connection.open()
        let hasRoom = state.withLock { state in
            if isOpen, !connection.isOutbound { state.admission.handshakeDone() }
            state.connections.change(connection.number) { $0.handshake = .over }
            return state.endAcceptPause()
        }
        if hasRoom { acceptAgain() }
        guard isOpen else { return }
        log(.info, .peerConnected, connection)
        let begin: @Sendable () -> Void = { [self] in
            tellConnected(connection)
            connection.finishHandshake()
            // Only now: what a dialer reads is no longer the handshake's.
            connection.wakeDialers()
            askWhoIs(connection)
        }
        if connection.loop.isCurrent {
            begin()
        } else if !connection.loop.execute(begin) {
            connection.wakeDialers()
        }
    }
}
