/// What every transport of this library shares: the connections, their greeting and their end, and the inbox.
///
/// A transport brings links (sockets, or pipes in memory) with ``adopt(_:)``; the node does the rest.
package final class Node: @unchecked Sendable {
    package let options: TransportOptions
    package let loop = EventLoop()
    /// Nil once everything is closed, since it usually owns the transport. The loop's thread only.
    var observer: (any LoopObserver)?
    let isObserved: Bool
    /// Nil once everything is closed: RPCs that nobody consumed lead back here through their peers. The transport
    /// keeps it for its consumers. The loop's thread only.
    var inbox: Inbox?

    let state: Lock<State>
    let bounds: PeerState.Bounds
    let sendBudget: SendBudget
    let logThrottle = Lock(LogThrottle())
    let began = Moment.now
    /// Emptied, lent to whoever decodes. The loop's thread only.
    private var scratch = DecodedRuns()
    /// When connections are to be looked at, and the timer for it. The loop's thread only.
    var looks = LookQueue()
    var lookTimer: LoopTimer?
    var looksArmedFor = UInt64.max
    var isLooking = false
    /// What all connections have received and left unread. The loop's thread only.
    var bufferedBytes = 0
    /// The loop's thread only.
    var acceptBudget: AcceptBudget
    /// Makes the listener look again. The loop's thread only.
    var resumeAccepting: (() -> Void)?

    struct State {
        var connections = SlotTable<Entry>()
        /// Gone while `onPeer` was running: `onDisconnect` comes after it.
        var goneWhileAnnounced: [UInt64: Gone] = [:]
        var closing: Task<Void, Never>?
        var isEmpty = WaitQueue()
        var listening = Listening.no
        /// How a listener or a dial is stopped; called on the loop's thread.
        var stops: [ObjectIdentifier: @Sendable () -> Void] = [:]
        var admission: Admission
        /// The connection that stands for a node; see ``DuplicateRule``.
        var identities: [String: UInt64] = [:]
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
        var stage = Stage.handshaking
        var identity: String?
        var greeting: Task<Void, Never>?
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

    init(_ options: TransportOptions, inbox: Inbox, observer: (any LoopObserver)? = nil) {
        self.options = options
        self.inbox = inbox
        self.observer = observer
        isObserved = observer != nil
        let limits = options.limits
        state = Lock(State(admission: Admission(limits)))
        bounds = PeerState.Bounds(
            maxMessageBytes: min(limits.maxMessageBytes ?? .max, options.decoder.maxMessageBytes),
            isChecked: limits.maxMessageBytes != nil || !options.decoder.checksLengths,
            readAheadBytes: max(1, limits.readAheadBytes)
        )
        sendBudget = SendBudget(bytes: limits.sendBufferBytes)
        acceptBudget = AcceptBudget(perSecond: limits.acceptsPerSecond)
    }

    /// The peers that are greeted and connected.
    package var connections: [Connection] {
        state.withLock { $0.connections.elements.filter { $0.stage == .greeted }.map(\.connection) }
    }

    /// The connection under `number`, from the handshake until its end was told.
    package func connection(_ number: UInt64) -> Connection? {
        // Most often it is the one that is answered.
        let delivering = EventLoop.current?.delivering
        if let delivering, delivering.number == number, delivering.node === self { return delivering }
        return state.withLock { $0.connections.look(number, \.connection) }
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

    /// How many RPCs one connection may deliver now; nil when nobody takes them any more. The loop's thread only.
    ///
    /// - Parameter isCalled: whether the connection has waited for the inbox, and it is its turn.
    func space(isCalled: Bool) -> Int? {
        takesRPCs ? .max : inbox?.share(isCalled: isCalled)
    }

    /// Hands RPCs to whoever takes them; returns the space that is left. The loop's thread only.
    func deliver(_ decoded: borrowing DecodedRuns, from connection: Connection) -> Int {
        guard let observer, takesRPCs else { return inbox?.offer(decoded, from: connection) ?? 0 }
        connection.delivering { observer.didReceive(decoded.runs, from: connection) }
        return .max
    }

    var takesRPCs: Bool { observer?.takesRPCs == true }

    func takeScratch() -> DecodedRuns {
        var taken = DecodedRuns()
        swap(&taken, &scratch)
        return taken
    }

    /// Takes it back, and leaves nothing: while there is a second reference to them, arrays cannot keep their space.
    func returnScratch(_ decoded: inout DecodedRuns) {
        decoded.removeAll()
        swap(&decoded, &scratch)
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
