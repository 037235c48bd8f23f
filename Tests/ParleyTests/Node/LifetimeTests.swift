import ParleyNoise
import Testing

@testable import Parley

/// A closed node leaves nothing in memory.
@Suite(.timeLimit(.minutes(10))) struct LifetimeTests {
    private final class Reference: @unchecked Sendable {
        private weak var node: Node?
        init(_ transport: any Transport) { node = (transport as? any NodeTransport)?.node }
        var isGone: Bool { node == nil }
    }

    private func make(_ kind: Kind, _ network: InMemoryNetwork) -> any Transport {
        let form: WireForm = kind == .libp2p ? .libp2p : kind.isMultiplexed ? .multiplexed : .framed
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: form)
        if kind.isSecured { options.security = .noise(Identity()) }
        return switch kind {
        case .tcp, .secured, .securedMultiplexed, .libp2p: TCPTransport(options)
        case .memory, .securedMemory, .multiplexed: InMemoryTransport(options, network: network)
        case .loops: TCPTransport(options.spread(over: 3))
        }
    }

    /// Makes two nodes that listen, dial, stay connected, exchange messages and are closed.
    private func liveAndClose(_ kind: Kind) async throws -> [Reference] {
        let network = InMemoryNetwork()
        let (server, client) = (make(kind, network), make(kind, network))
        let references = [Reference(server), Reference(client)]
        #expect(!references[0].isGone && !references[1].isGone)
        try await server.listenAndAccept()
        try await client.listenAndAccept()
        let reconnection = try client.keepConnected(to: server.address)
        let peer = try await client.dial(server.address)
        try await peer.send(message: "hello")
        #expect(try await server.nextRPC().text == "hello")
        try await eventually { reconnection.peer != nil }
        await client.close()
        await server.close()
        return references
    }

    @Test(arguments: Kind.everyRoad) func `a closed node and everything that it made is released`(kind: Kind)
        async throws
    {
        let references = try await liveAndClose(kind)
        try await eventually { references.allSatisfy(\.isGone) }
    }

    @Test(arguments: Kind.everyRoad)
    func `the time-outs of connections do not keep a node without connections alive`(kind: Kind) async throws
    {
        let reference = try await liveAndLetGo(kind)
        try await eventually { reference.isGone }
    }

    /// Makes a node that dials, loses its peer, and is not closed.
    private func liveAndLetGo(_ kind: Kind) async throws -> Reference {
        let network = InMemoryNetwork()
        let server = make(kind, network)
        try await server.listenAndAccept()
        let client = make(kind, network)
        let peer = try await client.dial(server.address)
        await server.close()
        _ = try await peer.untilClosed()
        return Reference(client)
    }

    @Test(arguments: [Kind.memory, .securedMemory, .multiplexed])
    func `a dial in memory that is cancelled before it begins leaves nothing`(kind: Kind) async throws {
        let references = try await cancelDial(kind)
        try await eventually { references.allSatisfy(\.isGone) }
    }

    private func cancelDial(_ kind: Kind) async throws -> [Reference] {
        let network = InMemoryNetwork()
        let (server, client) = (make(kind, network), make(kind, network))
        let references = [Reference(server), Reference(client)]
        try await server.listenAndAccept()
        let address = server.address
        let dialing = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await error { _ = try await client.dial(address) }
        }
        #expect(try await dialing.value.code == .cancelled)
        await client.close()
        await server.close()
        return references
    }

    @Test func `a connection that ended while onPeer ran goes when that returns`() async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let (begun, gate) = (Events<Bool>(), Events<Bool>())
            let last = Lock<Weak>(Weak())
            let server = try await nodes.listening(ends) {
                $0.handshakeTimeout = .seconds(3_600)
                $0.onPeer = { peer in
                    last.withLock { $0.connection = peer as? Connection }
                    begun.add(true)
                    // The end of the connection cancels the task of `onPeer`, but not this one.
                    _ = try await Task { try await gate.next() }.value
                }
            }
            let socket = try RawSocket(connectingTo: server.address)
            _ = try await begun.next()
            socket.reset()
            try await eventually { server.statistics.peers == 0 && server.statistics.handshaking == 0 }
            gate.add(true)
            _ = try await ends.next()
            try await eventually { last.withLock { $0.connection == nil } }
        }
    }

    private struct Weak { weak var connection: Connection? }

    /// Makes a node, and returns its loop, which runs on.
    private func runningLoop() async throws -> EventLoop {
        let transport = TCPTransport()
        let loop = transport.node.loop
        try loop.start()
        return loop
    }

    @Test func `a task on the loop of a node that is gone may use another node`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening()
            let connection = try #require(try await nodes.make().dial(server.address) as? Connection)
            let loop = try await runningLoop()
            let found = await Task(executorPreference: loop) {
                connection.node.connection(connection.number)
            }.value
            #expect(found === connection)
            await loop.stop()
        }
    }

    @Test(arguments: Kind.everyRoad)
    func `a loop does not keep a connection that has ended`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let connection = try #require(
                try await nodes.make { $0.decoder = .framed }.dial(server.address) as? Connection
            )
            let remembered = Events<Bool>()
            let look: @Sendable () -> Void = { [loop = connection.loop, context = connection.context] in
                loop.execute {
                    connection.cacheAsRecent()
                    remembered.add(context.local.value.recent != nil)
                }
            }
            look()
            #expect(try await remembered.next())
            await connection.close()
            // Wait until the loop has done everything that belongs to the end of the connection.
            for _ in 0..<2 { await Task(executorPreference: connection.loop) {}.value }
            look()
            #expect(try await !remembered.next())
        }
    }
}
