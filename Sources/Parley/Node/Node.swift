import Synchronization

/// The part that the library's transports share: connections, their handshake and their end, and the inbox.
///
/// A transport passes links (sockets, or pipes in memory) to ``adopt(_:)``. What they receive goes through
/// the connection to the inbox or the observer.
package final class Node: @unchecked Sendable {
    package let options: TransportOptions
    /// The node's number. No other node of this process has it.
    let number = Node.numbers.add(1, ordering: .relaxed).newValue
    private static let numbers = Atomic<UInt64>(0)
    /// Why nothing may listen or dial: an option is out of its range.
    private let invalidOption: ParleyError?
    // Unchecked, as the observer is: each connection would pay for the checks.

    /// One context per loop. The first one also listens.
    @exclusivity(unchecked) package private(set) var contexts: [LoopContext] = []
    /// The number of connections per context. Not counted when there is only one context.
    let loads: Lock<[Int]>
    /// Nil once everything is closed: the observer usually owns the transport. The loops' threads read it; it
    /// is cleared when they have ended.
    @exclusivity(unchecked) var observer: (any PeerObserver)?
    let isObserved: Bool
    /// Whether the links are secured. Kept, because a look at ``Security/link`` copies it.
    let securesLinks: Bool
    /// Whether RPCs go to the observer instead of the inbox.
    let takesRPCs: Bool
    /// Nil once everything is closed: unconsumed RPCs refer back to this node through their peers. The
    /// transport keeps the inbox for its consumers. The loops' threads read it; it is cleared when they have
    /// ended.
    var inbox: Inbox?

    let state: Lock<State>
    let bounds: PeerState.Bounds
    let sendMarks: SendQueue.Marks
    let timeLimits: Health.TimeLimits
    private(set) var sendBudget: SharedSendBudget!
    /// What connections have delivered after their end, when their own statistics were in the totals already.
    /// This lock is taken under that of a connection's receiving half, and none is taken under it.
    let lateTraffic = Lock(Traffic())
    /// The unread bytes of all connections; see ``Connection/account(_:hasProgress:)``.
    let heldBytes = Atomic(0)
    /// The handlers of streams, by the name of their protocol.
    let acceptors: Lock<[String: StreamAcceptor]>
    /// How often the names of ``acceptors`` have changed.
    let protocolsEpoch = Atomic<UInt64>(0)
    /// The streams of other sides that are open, of all connections.
    let streamCount = Atomic(0)
    let logThrottle = Lock(LogThrottle())
    let began = MonotonicTime.now
    /// The first loop's thread only.
    var acceptBudget: AcceptBudget
    /// Makes the listener check the backlog again. The first loop's thread only.
    var resumeAccepting: (() -> Void)?

    struct State {
        var connections = SlotTable<Entry>()
        /// Connections that have ended while their last messages wait for room in the inbox.
        var undelivered: [ObjectIdentifier: Connection] = [:]
        /// Connections that have ended, and held something then.
        var holders: [Holder] = []
        /// At this many, those that are gone are removed.
        var mostHolders = 64
        var closing: Task<Void, Never>?
        var emptyWaiters = WaitQueue()
        var listening = Listening.no
        /// How to stop each listener and each dial.
        var stopActions: [ObjectIdentifier: StopAction] = [:]
        var admission: Admission
        /// The connections that represent each identity, the oldest first; see ``DuplicateRule``.
        var identities: [String: [IdentityHolder]] = [:]
        /// The identity of each connection that has one, by number.
        var identityOf: [UInt64: String] = [:]
        /// Why connections wait in the backlog.
        var acceptPause: AcceptPause?
        var counters = NodeCounters()
    }

    struct Holder {
        weak var connection: Connection?
    }

    enum Listening {
        case no
        case starting
        /// ``Node/stopListening()`` came meanwhile. What is bound then is closed at once.
        case startingInVain
        /// The listener is the key of its stop action.
        case at(String, listener: ObjectIdentifier)
        case stopping(Task<Void, Never>)
    }

    struct Entry {
        let connection: Connection
        var handshake = Handshake.notBegun
    }

    /// Handshake and `onPeer` of a connection, and what comes before them.
    enum Handshake {
        case notBegun
        case running(Task<Void, Never>)
        /// The connection is open.
        case over

        /// The task that runs it now. It may be over by then: it begins before its task is known.
        mutating func runs(in task: Task<Void, Never>) {
            if case .over = self { return }
            self = .running(task)
        }

        func cancel() { if case .running(let task) = self { task.cancel() } }
    }

    struct StopAction {
        /// The loop on whose thread it is called.
        let loop: EventLoop
        let call: @Sendable () -> Void
        /// Waits until what was stopped has ended; nil when it ends in the call.
        let untilEnded: (@Sendable () async -> Void)?
    }

    /// - Parameter loops: the number of event loops, over which the connections are spread.
    init(
        _ options: TransportOptions,
        inbox: Inbox,
        observer: (any PeerObserver)? = nil,
        loops: Int = 1
    ) {
        ForkedChild.noteUse()
        occupyStandardDescriptors()
        self.options = options
        do throws(ParleyError) {
            try options.validate()
            invalidOption = nil
        } catch { invalidOption = error }
        acceptors = Lock(Self.libP2PAcceptors(options))
        self.inbox = inbox
        self.observer = observer
        isObserved = observer != nil
        securesLinks = options.security.link != nil
        takesRPCs = observer?.takesRPCs == true
        let limits = options.limits
        state = Lock(State(admission: Admission(limits)))
        bounds = PeerState.Bounds(
            maxMessageBytes: min(limits.maxMessageBytes ?? .max, options.decoder.maxMessageBytes),
            readAheadBytes: max(1, limits.readAheadBytes),
            isChecked: limits.maxMessageBytes != nil || !options.decoder.checksLengths
        )
        sendMarks = SendQueue.Marks(high: options.sendHighWaterBytes, low: options.sendLowWaterBytes)
        timeLimits = Health.TimeLimits(options.timeouts)
        acceptBudget = AcceptBudget(perSecond: limits.acceptsPerSecond)
        loads = Lock(Array(repeating: 0, count: loops))
        sendBudget = SharedSendBudget(bytes: limits.sendBufferBytes) { [unowned self] number in
            connection(number)?.budgetHasRoom()
        }
        contexts = (0..<loops).map { LoopContext(of: self, index: $0) }
    }

    /// The peers: connections that are open, or were open and have not ended yet.
    package var connections: [Connection] {
        if ForkedChild.isThisProcess { return [] }
        return state.withLock { $0.connections.elements.map(\.connection) }.filter(\.isPeer)
    }

    /// The connection with this number, from the handshake until ``PeerObserver/peerDidDisconnect(_:_:)`` has
    /// returned.
    package func connection(_ number: UInt64) -> Connection? { withConnection(number) { $0 } }

    /// Calls `body` with the connection of this number; nil when there is none.
    @inline(__always)
    func withConnection<Result, Failure: Error>(
        _ number: UInt64,
        _ body: (Connection) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        let local = LoopContext.localOfThisThread
        if let recent = local?.value.recent {
            // It cannot end before `body` returns: connections end on this thread.
            let isIt = recent.withBorrowed { $0.number == number && $0.node === self }
            if isIt { return try recent.withBorrowed(body) }
        }
        guard let found = state.withLock({ $0.connections.with(number, \.connection) }) else { return nil }
        if local == found.context.local { found.cacheAsRecent() }
        return try body(found)
    }

    /// Whether ``close()`` was called.
    var isClosing: Bool { state.withLock { $0.closing != nil } }

    /// Throws once ``close()`` was called, and when an option is out of its range.
    package func checkOpen() throws(ParleyError) {
        try ForkedChild.check()
        if let invalidOption { throw invalidOption }
        guard state.withLock({ $0.closing == nil }) else {
            throw ParleyError(.closed, "the transport is closed")
        }
    }

    /// The queue that the connection fills; nil once everything is closed. Its loop's thread only.
    func inboxQueue(of connection: Connection) -> InboxQueue? { inbox?.queues[connection.context.index] }

    /// How many RPCs and bytes one connection may deliver now; nil once everything is closed. Its loop's
    /// thread only.
    ///
    /// Each loop caches the room of its queue, which it alone fills. It asks the inbox again only when that
    /// is used up.
    ///
    /// - Parameter isCalled: whether the inbox has called this connection, which waited for room.
    func inboxShare(for connection: Connection, isCalled: Bool) -> (rpcs: Int, bytes: Int)? {
        if takesRPCs { return (.max, .max) }
        let local = connection.context.local
        if !isCalled, !local.value.inboxRoom.isToBeAsked { return local.value.inboxRoom.share }
        guard let queue = inboxQueue(of: connection) else { return nil }
        let room = isCalled ? queue.takeTurn(of: connection) : queue.room(for: connection)
        local.value.inboxRoom = room
        return room.share
    }

    /// Delivers RPCs, at least one, to the observer or the inbox. The connection's loop's thread only.
    ///
    /// - Returns: whether there is room for more.
    func deliver(_ decoded: inout DecodedRuns, from connection: Connection) -> Bool {
        guard takesRPCs, let observer else {
            let index = connection.context.index
            guard let inbox else { return true }
            connection.delivering(decoded.count &+ decoded.requests)
            let room = inbox.offer(&decoded, from: connection, to: index)
            connection.context.local.value.inboxRoom = room
            return !room.isEmpty
        }
        if decoded.requests > 0 { connection.delivering(decoded.requests) }
        connection.cacheAsRecent()
        observer.didReceive(decoded.runs, from: connection)
        return true
    }

}

