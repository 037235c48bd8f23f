import Parley
import ParleyService
import ServiceLifecycle
import ServiceLifecycleTestKit
import Testing

/// A transport that lives as long as its service.
@Suite(.timeLimit(.minutes(10))) struct TransportServiceTests {
    private func isClosed(_ transport: InMemoryTransport) async -> Bool {
        do { _ = try await transport.dial("localhost:1") } catch let error as ParleyError {
            return error.code == .closed
        } catch {}
        return false
    }

    private func untilListening(_ transport: InMemoryTransport) async throws {
        while transport.address.hasSuffix(":0") { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test func `it serves until it is shut down, and loses nothing that was sent`() async throws {
        let network = InMemoryNetwork()
        let server = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        let client = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        let service = TransportService(server) { rpcs in
            for await rpc in rpcs { try await rpc.peer.send(message: rpc.payload) }
        }
        try await testGracefulShutdown { trigger in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await service.run() }
                try await untilListening(server)
                let peer = try await client.dial(server.address)
                try await peer.send(message: "echo")
                var rpcs = client.consume().makeAsyncIterator()
                #expect(await rpcs.next()?.payload == Array("echo".utf8)[...])
                trigger.triggerGracefulShutdown()
                try await group.waitForAll()
                #expect(try await peer.untilClosed().code == .endOfStream)
            }
        }
        #expect(await isClosed(server))
        await client.close()
    }

    @Test func `a shutdown lets the program finish what is under way, and nobody connects meanwhile`()
        async throws
    {
        let network = InMemoryNetwork()
        let server = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        let client = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        let (drained, drain) = AsyncStream<Void>.makeStream()
        let (begun, draining) = AsyncStream<Void>.makeStream()
        let service = TransportService(server) { rpcs in
            for await rpc in rpcs {
                for await _ in drained {}
                try await rpc.reply(with: "done")
            }
        } drain: {
            draining.finish()
            while server.statistics.unansweredRequests > 0, !Task.isCancelled {
                try? await Task.sleep(for: .milliseconds(1))
            }
        }
        try await testGracefulShutdown { trigger in
            let running = Task { try await service.run() }
            try await untilListening(server)
            let address = server.address
            let peer = try await client.dial(address)
            let answer = Task { try await peer.request("a long job") }
            while server.statistics.unansweredRequests == 0 { try await Task.sleep(for: .milliseconds(1)) }
            trigger.triggerGracefulShutdown()
            for await _ in begun {}
            let refusal = await #expect(throws: ParleyError.self) { _ = try await client.dial(address) }
            #expect(refusal?.code == .connectionRefused)
            drain.finish()
            #expect(try await answer.value == Array("done".utf8)[...])
            try await running.value
        }
        await client.close()
    }

    @Test func `a shutdown before it listens lets nobody connect`() async throws {
        let network = InMemoryNetwork()
        let server = InMemoryTransport(TransportOptions(listenAddress: ":7"), network: network)
        let client = InMemoryTransport(network: network)
        let (drained, drain) = AsyncStream<Void>.makeStream()
        let (begun, consuming) = AsyncStream<Void>.makeStream()
        try await testGracefulShutdown { trigger in
            trigger.triggerGracefulShutdown()
            let service = TransportService(server) { rpcs in
                consuming.finish()
                for await _ in rpcs {}
            } drain: {
                for await _ in drained {}
            }
            let running = Task { try await service.run() }
            for await _ in begun {}
            let refusal = await #expect(throws: ParleyError.self) { _ = try await client.dial(":7") }
            #expect(refusal?.code == .connectionRefused)
            drain.finish()
            try await running.value
        }
        await client.close()
    }

    @Test func `a group that loses its patience cuts the draining short`() async throws {
        let server = InMemoryTransport(network: InMemoryNetwork())
        let (begun, draining) = AsyncStream<Void>.makeStream()
        let service = TransportService(server) { rpcs in
            for await _ in rpcs {}
        } drain: {
            draining.finish()
            try? await Task.sleep(for: .seconds(3_600))
        }
        try await testGracefulShutdown { trigger in
            let running = Task { try await service.run() }
            try await untilListening(server)
            trigger.triggerGracefulShutdown()
            for await _ in begun {}
            running.cancel()
            try await running.value
        }
        #expect(await isClosed(server))
    }

    @Test func `without a consumer it waits for the shutdown`() async throws {
        let server = InMemoryTransport(network: InMemoryNetwork())
        try await testGracefulShutdown { trigger in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await TransportService(server).run() }
                try await untilListening(server)
                trigger.triggerGracefulShutdown()
                try await group.waitForAll()
            }
        }
        #expect(await isClosed(server))
    }

    @Test(.timeLimit(.minutes(1)), arguments: [1, 3])
    func `without a consumer it ends when its transport is closed elsewhere`(loops: Int) async throws {
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
        options.loops = loops
        let server = TCPTransport(options)
        let running = Task { try await TransportService(server).run() }
        while server.address.hasSuffix(":0") { try await Task.sleep(for: .milliseconds(1)) }
        // What nobody takes does not hold it back.
        let client = TCPTransport(TransportOptions(decoder: .framed))
        try await client.dial(server.address).send(message: "unread")
        while server.statistics.inboxRPCs == 0 { try await Task.sleep(for: .milliseconds(1)) }
        await server.close()
        try await running.value
        var rpcs = server.consume().makeAsyncIterator()
        #expect(await rpcs.next()?.payload == Array("unread".utf8)[...], "it takes nothing itself")
        #expect(await rpcs.next() == nil)
        await client.close()
    }

    @Test func `a consumer that returns ends it, and the transport is closed then`() async throws {
        let network = InMemoryNetwork()
        let server = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        let client = InMemoryTransport(TransportOptions(decoder: .framed), network: network)
        let service = TransportService(server) { rpcs in
            for await _ in rpcs { return }
        }
        let running = Task { try await service.run() }
        try await untilListening(server)
        let peer = try await client.dial(server.address)
        try await peer.send(message: "the only one")
        try await running.value
        // When run() has returned, nothing of the transport is left.
        #expect(server.peers.isEmpty)
        #expect(await isClosed(server))
        #expect(try await peer.untilClosed().code == .endOfStream)
        await client.close()
    }

    @Test func `cancelling closes it too`() async throws {
        let server = InMemoryTransport(network: InMemoryNetwork())
        let running = Task { try await TransportService(server).run() }
        try await untilListening(server)
        running.cancel()
        try await running.value
        #expect(await isClosed(server))
    }

    @Test(arguments: [false, true])
    func `a shutdown ends it while its listening name is looked up`(cancels: Bool) async throws {
        let transport = SlowListener()
        try await testGracefulShutdown { trigger in
            let service = TransportService(transport) { _ in Issue.record("it does not listen") }
            let running = Task { try await service.run() }
            for await _ in transport.lookingUp {}
            if cancels { running.cancel() } else { trigger.triggerGracefulShutdown() }
            try await running.value
        }
        #expect(await isClosed(transport.inner))
    }

    @Test func `closing its transport elsewhere before it listens is an error`() async throws {
        let transport = SlowListener()
        let running = Task { try await TransportService(transport).run() }
        for await _ in transport.lookingUp {}
        await transport.close()
        let error = await #expect(throws: ParleyError.self) { try await running.value }
        #expect(error?.code == .closed)
    }

    @Test func `what fails is thrown, and the transport is closed`() async throws {
        struct Failure: Error {}
        let network = InMemoryNetwork()
        let first = InMemoryTransport(TransportOptions(listenAddress: ":7"), network: network)
        try await first.listenAndAccept()
        let second = InMemoryTransport(TransportOptions(listenAddress: ":7"), network: network)
        await #expect(throws: ParleyError.self) { try await TransportService(second).run() }
        #expect(await isClosed(second))
        let third = InMemoryTransport(network: network)
        let service = TransportService(third, isListening: false) { _ in throw Failure() }
        await #expect(throws: Failure.self) { try await service.run() }
        #expect(await isClosed(third))
        await first.close()
    }
}

/// A transport whose listening name is looked up until it is closed.
private final class SlowListener: Transport {
    let inner = InMemoryTransport(network: InMemoryNetwork())
    /// Ends when the look-up begins.
    let lookingUp: AsyncStream<Void>
    private let begun: AsyncStream<Void>.Continuation
    private let open: AsyncStream<Void>
    private let closed: AsyncStream<Void>.Continuation

    init() {
        (lookingUp, begun) = AsyncStream<Void>.makeStream()
        (open, closed) = AsyncStream<Void>.makeStream()
    }

    var address: String { inner.address }
    var peers: [any Peer] { inner.peers }

    func listenAndAccept() async throws(ParleyError) {
        begun.finish()
        for await _ in open {}
        throw ParleyError(.closed, "the transport is closed")
    }

    func dial(_ address: String) async throws -> any Peer { try await inner.dial(address) }

    func consume() -> RPCSequence { inner.consume() }

    func close() async {
        closed.finish()
        await inner.close()
    }
}
