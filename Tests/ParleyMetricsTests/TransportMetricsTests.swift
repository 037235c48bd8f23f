import Metrics
import MetricsTestKit
import Parley
import ParleyMetrics
import Testing

/// What the statistics say arrives in the metrics, once.
@Suite(.timeLimit(.minutes(10))) struct TransportMetricsTests {
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

    @Test func `a counter that grows again gets only what is new since the last recording`() async throws {
        let network = InMemoryNetwork()
        let server = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        let client = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        try await server.listenAndAccept()
        let test = TestMetrics()
        let metrics = TransportMetrics(of: server, factory: test)
        let peer = try await client.dial(server.address)
        var rpcs = server.consume().makeAsyncIterator()
        var sent: Int64 = 0
        for messages: Int64 in [3, 2, 1, 4] {
            for _ in 0..<messages {
                try await peer.send(message: "hello")
                _ = await rpcs.next()
            }
            sent += messages
            await metrics.record()
            let received = try test.expectCounter("parley_messages_received")
            #expect(received.values.last == messages)
            #expect(received.totalValue == sent)
            #expect(try test.expectCounter("parley_bytes_received").totalValue == 10 * sent)
        }
        #expect(try test.expectCounter("parley_accepted").totalValue == 1, "it has not grown since")
        await client.close()
        await server.close()
    }

    @Test func `what is counted by reason and by limit has a counter for each`() async throws {
        let network = InMemoryNetwork()
        var options = TransportOptions(decoder: .framed)
        options.limits.maxPeers = 1
        let server = InMemoryTransport(options, network: network)
        let client = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        try await server.listenAndAccept()
        let test = TestMetrics()
        let metrics = TransportMetrics(of: server, dimensions: [("name", "a")], factory: test)
        let first = try await client.dial(server.address)
        _ = try await client.dial(server.address)
        while server.statistics.acceptPause != .maxPeers { try await Task.sleep(for: .milliseconds(1)) }
        await metrics.record()
        let paused = try test.expectGauge("parley_accepting_paused", [("name", "a")])
        #expect(paused.lastValue == 1)
        let pauses = [("name", "a"), ("limit", "maxPeers")]
        #expect(try test.expectCounter("parley_accept_pauses", pauses).totalValue == 1)
        await first.close()
        while server.statistics.accepted < 2 { try await Task.sleep(for: .milliseconds(1)) }
        await client.close()
        // The number of peers does not tell: the second connection may not be open yet.
        while server.statistics.disconnects.values.reduce(0, +) < 2 {
            try await Task.sleep(for: .milliseconds(1))
        }
        await metrics.record()
        #expect(paused.lastValue == 0)
        let reason = [("name", "a"), ("reason", "endOfStream")]
        #expect(try test.expectCounter("parley_disconnects", reason).totalValue == 2)
        let uptime = try test.expectGauge("parley_uptime_seconds", [("name", "a")])
        #expect(try #require(uptime.lastValue) > 0)
        await server.close()
    }

    @Test func `running records until it is cancelled, and then once more`() async throws {
        let transport = InMemoryTransport(network: InMemoryNetwork())
        let test = TestMetrics()
        let metrics = TransportMetrics(of: transport, factory: test)
        let running = Task { await metrics.run(every: .milliseconds(1)) }
        while (try? test.expectGauge("parley_peers", [("direction", "inbound")]).values.count) ?? 0 < 3 {
            try await Task.sleep(for: .milliseconds(1))
        }
        running.cancel()
        await running.value
        await transport.close()
    }
}
