import Logging

/// What every transport of this library shares: the connections, their greeting and their end, and the inbox.
///
/// A transport brings links (sockets, or pipes in memory) with ``adopt(_:)``; the node does the rest.
package final class Node: @unchecked Sendable {
    package let options: TransportOptions
    package let loop = EventLoop()
    /// Nil once everything is closed, since it usually owns the transport. The loop's thread only.
    private var observer: (any LoopObserver)?
    private let isObserved: Bool
    /// Nil once everything is closed: RPCs that nobody consumed lead back here through their peers. The transport
    /// keeps it for its consumers. The loop's thread only.
    private(set) var inbox: Inbox?

    private let state = Lock(State())
    /// Emptied array of RPCs, lent to whoever decodes. The loop's thread only.
    private var scratch: [RPC] = []

    private struct State {
        var connections = SlotTable<Entry>()
        /// Gone while `onPeer` was running: `onDisconnect` comes after it.
        var goneWhileAnnounced: [UInt64: Gone] = [:]
        var closing: Task<Void, Never>?
        var isEmpty = WaitQueue()
        var listening = Listening.no
        /// How a listener or a dial is stopped; called on the loop's thread.
        var stops: [ObjectIdentifier: @Sendable () -> Void] = [:]
    }

    private enum Listening {
        case no
        case starting
        case at(String)
    }

    private struct Entry {
        let connection: Connection
        var stage = Stage.handshaking
        var greeting: Task<Void, Never>?
    }

    private struct Gone {
        let connection: Connection
        let reason: ParleyError
        /// Tells without waiting any longer for an `onPeer` that does not return.
        var timeout: Task<Void, Never>?
    }

    private enum Stage {
        case handshaking
        /// `onPeer` is running.
        case announcing
        case greeted
        case refused
        /// The observer is hearing of its end.
        case gone
    }

    init(_ options: TransportOptions, inbox: Inbox, observer: (any LoopObserver)? = nil) {
        self.options = options
        self.inbox = inbox
        self.observer = observer
        isObserved = observer != nil
    }

    /// The peers that are greeted and connected.
    package var connections: [Connection] {
        state.withLock { $0.connections.elements.filter { $0.stage == .greeted }.map(\.connection) }
    }

    /// The connection under `number`, from the handshake until its end was told.
    package func connection(_ number: UInt64) -> Connection? {
        state.withLock { $0.connections[number]?.connection }
    }

    /// Throws once ``close()`` was called.
    private func checkOpen() throws(ParleyError) {
        guard state.withLock({ $0.closing == nil }) else {
            throw ParleyError(.closed, "the transport is closed")
        }
    }

    /// How many RPCs may be delivered now; nil when nobody takes them any more. The loop's thread only.
    var space: Int? { takesRPCs ? .max : inbox?.space }

    /// Hands RPCs to whoever takes them; returns the space that is left. The loop's thread only.
    func deliver(_ rpcs: [RPC]) -> Int {
        guard let observer, takesRPCs else { return inbox?.offer(rpcs) ?? 0 }
        observer.didReceive(rpcs)
        return .max
    }

    private var takesRPCs: Bool { observer?.takesRPCs == true }

    func takeScratch() -> [RPC] {
        var taken: [RPC] = []
        swap(&taken, &scratch)
        return taken
    }

    func returnScratch(_ rpcs: consuming [RPC]) {
        rpcs.removeAll(keepingCapacity: rpcs.capacity <= 4_096)
        scratch = rpcs
    }
}

// MARK: - Addresses

extension Node {
    /// The configured listening address; with its real port once there is a listener.
    var address: String {
        state.withLock { if case .at(let address) = $0.listening { address } else { options.listenAddress } }
    }

    /// Listens, once: `bind` gets the configured address and returns the real port.
    func listen(
        _ bind: (SocketAddress) async throws(ParleyError) -> UInt16
    ) async throws(ParleyError) {
        let configured = try SocketAddress(options.listenAddress)
        try checkOpen()
        let isFirst = state.withLock { state in
            guard case .no = state.listening else { return false }
            state.listening = .starting
            return true
        }
        guard isFirst else {
            throw ParleyError(.alreadyListening, "the transport is listening on \(address) already")
        }
        do {
            let bound = SocketAddress(host: configured.host, port: try await bind(configured)).description
            state.withLock { $0.listening = .at(bound) }
            options.logger.info("listening", metadata: ["address": "\(bound)"])
        } catch {
            state.withLock { $0.listening = .no }
            throw error
        }
    }

    /// Where a dial goes.
    func dialTarget(_ address: String) throws(ParleyError) -> SocketAddress {
        let target = try SocketAddress(address)
        guard target.port != 0 else {
            throw ParleyError(
                .invalidAddress,
                "address \"\(address)\" has port 0, which nobody can listen on"
            )
        }
        try checkOpen()
        return target
    }
}

// MARK: - Greeting

