import Logging

/// Keeps a connection to one address: dials again whenever it ends. See
/// ``Transport/keepConnected(to:backoff:)``.
public final class Reconnection: Sendable {
    /// The connection with the node that is kept.
    private enum Current {
        case none
        /// It was dialed here.
        case dialed(any Peer)
        /// Somebody else has made it.
        case found(any Peer)
    }

    private struct State {
        var current = Current.none
        var lastError: ParleyError?
        var connections = 0
        var failures = 0
        var isOver = false
        var task: Task<Void, Never>?
        /// Those who wait for a peer.
        var waiters = WaitQueue()

        var peer: (any Peer)? {
            switch current {
            case .none: nil
            case .dialed(let peer), .found(let peer): peer
            }
        }
    }

    /// The address that is dialed.
    public let address: String
    /// The node that is dialed; nil when it is not known before.
    private let id: PeerID?
    private let backoff: Backoff
    private let state = Lock(State())

    fileprivate init(to address: String, _ id: PeerID?, backoff: Backoff) {
        self.address = address
        self.id = id
        self.backoff = backoff
    }

    /// The current peer; nil while there is no connection. After ``cancel()`` it is the one that was current
    /// then, also when that ends.
    public var peer: (any Peer)? { snapshot.peer }

    /// Waits for a connection: the current peer, or else the next one.
    ///
    /// ```swift
    /// let home = try transport.keepConnected(to: "home.example:3000")
    /// try await home.connected().send(message: "hello")
    /// ```
    ///
    /// - Throws: ``ParleyError``: `closed` when there is none and it has stopped dialing, `cancelled`,
    ///   `forked`.
    public func connected() async throws(ParleyError) -> any Peer {
        try ForkedChild.check()
        while true {
            let (peer, isOver, epoch) = state.withLock { ($0.peer, $0.isOver, $0.waiters.epoch) }
            // One whose other side has ended is ending, too.
            if let peer, (peer as? Connection).map({ $0.isLive && !$0.isHalfClosed }) ?? true { return peer }
            guard !isOver else { throw ParleyError(.closed, "nothing dials \(address) any more") }
            guard await state.wait(in: \.waiters, unless: { $0.waiters.epoch != epoch }) else {
                throw .cancelled("waiting for a connection to \(address)")
            }
        }
    }

    /// Why the last connection ended or the last dial failed; nil before either happened.
    public var lastError: ParleyError? { snapshot.lastError }

    /// The number of connections made so far. One that the other side has dialed, or another dial has made,
    /// is not counted.
    public var connections: Int { snapshot.connections }

    /// The number of consecutive attempts without a stable connection; see ``Backoff/stable``.
    public var failures: Int { snapshot.failures }

    /// Whether it has stopped dialing: it was cancelled, or the transport was closed.
    public var isOver: Bool { snapshot.isOver }

    /// A forked child, in which a thread that is gone may hold the lock, sees one that is over.
    private var snapshot: State { ForkedChild.isThisProcess ? State(isOver: true) : state.withLock { $0 } }

    /// Stops dialing. The current connection stays open. Idempotent; any thread.
    public func cancel() { end() }

    /// Stops dialing, and returns the current peer if it was dialed here. The caller may close it.
    @discardableResult
    package func end() -> (any Peer)? {
        if ForkedChild.isThisProcess { return nil }
        let (task, current, woken) = state.withLock { state in
            state.isOver = true
            return (state.task, state.current, state.waiters.wakeAll())
        }
        woken.resume()
        task?.cancel()
        return if case .dialed(let peer) = current { peer } else { nil }
    }

    /// Waits until its task, which holds the transport, has ended.
    fileprivate func untilEnded() async {
        cancel()
        await state.withLock { $0.task }?.value
    }

    fileprivate func start(on transport: any Transport) {
        LibraryThread.withSignalsBlocked {
            state.withLock { state in
                // The transport may be closing already: it would not know of the task.
                if !state.isOver { state.task = Task { await run(on: transport) } }
            }
        }
    }

