// How one connection ends, and how everything does.

extension Node {
    /// The connection's link is closed. Its loop's thread only, once for each connection.
    func connectionEnded(_ connection: Connection, _ reason: ParleyError) {
        let number = connection.number
        release(connection.context)
        connection.context.timers.hasLost()
        tellObserver(connection, reason)
        let wasOpened = connection.outbound.withLock { $0.isOpened }
        let traffic = connection.statistics.traffic
        let (entry, woken, hasRoom) = state.withLock { state in
            if connection.isOutbound {
                state.admission.leaveOutbound()
            } else {
                state.admission.leave(connection.remoteAddress.ip, wasOpened: wasOpened)
            }
            let entry = state.connections.remove(number)
            if let entry { state.forgetIdentity(of: entry.connection) }
            if let entry { state.counters.count(end: entry.stage, wasOpened: wasOpened, reason, traffic) }
            if entry?.stage == .announcing {
                state.goneWhileAnnounced[number] = Gone(connection: connection, reason: reason)
            }
            let woken = state.connections.isEmpty ? state.isEmpty.wakeAll() : WaitQueue.Woken()
            return (entry, woken, state.endAcceptPause())
        }
        connection.loop.turn.pointee.forget(connection)
        if hasRoom { acceptAgain() }
        // One that came while the node was closing was never let in.
        guard let entry else { return }
        entry.handshake?.cancel()
        woken.resume()
        log(.info, .peerDisconnected, connection, reason)
        guard entry.stage == .announcing else {
            if options.onDisconnect != nil { connection.context.tellGone(connection, reason) }
            return
        }
        let timeout = Task {
            // The clock traps beyond what it can count.
            try? await Task.sleep(for: min(options.handshakeTimeout, .seconds(86_400)))
            tellIfGone(connection)
        }
        let isToldAlready = state.withLock { state in
            state.goneWhileAnnounced[number]?.timeout = timeout
            return state.goneWhileAnnounced[number] == nil
        }
        if isToldAlready { timeout.cancel() }
    }

    private func tellObserver(_ connection: Connection, _ reason: ParleyError) {
        guard let observer else { return }
        let isKnown = state.withLock { state in
            let stage = state.connections[connection.number]?.stage
            if stage != .announcing { state.connections[connection.number]?.stage = .gone }
            return stage != nil
        }
        if isKnown { observer.peerDidDisconnect(connection, reason) }
    }

    func tellIfGone(_ connection: Connection) {
        let gone = state.withLock { $0.goneWhileAnnounced.removeValue(forKey: connection.number) }
        guard let gone else { return }
        gone.timeout?.cancel()
        guard let onDisconnect = options.onDisconnect else { return }
        Task { await onDisconnect(gone.connection, gone.reason) }
    }
}

extension LoopContext: EndOfTurn {
    /// Calls `onDisconnect` in a task of its own, when the turn is over: a thread that runs tasks is then woken once for all
    /// that have gone together, as many do when a flood ends.
    func tellGone(_ connection: Connection, _ reason: ParleyError) {
        if gone.isEmpty { loop.atEndOfTurn(self) }
        gone.append((connection, reason))
    }

    func turnEnds() {
        guard let onDisconnect = node.options.onDisconnect else { return }
        let told = gone
        gone = []
        Task {
            for (connection, reason) in told { Task.immediate { await onDisconnect(connection, reason) } }
        }
    }
}

// MARK: - Closing

extension Node {
    /// Remembers how to stop something that is not a connection yet, or never becomes one.
    ///
    /// - Parameter stop: called on the thread of `loop`.
    /// - Returns: false when the node is closing, and nothing new may begin.
    func register(
        _ object: AnyObject,
        on loop: EventLoop,
        stop: @escaping @Sendable () -> Void
    ) -> Bool {
        state.withLock { state in
            guard state.closing == nil else { return false }
            state.stops[ObjectIdentifier(object)] = Stop(loop: loop, call: stop)
            return true
        }
    }

    func unregister(_ object: AnyObject) {
        state.withLock { _ = $0.stops.removeValue(forKey: ObjectIdentifier(object)) }
    }

    /// Closes everything; whoever calls again waits for the same end.
    func close() async {
        let closing = state.withLock { state in
            if let closing = state.closing { return closing }
            // In a task of its own: cancelling a caller must not cut it short.
            let closing = Task { await closeEverything() }
            state.closing = closing
            return closing
        }
        await closing.value
    }

    private func closeEverything() async {
        let (stops, connections) = state.withLock { state in
            // They hold this node: what stays registered would keep it for ever.
            defer { state.stops = [:] }
            return (state.stops.values, state.connections.elements.map(\.connection))
        }
        for stop in stops { stop.loop.execute(stop.call) }
        let reason = ParleyError(.closed, "the transport was closed")
        for connection in connections { connection.close(because: reason) }
        // Behind the stops on the loops' threads: a connection they have just let in is adopted by now, and ended.
        _ = await state.wait(in: \.isEmpty, unless: { $0.connections.isEmpty })
        inbox?.finish()
        for context in contexts {
            context.loop.executeIfStarted { context.timers.stop() }
            await context.loop.stop()
        }
        inbox = nil
        observer = nil
    }
}
