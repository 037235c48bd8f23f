import Metrics
import MetricsTestKit
import Parley
import ParleyMetrics
import Testing

/// What the statistics say arrives in the metrics, once.
@Suite(.timeLimit(.minutes(2))) struct TransportMetricsTests {
    @Test func `counters get what is new, gauges what is there now`() async throws {
        let network = InMemoryNetwork()
        let server = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        let client = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        try await server.listenAndAccept()
        let test = TestMetrics()
        let metrics = TransportMetrics(of: server, prefix: "node", dimensions: [("name", "a")], factory: test)
        await metrics.record()
        #expect(try test.expectCounter("node_messages_received", [("name", "a")]).totalValue == 0)

        let peer = try await client.dial(server.address)
        for _ in 0..<3 { try await peer.send(message: "hello") }
        var rpcs = server.consume().makeAsyncIterator()
        for _ in 0..<3 { _ = await rpcs.next() }
        await metrics.record()
        await metrics.record()
        #expect(try test.expectCounter("node_messages_received", [("name", "a")]).totalValue == 3)
        #expect(try test.expectCounter("node_bytes_received", [("name", "a")]).totalValue == 30)
        #expect(try test.expectCounter("node_accepted", [("name", "a")]).totalValue == 1)
        let inbound = try test.expectGauge("node_peers", [("name", "a"), ("direction", "inbound")])
        #expect(inbound.lastValue == 1)

        await peer.close()
        while server.statistics.peers > 0 { try await Task.sleep(for: .milliseconds(1)) }
        await metrics.record()
        #expect(inbound.lastValue == 0)
        let ended = try test.expectCounter("node_disconnects", [("name", "a"), ("reason", "endOfStream")])
        #expect(ended.totalValue == 1)
        await client.close()
        await server.close()
    }

    @Test func `running records until it is cancelled, and then once more`() async throws {
        let transport = InMemoryTransport(network: InMemoryNetwork())
        let test = TestMetrics()
        let metrics = TransportMetrics(of: transport, factory: test)
        let running = Task { try await metrics.run(every: .milliseconds(1)) }
        while (try? test.expectGauge("parley_peers", [("direction", "inbound")]).values.count) ?? 0 < 3 {
            try await Task.sleep(for: .milliseconds(1))
        }
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
        await transport.close()
    }
}
