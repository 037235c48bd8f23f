// The end of one connection, and the end of the node.

extension Node {
    /// Removes a connection whose link is closed. Its loop's thread only, once for each connection.
    func connectionEnded(_ connection: Connection, _ end: Lifecycle.End) {
        let (number, reason) = (connection.number, end.reason)
        release(connection.context)
        if let observer, state.withLock({ $0.connections[number] != nil }) {
            observer.peerDidDisconnect(connection, reason)
        }
        let last = connection.statistics
        let (entry, woken, hasRoom) = state.withLock { state in
            if connection.isOutbound {
                state.admission.leaveOutbound()
            } else {
                state.admission.leave(connection.remoteIP, wasOpen: end.wasOpen)
            }
            let entry = state.connections.remove(number)
            if let entry {
                state.forgetIdentity(of: entry.connection)
                state.counters.count(end, last)
            }
            let woken = state.connections.isEmpty ? state.emptyWaiters.wakeAll() : WaitQueue.Woken()
            return (entry, woken, state.endAcceptPause())
        }
        if entry != nil { tellDisconnected(connection, end) }
        connection.context.timers.connectionEnded()
        connection.context.local.value.forget(connection)
        if hasRoom { acceptAgain() }
        // A connection that came while the node was closing is not in the table.
        guard let entry else { return }
        entry.handshake.cancel()
        woken.resume()
        logEnd(of: connection, end)
        guard end.isInOnPeer else {
            if options.onDisconnect != nil { connection.context.callOnDisconnect(connection, reason) }
            return
        }
        guard options.onDisconnect != nil else { return }
        // `onDisconnect` waits for `onPeer`, but not longer than the handshake's time-out. The clock traps
        // beyond what it can count.
        let limit = min(options.handshakeTimeout, .seconds(86_400))
        // Whoever runs `onPeer` keeps the connection alive until it has returned.
        Task.detached { [weak connection] in
            try? await Task.sleep(for: limit)
            connection?.onPeerReturned()
        }
    }

    /// Calls `onDisconnect` of a connection that ended while `onPeer` ran. Any thread.
    func tellDisconnect(_ connection: Connection, _ reason: ParleyError) {
        guard let onDisconnect = options.onDisconnect else { return }
        Task.detached { await onDisconnect(connection, reason) }
    }

    // MARK: Backlogs

    /// Keeps a connection that has ended while its last messages wait for room in the inbox. Returns false
    /// when the node is closing. Any thread.
    func keepUndelivered(of connection: Connection) -> Bool {
        state.withLock { state in
            guard state.closing == nil else { return false }
            state.undelivered[ObjectIdentifier(connection)] = connection
            return true
        }
    }

    /// Remembers a connection that has ended, and of which somebody may still read what arrived: it counts
    /// when all together hold too much. Any thread.
    func keepHolder(_ connection: Connection) {
        // Released after the lock: the last reference to a connection ends what its program keeps on it.
        var remembered: [Connection] = []
        state.withLock { state in
            if state.holders.count >= state.mostHolders {
                remembered = state.holders.compactMap(\.connection)
                state.holders = remembered.map(Holder.init)
                state.mostHolders = max(64, 2 * state.holders.count)
            }
            state.holders.append(Holder(connection: connection))
        }
    }

    /// Releases a connection whose last messages are delivered or dropped. Any thread.
    func forgetUndelivered(of connection: Connection) {
        state.withLock { _ = $0.undelivered.removeValue(forKey: ObjectIdentifier(connection)) }
        tellOwedEvent(of: connection)
    }

    /// Counts and logs messages of an ended connection that were dropped: all connections together held too
    /// many bytes. Any thread.
    func undeliveredDropped(_ connection: Connection, bytes: Int) {
        count { $0.undeliveredDropped &+= 1 }
        logThrottled(
            .warning,
            .messagesDropped,
            key: "",
            ["peer": "\(connection.remoteAddress)", "bytes": "\(bytes)"]
        )
    }
}

extension LoopContext: EndOfTurn {
    /// Calls `onDisconnect` in a task at the end of the turn. One task for all connections that ended in the
    /// turn wakes a thread only once; many end together when a flood ends.
    func callOnDisconnect(_ connection: Connection, _ reason: ParleyError) {
        if disconnected.isEmpty { loop.atEndOfTurn(self) }
        disconnected.append((connection, reason))
    }

    func turnEnds() {
        guard let onDisconnect = node.options.onDisconnect else { return }
        let told = disconnected
        disconnected = []
        Task.detached {
            for (connection, reason) in told { Task.immediate { await onDisconnect(connection, reason) } }
        }
    }
}

// MARK: - Closing

extension Node {
    /// Registers how to stop a listener or a dial.
    ///
    /// - Parameters:
    ///   - stop: called on the thread of `loop`.
    ///   - untilEnded: waits, after that, for an end that takes time.
    /// - Returns: false when the node is closing; nothing new may start then.
    func register(
        _ object: AnyObject,
        on loop: EventLoop,
        stop: @escaping @Sendable () -> Void,
        untilEnded: (@Sendable () async -> Void)? = nil
    ) -> Bool {
        state.withLock { state in
            guard state.closing == nil else { return false }
            let action = StopAction(loop: loop, call: stop, untilEnded: untilEnded)
            state.stopActions[ObjectIdentifier(object)] = action
            return true
        }
    }

    func unregister(_ object: AnyObject) {
        state.withLock { _ = $0.stopActions.removeValue(forKey: ObjectIdentifier(object)) }
    }

    /// Closes everything. Later callers wait for the same end.
    func close() async {
        if ForkedChild.isThisProcess { return }
        let closing = state.withLock { state in
            if let closing = state.closing { return closing }
            // A task of its own is not cancelled with the caller.
            let closing = Task { await closeEverything() }
            state.closing = closing
            return closing
        }
        await closing.value
    }

    private func closeEverything() async {
        let (stopActions, connections, undelivered) = state.withLock { state in
            // They hold this node. Entries that stay registered would keep it alive for ever.
            defer {
                state.stopActions = [:]
                state.undelivered = [:]
            }
            let connections = state.connections.elements.map(\.connection)
            return (state.stopActions.values, connections, state.undelivered.values)
        }
        for stop in stopActions { stop.loop.execute(stop.call) }
        let reason = ParleyError(.closed, "the transport was closed")
        for connection in connections { connection.close(because: reason) }
        for connection in undelivered { connection.dropUndelivered() }
        // The stop actions run first on the loops' threads: a connection that they just let in is adopted and
        // ended by now.
        _ = await state.wait(in: \.emptyWaiters, unless: { $0.connections.isEmpty })
        for stop in stopActions { await stop.untilEnded?() }
        // The last events of peers are offered on the loops' threads.
        if options.peerEventCapacity > 0 {
            for context in contexts { await context.loop.hasRunWhatWasSubmitted() }
        }
        inbox?.finish()
        for context in contexts {
            context.loop.executeIfStarted { context.timers.stop() }
            await context.loop.stop()
        }
        inbox = nil
        observer = nil
        // Whoever takes streams may hold this node. Released after the lock, since their ends may use it.
        _ = acceptors.withLock { acceptors in
            defer { acceptors = [:] }
            return acceptors
        }
    }
}