extension Node {
    /// Takes in a connection whose link is up, and greets it. The loop's thread only.
    func adopt(_ connection: Connection) {
        loop.assertIsCurrent()
        let isOpen = state.withLock { state in
            guard state.closing == nil else { return false }
            connection.number = state.connections.insert(Entry(connection: connection))
            return true
        }
        guard isOpen else { return connection.fail(ParleyError(.closed, "the transport is closed")) }
        let timeout = options.handshakeTimeout
        guard options.handshake != nil || options.onPeer != nil else { return announce(connection) }
        connection.timer(\.greeting).start(after: timeout) { [self] in
            connection.fail(
                ParleyError(.timedOut, "greeting \(connection.remoteAddress) took longer than \(timeout)")
            )
            state.withLock { $0.connections[connection.number]?.greeting }?.cancel()
        }
        connection.settleReading()
        let greeting = Task { await greet(connection) }
        state.withLock { $0.connections[connection.number]?.greeting = greeting }
    }

    private func greet(_ connection: Connection) async {
        do {
            try await options.handshake?(connection)
        } catch {
            let what = "the handshake with \(connection.remoteAddress) failed: \(error)"
            return connection.close(
                because: ParleyError(.handshakeFailed, what),
                greetingFailure: error
            )
        }
        let isThere = state.withLock { state in
            if options.onPeer != nil { state.connections[connection.number]?.stage = .announcing }
            return state.connections[connection.number] != nil
        }
        guard isThere else { return }
        do {
            try await options.onPeer?(connection)
        } catch {
            let what = "onPeer refused \(connection.remoteAddress): \(error)"
            connection.close(because: ParleyError(.peerRefused, what), greetingFailure: error)
        }
        if isObserved {
            loop.execute { [self] in announce(connection) }
        } else {
            finishGreeting(connection)
        }
        tellIfGone(connection)
    }

    /// Lets the observer refuse it, and opens it. The loop's thread, where there is an observer.
    private func announce(_ connection: Connection) {
        if isObserved, self.connection(connection.number) == nil { return }
        do {
            try observer?.peerDidConnect(connection)
        } catch {
            let what = "\(connection.remoteAddress) was refused: \(error)"
            connection.close(because: ParleyError(.peerRefused, what), greetingFailure: error)
        }
        finishGreeting(connection)
    }

    private func finishGreeting(_ connection: Connection) {
        let isOpen = connection.open()
        state.withLock { state in
            state.connections[connection.number]?.stage = isOpen ? .greeted : .refused
            state.connections[connection.number]?.greeting = nil
        }
        guard isOpen else { return }
        log(.info, "peer connected", connection)
        loop.perform { connection.finishGreeting() }
    }
}

// MARK: - The end of a connection

extension Node {
    /// The connection's link is closed. The loop's thread only, once for each connection.
    func connectionEnded(_ connection: Connection, _ reason: ParleyError) {
        let number = connection.number
        tellObserver(connection, reason)
        let (entry, woken) = state.withLock { state in
            let entry = state.connections.remove(number)
            if entry?.stage == .announcing {
                state.goneWhileAnnounced[number] = Gone(connection: connection, reason: reason)
            }
            return (entry, state.connections.isEmpty ? state.isEmpty.wakeAll() : WaitQueue.Woken())
        }
        // One that came while the node was closing was never let in.
        guard let entry else { return }
        entry.greeting?.cancel()
        woken.resume()
        log(.info, "peer disconnected", connection, reason)
        guard entry.stage == .announcing else { return tellGone(connection, reason) }
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

    private func tellIfGone(_ connection: Connection) {
        let gone = state.withLock { $0.goneWhileAnnounced.removeValue(forKey: connection.number) }
        guard let gone else { return }
        gone.timeout?.cancel()
        tellGone(gone.connection, gone.reason)
    }

    private func tellGone(_ connection: Connection, _ reason: ParleyError) {
        guard let onDisconnect = options.onDisconnect else { return }
        Task { await onDisconnect(connection, reason) }
    }
}

// MARK: - Closing

extension Node {
    /// Remembers how to stop something that is not a connection yet, or never becomes one.
    ///
    /// - Returns: false when the node is closing, and nothing new may begin.
    func register(_ object: AnyObject, stop: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard state.closing == nil else { return false }
            state.stops[ObjectIdentifier(object)] = stop
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
        let (stops, connections) = state.withLock {
            ($0.stops.values, $0.connections.elements.map(\.connection))
        }
        loop.execute { for stop in stops { stop() } }
        let reason = ParleyError(.closed, "the transport was closed")
        for connection in connections { connection.close(because: reason) }
        // Behind the stops on the loop's thread: a connection they have just let in is adopted by now, and ended.
        _ = await state.wait(in: \.isEmpty, unless: { $0.connections.isEmpty })
        inbox?.finish()
        await loop.stop()
        inbox = nil
        observer = nil
    }
}

// MARK: - Logging

extension Node {
    /// One line for an event of a peer, with its address as metadata.
    func log(
        _ level: Logger.Level,
        _ event: Logger.Message,
        _ connection: Connection,
        _ reason: ParleyError? = nil
    ) {
        guard options.logger.logLevel <= level else { return }
        var metadata: Logger.Metadata = [
            "peer": "\(connection.remoteAddress)", "outbound": "\(connection.isOutbound)",
        ]
        if let reason { metadata["reason"] = "\(reason)" }
        options.logger.log(level: level, event, metadata: metadata)
    }
}