    private func run(on transport: any Transport) async {
        let node = (transport as? any NodeTransport)?.node
        while !Task.isCancelled {
            let (error, lifetime) = await connectOnce(on: transport)
            // The peer is released after the lock, and what its program keeps on it.
            let (delay, _) = state.withLock { state -> (Duration?, Current) in
                let current = state.current
                // Cancelled: the connection stays.
                if state.isOver, state.peer != nil, error.code == .cancelled { return (nil, current) }
                let wasStable = state.peer != nil && lifetime >= backoff.stable
                state.current = .none
                state.lastError = error
                state.failures = wasStable ? 1 : state.failures + 1
                return (state.isOver ? nil : backoff.delay(failures: state.failures), current)
            }
            guard let delay, !Task.isCancelled, node?.isClosing != true else { break }
            node?.log(
                .info,
                .reconnecting,
                ["address": "\(address)", "error": "\(error)", "retryIn": "\(delay)"]
            )
            do { try await Task.sleep(for: delay) } catch { break }
        }
        let woken = state.withLock { state in
            state.isOver = true
            return state.waiters.wakeAll()
        }
        woken.resume()
        node?.unregister(self)
    }

    /// Waits for the end of a connection that there is with the node, where a rule leaves one with each id: a
    /// dial would end that connection, or be refused.
    ///
    /// - Returns: the connection, and why it has ended; nil when there was none.
    private func existingConnection(
        on transport: any Transport
    ) async throws -> (any Peer, reason: ParleyError)? {
        guard let id, let rule = (transport as? any NodeTransport)?.node.options.duplicates,
            rule.leavesOneOfEachID, let peer = transport.peer(id),
            // A half-closed connection is ending: the rule prefers a new one.
            (peer as? Connection)?.isHalfClosed != true
        else { return nil }
        become(.found(peer))
        return (peer, try await peer.untilClosed())
    }

    /// Makes a connection the current one, and tells those who wait for it.
    ///
    /// - Returns: false when it was cancelled before; nothing changes then.
    @discardableResult
    private func become(_ current: Current) -> Bool {
        let woken = state.withLock { state -> WaitQueue.Woken? in
            guard !state.isOver else { return nil }
            state.current = current
            if case .dialed = current { state.connections += 1 }
            return state.waiters.wakeAll()
        }
        woken?.resume()
        return woken != nil
    }

    /// Dials once and waits until the connection ends. Returns why it ended or why the dial failed, and how
    /// long it was open.
    private func connectOnce(on transport: any Transport) async -> (ParleyError, lifetime: Duration) {
        do {
            if let (peer, reason) = try await existingConnection(on: transport) {
                return (reason, peer.statistics.uptime)
            }
            let peer = try await transport.dial(address)
            let began = ContinuousClock.now
            guard become(.dialed(peer)) else {
                // Cancelled while dialing: nobody else holds this peer.
                await peer.close()
                return (.cancelled("staying connected to \(address)"), .zero)
            }
            let reason = try await peer.untilClosed()
            return (reason, began.duration(to: .now))
        } catch let error as ParleyError {
            return (error, .zero)
        } catch {
            return (ParleyError(.handshakeFailed, "the handshake with \(address) failed: \(error)"), .zero)
        }
    }
}

extension Transport {
    /// Connects to another node, and connects again whenever the connection ends, until the transport is
    /// closed or the reconnection is cancelled.
    ///
    /// It goes on while the other side is not there, restarts, or refuses, and waits longer each time.
    /// ``TransportOptions/onPeer`` is called for each connection, as for every dial. Returns at once; any
    /// thread.
    ///
    /// With an id, and the rule ``DuplicateRule/smallerDials(_:)``, nothing is dialed while there is a
    /// connection with that node, whoever has dialed it.
    ///
    /// - Parameters:
    ///   - address: as for ``dial(_:)``.
    ///   - backoff: how long to wait between two dials.
    /// - Returns: the handle that cancels it.
    /// - Throws: ``ParleyError``: `invalidAddress`, `closed`; `invalidArgument` for an option or a wait out
    ///   of its range, and for this node's own id.
    @discardableResult
    public func keepConnected(
        to address: String,
        backoff: Backoff = Backoff()
    ) throws(ParleyError) -> Reconnection {
        try ForkedChild.check()
        try TransportOptions.validate(backoff)
        let node = (self as? any NodeTransport)?.node
        let target: DialTarget
        if let node {
            target = try node.dialTarget(address)
            try node.checkOpen()
            guard target.id == nil || target.id != node.options.security.id else {
                throw ParleyError(.invalidArgument, "\"\(address)\" is this node itself")
            }
        } else {
            target = try DialTarget(address)
        }
        let reconnection = Reconnection(to: address, target.id, backoff: backoff)
        if let node,
            !node.register(
                reconnection,
                on: node.loop,
                stop: { reconnection.cancel() },
                untilEnded: { await reconnection.untilEnded() }
            )
        {
            throw ParleyError(.closed, "the transport is closed")
        }
        reconnection.start(on: self)
        return reconnection
    }
}
