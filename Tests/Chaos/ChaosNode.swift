import FaultProxy
import Parley
import ParleyNoise

/// A node of the run. It keeps a few connections to other nodes through their proxies, and exchanges messages
/// and streams on all its connections.
final class ChaosNode: Sendable {
    /// What a node's connections are like. Nodes of different forms have none with each other.
    enum Form: String, CaseIterable, Sendable {
        case plain, secured
        /// Secured, with many streams at once.
        case multiplexed

        var isSecured: Bool { self != .plain }
    }

    /// The ports of a node's two proxies. One of the proxies corrupts bytes.
    struct ProxyPorts: Sendable {
        let clean: UInt16
        let corrupting: UInt16
        let form: Form
    }

    private let index: Int
    private let form: Form
    private let identity: Identity?
    /// The proxies of the other nodes that this one can have connections with, the next node's first.
    private let others: [ProxyPorts]
    private let corrupting: Set<UInt16>
    private let ledger: Ledger
    private let seed: UInt64
    private let state = Lock(State())

    private struct State {
        var transport: TCPTransport?
        var tasks: [Task<Void, Never>] = []
        var isDraining = false
        /// Every connection from its handshake to its onDisconnect. It has a conversation once both sides
        /// know its id.
        var connections: [ObjectIdentifier: Conversation?] = [:]
        /// Every connection whose handshake has begun, by its number, which no other one gets.
        var met: Set<Parley.ConnectionID> = []
        /// Connections whose onDisconnect came before their handshake began to run. Of one that had ended by
        /// then it may not run at all.
        var goneEarly: [ObjectIdentifier: any Peer] = [:]
        var made = 0
    }

    private static let dials = 3
    private static let backoff = Backoff(initial: .milliseconds(50), longest: .milliseconds(500))

    init(_ index: Int, _ proxyPorts: [ProxyPorts], _ ledger: Ledger, seed: UInt64) {
        self.index = index
        let form = proxyPorts[index].form
        self.form = form
        identity = form.isSecured ? Identity() : nil
        others = (proxyPorts[(index + 1)...] + proxyPorts[..<index]).filter { $0.form == form }
        corrupting = Set(proxyPorts.map(\.corrupting))
        self.ledger = ledger
        self.seed = seed
    }

    /// Starts to listen and to dial.
    ///
    /// - Returns: the port.
    func start() async throws -> UInt16 {
        let transport = TCPTransport(options())
        try await transport.listenAndAccept()
        state.withLock { state in
            state.transport = transport
            state.tasks = [Task { await consume(transport) }, Task { await watch() }]
            // One connection to a fixed address, the others to random ones.
            _ = try? transport.keepConnected(to: "127.0.0.1:\(others[0].clean)", backoff: Self.backoff)
            state.tasks += (1..<Self.dials).map { slot in Task { await keepDialing(transport, slot) } }
        }
        return try SocketAddress(transport.address).port
    }

    /// Starts again after ``stop()``.
    func restart() async throws -> UInt16 {
        state.withLock { $0.isDraining = false }
        return try await start()
    }

    private func options() -> TransportOptions {
        var options = TransportOptions(listenAddress: "127.0.0.1:0")
        if form == .multiplexed { options.decoder = .multiplexed }
        if let identity { options.security = .noise(identity) }
        options.handshake = { [self] in try await shakeHands($0) }
        options.onPeer = { [self] peer in
            state.withLock { $0.connections[ObjectIdentifier(peer)] ?? nil }?.start()
        }
        options.onDisconnect = { [self] in ended($0, $1) }
        options.handshakeTimeout = .seconds(3)
        options.dialTimeout = .seconds(3)
        options.streamIdleTimeout = .seconds(5)
        options.timeouts.heartbeat = Heartbeat(interval: .seconds(1), maxMissed: 4)
        options.closeTimeout = .milliseconds(500)
        // Small buffers, so that the run fills them.
        options.sendHighWaterBytes = 128 << 10
        options.sendLowWaterBytes = 32 << 10
        options.inboxCapacity = 64
        // Half of the nodes have two loops, and half of those consume on each loop.
        options.loops = 1 + index % 2
        return options
    }

    /// Sends nothing new, and lets what is under way arrive.
    func drain() {
        let conversations = state.withLock { state in
            state.isDraining = true
            return state.connections.values.compactMap { $0 }
        }
        for conversation in conversations { conversation.drain() }
    }

    /// Whether everything that was sent is acknowledged.
    var isAcknowledged: Bool {
        state.withLock { $0.connections.values.compactMap { $0 } }.allSatisfy(\.isAcknowledged)
    }

    /// Closes the node, and checks that every connection had its onDisconnect.
    func stop() async {
        let (transport, tasks) = state.withLock { state in
            state.isDraining = true
            return (state.transport, state.tasks)
        }
        for task in tasks { task.cancel() }
        await transport?.close()
        for task in tasks { await task.value }
        let deadline = ContinuousClock.now + .seconds(60)
        while state.withLock({ !$0.connections.isEmpty }) {
            guard ContinuousClock.now < deadline else {
                let count = state.withLock { $0.connections.count }
                ledger.fail("node \(index): \(count) connections had no onDisconnect")
                break
            }
            try? await Task.sleep(for: .milliseconds(2))
        }
        state.withLock { state in
            state.transport = nil
            state.tasks = []
            state.connections = [:]
            state.goneEarly = [:]
            state.met = []
        }
    }
}