// MARK: - Lengths

// Checked before the bytes are copied, and before memory for them is reserved.
extension Node {
    /// Throws `messageTooLong` for a message, or a stream's header, over the limit.
    @inline(__always)
    package func checkLength(ofMessage count: Int) throws(ParleyError) {
        guard count <= bounds.maxMessageBytes else { throw tooLong(count) }
    }

    private func tooLong(_ count: Int) -> ParleyError {
        ParleyError(
            .messageTooLong,
            "a message of \(count) bytes is over the limit of \(bounds.maxMessageBytes)"
        )
    }

    /// Throws `messageTooLong` for raw bytes that no send buffer can hold: they are accepted whole.
    package func checkLength(ofRawBytes count: Int) throws(ParleyError) {
        let limit = max(options.limits.sendBufferBytes, options.sendHighWaterBytes)
        guard count <= limit else {
            throw ParleyError(
                .messageTooLong,
                "\(count) raw bytes are over the limit of one send, \(limit): send them in parts"
            )
        }
    }
}

// MARK: - Addresses

extension Node {
    /// The listening address: the configured one, with its real port once the node listens.
    var address: String {
        if ForkedChild.isThisProcess { return options.listenAddress }
        return state.withLock { state in
            if case .at(let address, _) = state.listening { address } else { options.listenAddress }
        }
    }

