import Logging

/// What every transport of this library shares: the connections, their greeting and their end, and the inbox.
///
/// A transport brings links (sockets, or pipes in memory) with ``adopt(_:)``; the node does the rest.
final class Node: @unchecked Sendable {
    let options: TransportOptions
    let loop = EventLoop()
    /// Nil once everything is closed: RPCs that nobody consumed lead back here through their peers. The transport
    /// keeps it for its consumers. The loop's thread only.
    private(set) var inbox: Inbox?

    private let state = Lock(State())
    /// Emptied array of RPCs, lent to whoever decodes. The loop's thread only.
    private var scratch: [RPC] = []

    private struct State {
        var connections: [ObjectIdentifier: Entry] = [:]
        /// Gone while `onPeer` was running: `onDisconnect` comes after it.
        var goneWhileAnnounced: [ObjectIdentifier: Gone] = [:]
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
    }

    init(_ options: TransportOptions, inbox: Inbox) {
        self.options = options
        self.inbox = inbox
    }

    /// The peers that are greeted and connected.
    var peers: [any Peer] {
        state.withLock { $0.connections.values.filter { $0.stage == .greeted }.map(\.connection) }
    }

    /// Throws once ``close()`` was called.
    private func checkOpen() throws(ParleyError) {
        guard state.withLock({ $0.closing == nil }) else {
            throw ParleyError(.closed, "the transport is closed")
        }
    }

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
            state.connections[ObjectIdentifier(connection)] = Entry(connection: connection)
            return true
        }
        guard isOpen else { return connection.fail(ParleyError(.closed, "the transport is closed")) }
        let timeout = options.handshakeTimeout
        guard options.handshake != nil || options.onPeer != nil else { return finishGreeting(connection) }
        connection.timer(\.greeting).start(after: timeout) { [self] in
            connection.fail(
                ParleyError(.timedOut, "greeting \(connection.remoteAddress) took longer than \(timeout)")
            )
            state.withLock { $0.connections[ObjectIdentifier(connection)]?.greeting }?.cancel()
        }
        connection.settleReading()
        let greeting = Task { await greet(connection) }
        state.withLock { $0.connections[ObjectIdentifier(connection)]?.greeting = greeting }
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
            state.connections[ObjectIdentifier(connection)]?.stage = .announcing
            return state.connections[ObjectIdentifier(connection)] != nil
        }
        guard isThere else { return }
        do {
            try await options.onPeer?(connection)
        } catch {
            let what = "onPeer refused \(connection.remoteAddress): \(error)"
            connection.close(because: ParleyError(.peerRefused, what), greetingFailure: error)
        }
        finishGreeting(connection)
        tellIfGone(connection)
    }

    private func finishGreeting(_ connection: Connection) {
        let isOpen = connection.open()
        state.withLock { state in
            state.connections[ObjectIdentifier(connection)]?.stage = isOpen ? .greeted : .refused
            state.connections[ObjectIdentifier(connection)]?.greeting = nil
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
        let id = ObjectIdentifier(connection)
        let (entry, woken) = state.withLock { state in
            let entry = state.connections.removeValue(forKey: id)
            if entry?.stage == .announcing {
                state.goneWhileAnnounced[id] = Gone(connection: connection, reason: reason)
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
            state.goneWhileAnnounced[id]?.timeout = timeout
            return state.goneWhileAnnounced[id] == nil
        }
        if isToldAlready { timeout.cancel() }
    }

    private func tellIfGone(_ connection: Connection) {
        let gone = state.withLock { $0.goneWhileAnnounced.removeValue(forKey: ObjectIdentifier(connection)) }
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
            ($0.stops.values, $0.connections.values.map(\.connection))
        }
        loop.execute { for stop in stops { stop() } }
        let reason = ParleyError(.closed, "the transport was closed")
        for connection in connections { connection.close(because: reason) }
        // Behind the stops on the loop's thread: a connection they have just let in is adopted by now, and ended.
        _ = await state.wait(in: \.isEmpty, unless: { $0.connections.isEmpty })
        inbox?.finish()
        await loop.stop()
        inbox = nil
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
