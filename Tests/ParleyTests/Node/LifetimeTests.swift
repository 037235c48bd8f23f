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