    /// Where the node listens; nil when it does not.
    var listeningAddress: SocketAddress? {
        guard case .at(let address, _) = state.withLock({ $0.listening }) else { return nil }
        return try? SocketAddress(address)
    }

    /// What listens, registered with ``register(_:on:stop:)``, and its real port.
    struct Bound: Sendable {
        let port: UInt16
        let listener: ObjectIdentifier
    }

    /// Listens. `bind` gets the configured address.
    func listen(
        _ bind: (SocketAddress) async throws(ParleyError) -> Bound
    ) async throws(ParleyError) {
        try ForkedChild.check()
        let configured = try SocketAddress(options.listenAddress)
        try checkOpen()
        try await beginListening()
        let bound: Bound
        do { bound = try await bind(configured) } catch {
            state.withLock { $0.listening = .no }
            throw error
        }
        let address = SocketAddress(host: configured.host, port: bound.port).description
        let stopping = state.withLock { state -> Task<Void, Never>? in
            let isWanted = if case .starting = state.listening { true } else { false }
            state.listening = .at(address, listener: bound.listener)
            return isWanted ? nil : stopListening(&state)
        }
        if let stopping {
            await stopping.value
            throw ParleyError(.cancelled, "listening on \(address) was stopped before it began")
        }
        log(.info, .listening, ["address": "\(address)"])
    }

    /// Waits for a listener that stops.
    private func beginListening() async throws(ParleyError) {
        while true {
            let (isListening, stopping) = state.withLock { state -> (Bool, Task<Void, Never>?) in
                switch state.listening {
                case .no:
                    state.listening = .starting
                    return (false, nil)
                case .starting, .startingInVain, .at: return (true, nil)
                case .stopping(let task): return (false, task)
                }
            }
            if isListening {
                throw ParleyError(.alreadyListening, "the transport is listening on \(address) already")
            }
            guard let stopping else { return }
            await stopping.value
        }
    }

    /// Stops listening, or lets ``listen(_:)`` fail, which is under way. Returns when the port is free.
    func stopListening() async {
        if ForkedChild.isThisProcess { return }
        let stopping = state.withLock { state -> Task<Void, Never>? in
            // It stops everything.
            if let closing = state.closing { return closing }
            switch state.listening {
            case .no, .startingInVain: return nil
            case .starting:
                state.listening = .startingInVain
                return nil
            case .at: return stopListening(&state)
            case .stopping(let task): return task
            }
        }
        await stopping?.value
    }

    /// Stops what listens, and returns the task that does. Under the lock.
    private func stopListening(_ state: inout State) -> Task<Void, Never>? {
        // Nil when the node is closing, which stops everything.
        guard case .at(let address, let listener) = state.listening,
            let stop = state.stopActions.removeValue(forKey: listener)
        else { return state.closing }
        // A task of its own is not cancelled with the caller.
        let task = Task {
            stop.loop.execute(stop.call)
            await stop.loop.hasRunWhatWasSubmitted()
            self.state.withLock { state in
                state.listening = .no
                state.acceptPause = nil
            }
            log(.info, .listeningStopped, ["address": "\(address)"])
        }
        state.listening = .stopping(task)
        return task
    }

    /// Parses the address of a dial.
    func dialTarget(_ address: String) throws(ParleyError) -> DialTarget {
        try ForkedChild.check()
        let target = try DialTarget(address)
        guard target.id == nil || securesLinks else {
            throw ParleyError(
                .invalidArgument,
                "\"\(address)\" has an id, which only a node with an identity of its own can ask for"
            )
        }
        guard target.address.port != 0 else {
            throw ParleyError(
                .invalidAddress,
                "address \"\(address)\" has port 0, which nobody can listen on"
            )
        }
        try checkOpen()
        return target
    }
}