// MARK: - Connections

extension ChaosNode {
    /// The handshake: the dialer sends the connection's id, and the other side repeats it.
    private func shakeHands(_ peer: any Peer) async throws {
        let key = ObjectIdentifier(peer)
        ledger.count { $0.connections += 1 }
        let isThere = state.withLock { state in
            guard state.goneEarly.removeValue(forKey: key) == nil else { return false }
            state.connections[key] = .some(nil)
            state.met.insert(peer.connectionID)
            return true
        }
        guard isThere else { throw HandshakeFailure() }
        let id: ConnectionID
        if peer.isOutbound {
            id = ConnectionID(throughCorruption: identity == nil && isCorruptible(peer))
            try await peer.send(Envelope(.hello, id.half(ofDialer: true)).encoded())
            let welcome = Envelope(try await peer.read(exactly: Envelope.bytes))
            guard welcome == Envelope(.welcome, id.half(ofDialer: false)) else {
                if !id.isCorruptible { ledger.fail("a welcome has arrived changed") }
                throw HandshakeFailure()
            }
        } else {
            guard let hello = Envelope(try await peer.read(exactly: Envelope.bytes)), hello.kind == .hello
            else {
                // Only the sender knows whether a corrupting proxy was used. A secured link hides it.
                if identity != nil { ledger.fail("a hello has arrived changed over a secured link") }
                throw HandshakeFailure()
            }
            id = ConnectionID(half: hello.half)
            try await peer.send(Envelope(.welcome, id.half(ofDialer: false)).encoded())
        }
        state.withLock { state in
            guard state.connections[key] != nil else { return }
            state.made += 1
            let conversation = Conversation(peer, id, ledger, seed: seed &+ UInt64(state.made))
            state.connections[key] = .some(conversation)
        }
    }

    private struct HandshakeFailure: Error {}

    /// Whether this side has dialed a corrupting proxy. The other side does not know.
    private func isCorruptible(_ peer: any Peer) -> Bool {
        peer.isOutbound && corrupting.contains(peer.remoteAddress.port)
    }

    private func ended(_ peer: any Peer, _ reason: ParleyError) {
        let entry = state.withLock { $0.connections.removeValue(forKey: ObjectIdentifier(peer)) }
        guard entry != nil || isSecured(peer) else { return count(reason, of: peer) }
        guard let entry else {
            let isSecond = state.withLock { state in
                let former = state.goneEarly.updateValue(peer, forKey: ObjectIdentifier(peer))
                return former != nil || state.met.contains(peer.connectionID)
            }
            if isSecond { ledger.fail("node \(index): a connection had a second onDisconnect: \(reason)") }
            return
        }
        entry?.end()
        count(reason, of: peer)
        guard reason.code == .protocolViolation else { return }
        if let id = entry?.id, !id.isCorruptible {
            ledger.fail("node \(index): \(reason), on a connection that nobody corrupts")
        } else {
            ledger.count { $0.corruptionsNoticed += 1 }
        }
    }

    /// Whether the connection gets as far as its handshake. That of a secured node comes after Noise.
    private func isSecured(_ peer: any Peer) -> Bool { identity == nil || peer.id != nil }

    private func count(_ reason: ParleyError, of peer: any Peer) {
        ledger.count { $0.reasons[reason.code, default: 0] += 1 }
        guard reason.code == .securityFailed, peer.isOutbound, !isCorruptible(peer) else { return }
        ledger.fail("node \(index): \(reason), on a connection that nobody corrupts")
    }

    private func consume(_ transport: TCPTransport) async {
        if index % 4 == 3 {
            do {
                try await transport.consumeOnEachLoop { [self] in await consume($0) }
            } catch { ledger.fail("node \(index): consuming on each loop: \(error)") }
        } else {
            await consume(transport.consume())
        }
    }

    private func consume(_ rpcs: RPCSequence) async {
        for await rpc in rpcs {
            // A peer may have left before its last messages are consumed: they are not acknowledged then.
            let conversation = state.withLock { $0.connections[ObjectIdentifier(rpc.peer)] ?? nil }
            conversation?.receive(rpc)
        }
    }

    /// Dials a random node whenever the connection to the last one has ended.
    private func keepDialing(_ transport: TCPTransport, _ slot: Int) async {
        var random = SeededGenerator(seed: seed, index, slot)
        while !Task.isCancelled, !state.withLock({ $0.isDraining }) {
            let other = others[Int.random(in: 0..<others.count, using: &random)]
            let port = random.oneIn(3) ? other.corrupting : other.clean
            if let peer = try? await transport.dial("127.0.0.1:\(port)") {
                while state.withLock({ $0.connections[ObjectIdentifier(peer)] != nil }), !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(20))
                }
            }
            try? await Task.sleep(for: .milliseconds(Int.random(in: 10...300, using: &random)))
        }
    }

    private func watch() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))
            let conversations = state.withLock { $0.connections.values.compactMap { $0 } }
            for conversation in conversations { conversation.watch() }
        }
    }
}
