/// What every transport of this library shares: the connections, their greeting and their end, and the inbox.
///
/// A transport brings links (sockets, or pipes in memory) with ``adopt(_:)``; the node does the rest.
package final class Node: @unchecked Sendable {
    package let options: TransportOptions
    /// A context for each loop; the first one's also listens.
    package private(set) var contexts: [LoopContext] = []
    /// How many connections each has.
    let loads: Lock<[Int]>
    /// Nil once everything is closed, since it usually owns the transport. The loops' threads only.
    var observer: (any LoopObserver)?
    let isObserved: Bool
    /// Nil once everything is closed: RPCs that nobody consumed lead back here through their peers. The transport
    /// keeps it for its consumers. The loops' threads only.
    var inbox: Inbox?

    let state: Lock<State>
    let bounds: PeerState.Bounds
    let sendBudget: SendBudget
    let logThrottle = Lock(LogThrottle())
    let began = MonotonicTime.now
    /// The first loop's thread only.
    var acceptBudget: AcceptBudget
    /// Makes the listener look again. The first loop's thread only.
    var resumeAccepting: (() -> Void)?

    struct State {
        var connections = SlotTable<Entry>()
        /// Gone while `onPeer` was running: `onDisconnect` comes after it.
        var goneWhileAnnounced: [UInt64: Gone] = [:]
        var closing: Task<Void, Never>?
        var isEmpty = WaitQueue()
        var listening = Listening.no
        /// How a listener or a dial is stopped.
        var stops: [ObjectIdentifier: Stop] = [:]
        var admission: Admission
        /// The connection that stands for a node; see ``DuplicateRule``.
        var identities: [String: UInt64] = [:]
        /// What the connections said they are, where anybody asked.
        var identityOf: [UInt64: String] = [:]
        /// Why the listener leaves connections in the backlog.
        var acceptPause: AcceptPause?
        var counters = NodeCounters()
    }

    enum Listening {
        case no
        case starting
        case at(String)
    }

    struct Entry {
        let connection: Connection
        var handshake: Task<Void, Never>?
        var stage = Stage.handshaking
    }

    struct Stop {
        /// Where it is called.
        let loop: EventLoop
        let call: @Sendable () -> Void
    }

    struct Gone {
        let connection: Connection
        let reason: ParleyError
        /// Tells without waiting any longer for an `onPeer` that does not return.
        var timeout: Task<Void, Never>?
    }

    enum Stage {
        case handshaking
        /// `onPeer` is running.
        case announcing
        case greeted
        case refused
        /// The observer is hearing of its end.
        case gone
    }

    /// - Parameter loops: how many event loops the connections are spread over.
    init(
        _ options: TransportOptions,
        inbox: Inbox,
        observer: (any LoopObserver)? = nil,
        loops: Int = 1
    ) {
        self.options = options
        self.inbox = inbox
        self.observer = observer
        isObserved = observer != nil
        let limits = options.limits
        state = Lock(State(admission: Admission(limits)))
        bounds = PeerState.Bounds(
            maxMessageBytes: min(limits.maxMessageBytes ?? .max, options.decoder.maxMessageBytes),
            readAheadBytes: max(1, limits.readAheadBytes),
            isChecked: limits.maxMessageBytes != nil || !options.decoder.checksLengths
        )
        sendBudget = SendBudget(bytes: limits.sendBufferBytes)
        acceptBudget = AcceptBudget(perSecond: limits.acceptsPerSecond)
        loads = Lock(Array(repeating: 0, count: loops))
        contexts = (0..<loops).map { LoopContext(of: self, index: $0) }
    }

    /// The peers that are greeted and connected.
    package var connections: [Connection] {
        state.withLock { $0.connections.elements.filter { $0.stage == .greeted }.map(\.connection) }
    }

    /// The connection under `number`, from the handshake until its end was told.
    package func connection(_ number: UInt64) -> Connection? { withConnection(number) { $0 } }

    /// Lends the same to `body`, which is not called when there is none.
    @inline(__always)
    func withConnection<Result, Failure: Error>(
        _ number: UInt64,
        _ body: (Connection) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        let turn = EventLoop.currentTurn
        if let recent = turn?.pointee.recent {
            // It cannot end meanwhile: that happens on this thread.
            let isIt = recent.withBorrowed { $0.number == number && $0.node === self }
            if isIt { return try recent.withBorrowed(body) }
        }
        guard let found = state.withLock({ $0.connections.look(number, \.connection) }) else { return nil }
        if let turn, found.loop.turn == turn { found.isMostRecent() }
        return try body(found)
    }

    /// Whether the handshake with that connection is still of use.
    package func isHandshaking(_ number: UInt64) -> Bool {
        state.withLock { $0.connections[number]?.stage == .handshaking }
    }

    /// Whether ``close()`` was called.
    var isClosing: Bool { state.withLock { $0.closing != nil } }

    /// Throws once ``close()`` was called.
    func checkOpen() throws(ParleyError) {
        guard state.withLock({ $0.closing == nil }) else {
            throw ParleyError(.closed, "the transport is closed")
        }
    }

    /// How many RPCs, and bytes of them, one connection may deliver now; nil when nobody takes them any more. Its loop's
    /// thread only.
    ///
    /// - Parameter isCalled: whether the connection has waited for the inbox, and it is its turn.
    func space(for connection: Connection, isCalled: Bool) -> (rpcs: Int, bytes: Int)? {
        takesRPCs ? (.max, .max) : inboxQueue(of: connection)?.share(isCalled: isCalled)
    }

    /// The queue that the connection fills; nil once everything is closed. Its loop's thread only.
    func inboxQueue(of connection: Connection) -> InboxQueue? { inbox?.queues[connection.context.index] }

    /// Hands RPCs, of which there are some, to whoever takes them; returns the space that is left. Its loop's thread only.
    func deliver(_ decoded: borrowing DecodedRuns, from connection: Connection) -> Int {
        guard let observer, takesRPCs else {
            return inbox?.offer(decoded, from: connection, to: connection.context.index) ?? 0
        }
        connection.isMostRecent()
        observer.didReceive(decoded.runs, from: connection)
        return .max
    }

    var takesRPCs: Bool { observer?.takesRPCs == true }
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
            log(.info, .listening, ["address": "\(bound)"])
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
