import Gauges
import Parley
import ParleyNoise

/// The node under attack: it answers its good peers, and counts everything else.
final class Target: Sendable {
    let transport: TCPTransport
    let kind: NodeKind
    /// Whoever has this identity is not allowed, unless everyone is; nil without security.
    let unwanted: Identity?
    private let state: Lock<State>

    struct State {
        var messages = 0
        var ends: [ParleyError.Code: Int] = [:]
        /// Answers to bulk messages while others hold most of the budget for sending, and those of them that
        /// were crowded out: not even the second piece found room at once, though the peer reads.
        var answers = 0
        var crowdedOut = 0
        /// Messages that a secured node must not see.
        var forged = 0
        var once: Set<UInt64> = []
    }

    init(_ kind: NodeKind) async throws {
        self.kind = kind
        let state = Lock(State())
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: kind.wireForm)
        options.handshake = Greeting.handshake
        options.handshakeTimeout = .seconds(5)
        options.closeTimeout = .seconds(1)
        // Two frames of the longest kind fill the one, and 32 peers that do not read the other.
        options.limits.receiveBufferBytes = 32 << 20
        options.limits.sendBufferBytes = Self.sendBufferBytes
        // Places that are not given back are missed soon.
        options.limits.maxStreams = 20_000
        let unwanted = kind.isSecured ? Identity() : nil
        if let unwanted {
            let allowed = kind.refusesSome ? .asking { id in id != unwanted.id } : AllowedPeers.everyone
            options.security = .noise(Identity(), allow: allowed)
            // Attackers on the internet have the default accept rate.
            options.limits.exemptsLoopback = false
        }
        self.unwanted = unwanted
        options.onDisconnect = { _, reason in state.withLock { $0.ends[reason.code, default: 0] += 1 } }
        self.state = state
        transport = TCPTransport(options)
        if kind.isMultiplexed { try transport.accept(StreamEcho.name, Self.echo) }
        try await transport.listenAndAccept()
        Task(executorPreference: transport.executor) { [self] in await serve() }
    }

    private static let sendBufferBytes = 32 << 20

    /// The streams that are open with all peers.
    var openStreams: Int { transport.peers.reduce(0) { $0 + $1.statistics.openStreams } }

    var counts: State { state.withLock { $0 } }

    private func serve() async {
        for await rpc in transport.consume() {
            // Nobody who behaves opens one.
            if let body = rpc.body {
                body.close()
                continue
            }
            switch Request(rpc.payload) {
            case .ping: try? await rpc.peer.send(message: rpc.payload)
            case .bulk: sideTask { [self] in try await answerBulk(rpc) }
            case .feed: sideTask { try await Self.feed(rpc.peer) }
            case .forged: state.withLock { $0.forged += 1 }
            case .once(let number): state.withLock { if !$0.once.insert(number).inserted { $0.forged += 1 } }
            case .other: state.withLock { $0.messages += 1 }
            }
        }
    }

    /// What may have to wait for one peer must not hold up the answers to the others.
    private func sideTask(_ work: @escaping @Sendable () async throws -> Void) {
        Task(executorPreference: transport.executor) { try? await work() }
    }

    private func answerBulk(_ rpc: RPC) async throws {
        var rest = rpc.payload
        let isCrowded = transport.statistics.unsentBytes > Self.sendBufferBytes / 4 * 3
        for index in 0..<Request.pieces {
            let piece = rest.prefix(Request.pieceBytes)
            rest.removeFirst(piece.count)
            let isAccepted = try rpc.peer.trySend(message: piece)
            if index == 1, isCrowded {
                state.withLock {
                    $0.answers += 1
                    if !isAccepted { $0.crowdedOut += 1 }
                }
            }
            if !isAccepted { try await rpc.peer.sendWhenPossible(message: piece) }
        }
    }

    private static func echo(_ stream: PeerStream) async throws {
        for try await bytes in stream.chunks() { try await stream.write(bytes) }
        try await stream.finish()
    }

    private static func feed(_ peer: any Peer) async throws {
        let message = [UInt8](repeating: 0x5a, count: Request.feedBytes)
        while true { try await peer.send(message: message) }
    }
}
