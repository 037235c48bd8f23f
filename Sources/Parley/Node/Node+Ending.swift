// How one connection ends, and how everything does.

extension Node {
    /// The connection's link is closed. Its loop's thread only, once for each connection.
    func connectionEnded(_ connection: Connection, _ end: Lifecycle.End) {
        let (number, reason) = (connection.number, end.reason)
        release(connection.context)
        if let observer, state.withLock({ $0.connections[number] != nil }) {
            observer.peerDidDisconnect(connection, reason)
        }
        let traffic = connection.statistics.traffic
        let (entry, woken, hasRoom) = state.withLock { state in
            if connection.isOutbound {
                state.admission.leaveOutbound()
            } else {
                state.admission.leave(connection.remoteIP, wasOpen: end.wasOpen)
            }
            let entry = state.connections.remove(number)
            if let entry {
                state.forgetIdentity(of: entry.connection)
                state.counters.count(end, traffic)
            }
            let woken = state.connections.isEmpty ? state.isEmpty.wakeAll() : WaitQueue.Woken()
            return (entry, woken, state.endAcceptPause())
        }
        connection.context.timers.connectionEnded()
        connection.context.local.value.forget(connection)
        if hasRoom { acceptAgain() }
        // One that came while the node was closing was never let in.
        guard let entry else { return }
        entry.handshake?.cancel()
        woken.resume()
        log(.info, .peerDisconnected, connection, reason)
        guard end.isAnnouncing else {
            if options.onDisconnect != nil { connection.context.tellGone(connection, reason) }
            return
        }
        // `onDisconnect` waits for `onPeer`, but no longer than the handshake's time-out.
        Task {
            // The clock traps beyond what it can count.
            try? await Task.sleep(for: min(options.handshakeTimeout, .seconds(86_400)))
            connection.announced()
        }
    }

    /// Calls `onDisconnect` of a connection that ended while `onPeer` ran. Any thread.
    func tellDisconnect(_ connection: Connection, _ reason: ParleyError) {
        guard let onDisconnect = options.onDisconnect else { return }
        Task { await onDisconnect(connection, reason) }
    }

    // MARK: Backlogs

    /// The connection has ended, and messages of it wait for room in the inbox. Any thread.
    func keepBacklog(of connection: Connection) {
        state.withLock { state in
            if state.closing == nil { state.backlogs[ObjectIdentifier(connection)] = connection }
        }
    }

    /// All of it is delivered, or dropped. Any thread.
    func forgetBacklog(of connection: Connection) {
        state.withLock { _ = $0.backlogs.removeValue(forKey: ObjectIdentifier(connection)) }
    }

    /// Messages of a connection that has ended were dropped, because all connections together held too much. Any thread.
    func backlogDropped(_ connection: Connection, bytes: Int) {
        count { $0.backlogsDropped &+= 1 }
        logThrottled(
            .warning,
            .messagesDropped,
            key: "",
            ["peer": "\(connection.remoteAddress)", "bytes": "\(bytes)"]
        )
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
        let (stops, connections, backlogs) = state.withLock { state in
            // They hold this node: what stays registered would keep it for ever.
            defer {
                state.stops = [:]
                state.backlogs = [:]
            }
            return (state.stops.values, state.connections.elements.map(\.connection), state.backlogs.values)
        }
        for stop in stops { stop.loop.execute(stop.call) }
        let reason = ParleyError(.closed, "the transport was closed")
        for connection in connections { connection.close(because: reason) }
        for connection in backlogs { connection.dropBacklog() }
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
