import Testing

@testable import Parley

/// What a node that is closed leaves in memory: nothing.
@Suite(.timeLimit(.minutes(2))) struct LifetimeTests {
    private final class Reference: @unchecked Sendable {
        private weak var node: Node?
        init(_ transport: any Transport) { node = (transport as? any NodeTransport)?.node }
        var isGone: Bool { node == nil }
    }

    private func make(_ kind: Kind, _ network: InMemoryNetwork) -> any Transport {
        let options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
        return switch kind {
        case .tcp: TCPTransport(options)
        case .memory: InMemoryTransport(options, network: network)
        case .loops: TCPTransport(options.spread(over: 3))
        }
    }

    /// Two nodes that listen, dial, stay connected, talk, and are closed.
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

    @Test(arguments: Kind.allCases) func `a closed node is let go, and all that it made`(kind: Kind)
        async throws
    {
        let references = try await liveAndClose(kind)
        try await eventually { references.allSatisfy(\.isGone) }
    }
}
