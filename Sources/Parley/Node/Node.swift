import Synchronization

/// What every transport of this library shares: the connections, their handshake and their end, and the inbox.
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
    /// Whether RPCs go to the observer rather than into the inbox.
    let takesRPCs: Bool
    /// Nil once everything is closed: RPCs that nobody consumed lead back here through their peers. The transport
    /// keeps it for its consumers. The loops' threads only.
    var inbox: Inbox?

    let state: Lock<State>
    let bounds: PeerState.Bounds
    let sendMarks: SendQueue.Marks
    let healthLimits: Health.Limits
    private(set) var sendBudget: SharedSendBudget!
    /// What all connections together have received and left unread; see ``Connection/account(_:hasProgress:)``.
    let heldBytes = Atomic(0)
    let logThrottle = Lock(LogThrottle())
    let began = MonotonicTime.now
    /// The first loop's thread only.
    var acceptBudget: AcceptBudget
    /// Makes the listener look again. The first loop's thread only.
    var resumeAccepting: (() -> Void)?

    struct State {
        var connections = SlotTable<Entry>()
        /// Connections that have ended with messages that wait for room in the inbox.
        var backlogs: [ObjectIdentifier: Connection] = [:]
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
        /// What runs handshake and `onPeer`.
        var handshake: Task<Void, Never>?
    }

    struct Stop {
        /// Where it is called.
        let loop: EventLoop
        let call: @Sendable () -> Void
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
        takesRPCs = observer?.takesRPCs == true
        let limits = options.limits
        state = Lock(State(admission: Admission(limits)))
        bounds = PeerState.Bounds(
            maxMessageBytes: min(limits.maxMessageBytes ?? .max, options.decoder.maxMessageBytes),
            readAheadBytes: max(1, limits.readAheadBytes),
            isChecked: limits.maxMessageBytes != nil || !options.decoder.checksLengths
        )
        sendMarks = SendQueue.Marks(high: options.sendHighWaterBytes, low: options.sendLowWaterBytes)
        healthLimits = Health.Limits(options.timeouts)
        acceptBudget = AcceptBudget(perSecond: limits.acceptsPerSecond)
        loads = Lock(Array(repeating: 0, count: loops))
        sendBudget = SharedSendBudget(bytes: limits.sendBufferBytes) { [unowned self] number in
            connection(number)?.takeBudgetTurn()
        }
        contexts = (0..<loops).map { LoopContext(of: self, index: $0) }
    }

    /// The peers: connections that are open, or were and are not gone yet.
    package var connections: [Connection] {
        state.withLock { $0.connections.elements.map(\.connection) }.filter(\.isPeer)
    }

    /// The connection under `number`, from the handshake until its end was told.
    package func connection(_ number: UInt64) -> Connection? { withConnection(number) { $0 } }

    /// Passes the same to `body`, which is not called when there is none.
    @inline(__always)
    func withConnection<Result, Failure: Error>(
        _ number: UInt64,
        _ body: (Connection) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        let context = LoopContext.current
        if let recent = context?.withBorrowed({ $0.local.value.recent }) {
            // It cannot end meanwhile: that happens on this thread.
            let isIt = recent.withBorrowed { $0.number == number && $0.node === self }
            if isIt { return try recent.withBorrowed(body) }
        }
        guard let found = state.withLock({ $0.connections.look(number, \.connection) }) else { return nil }
        if let context, context.withBorrowed({ $0 === found.context }) { found.isMostRecent() }
        return try body(found)
    }

    /// Whether the handshake with that connection is still of use.
    package func isHandshaking(_ number: UInt64) -> Bool { connection(number)?.isHandshaking == true }

    /// Whether ``close()`` was called.
    var isClosing: Bool { state.withLock { $0.closing != nil } }

    /// Throws once ``close()`` was called.
    func checkOpen() throws(ParleyError) {
        guard state.withLock({ $0.closing == nil }) else {
            throw ParleyError(.closed, "the transport is closed")
        }
    }

    /// The queue that the connection fills; nil once everything is closed. Its loop's thread only.
    func inboxQueue(of connection: Connection) -> InboxQueue? { inbox?.queues[connection.context.index] }

    /// How many RPCs, and bytes of them, one connection may deliver now; nil when nobody takes them any more. Its loop's
    /// thread only.
    ///
    /// A loop remembers how much room there was, since it alone fills its queue: the inbox is asked only when that is
    /// used up.
    ///
    /// - Parameter isCalled: whether the connection has waited for the inbox, and it is its turn.
    func inboxShare(for connection: Connection, isCalled: Bool) -> (rpcs: Int, bytes: Int)? {
        if takesRPCs { return (.max, .max) }
        guard let queue = inboxQueue(of: connection) else { return nil }
        let local = connection.context.local
        if isCalled { return queue.takeTurn(&local.value.inboxRoom) }
        if local.value.inboxRoom.isEmpty { local.value.inboxRoom = queue.room }
        return local.value.inboxRoom.share
    }

    /// Hands RPCs, of which there are some, to whoever takes them. Its loop's thread only.
    ///
    /// - Returns: whether there is room for more.
    func deliver(_ decoded: borrowing DecodedRuns, from connection: Connection) -> Bool {
        guard let observer, takesRPCs else {
            let index = connection.context.index
            guard let room = inbox?.offer(decoded, from: connection, to: index) else { return true }
            connection.context.local.value.inboxRoom = room
            return !room.isEmpty
        }
        connection.isMostRecent()
        observer.didReceive(decoded.runs, from: connection)
        return true
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
