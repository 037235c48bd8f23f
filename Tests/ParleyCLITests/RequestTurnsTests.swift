import Parley
import Testing

@testable import ParleyCLI

@Suite("Turns of requests", .timeLimit(.minutes(5)))
struct RequestTurnsTests {
    /// Every turn that may begin.
    private func begin(_ line: inout TurnLine<String>) -> [Int] {
        var begun: [Int] = []
        while let ticket = line.beginNext() { begun.append(ticket) }
        return begun
    }

    @Test("One peer has at most two, and those of others begin meanwhile, in their order")
    func bounds() {
        var line = TurnLine<String>(mostOfOne: 2, mostInAll: 4)
        for ticket in 0..<5 { line.add(ticket, of: "a") }
        #expect(begin(&line) == [0, 1])
        line.add(5, of: "b")
        line.add(6, of: "c")
        line.add(7, of: "d")
        #expect(begin(&line) == [5, 6])
        // A turn is over, and whoever has none is next.
        line.remove(0)
        #expect(begin(&line) == [7])
        line.remove(5)
        #expect(begin(&line) == [2])
        line.remove(6)
        #expect(begin(&line) == [])
        line.remove(1)
        #expect(begin(&line) == [3])
    }

    @Test("Who has gone has no turn any more")
    func gone() {
        var line = TurnLine<String>(mostOfOne: 1, mostInAll: 1)
        for ticket in 0..<3 { line.add(ticket, of: "a") }
        #expect(begin(&line) == [0])
        line.remove(1)
        #expect(begin(&line) == [])
        line.remove(0)
        #expect(begin(&line) == [2])
        line.remove(2)
        #expect(begin(&line) == [])
    }

    @Test("Whoever is cancelled while it waits leaves its place")
    func cancelled() async throws {
        let turns = RequestTurns()
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let holding = (0..<RequestTurns.mostOfPeer).map { _ -> Task<Void, any Error> in
            Task {
                try await turns.take(of: "a") {
                    begin.yield()
                    try await Task.sleep(for: ToolProcess.deadline)
                }
            }
        }
        for _ in holding { _ = await begun.first { _ in true } }
        let waiting = Task { try await turns.take(of: "a") { 1 } }
        // Another peer's is not held up.
        #expect(try await turns.take(of: "b") { 2 } == 2)
        waiting.cancel()
        await #expect(throws: CancellationError.self) { _ = try await waiting.value }
        holding[0].cancel()
        #expect(try await turns.take(of: "a") { 3 } == 3)
        for task in holding { task.cancel() }
    }

    /// What becomes of work for a stream whose other side does something.
    private func end(
        after act: @escaping @Sendable (PeerStream, TCPTransport) async throws -> Void
    ) async throws -> (any Error)? {
        let (ends, end) = AsyncStream.makeStream(of: (any Error)?.self)
        let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        let server = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0", decoder: .multiplexed))
        try server.accept("/work/1") { stream in
            do {
                try await stream.whileOpen {
                    begin.yield()
                    try await Task.sleep(for: ToolProcess.deadline)
                }
                end.yield(nil)
            } catch {
                end.yield(error)
            }
        }
        try await server.listenAndAccept()
        let client = TCPTransport(TransportOptions(decoder: .multiplexed))
        let stream = try await client.dial(server.address).openStream(protocol: "/work/1")
        try await stream.write([1] as ArraySlice<UInt8>)
        _ = await begun.first { _ in true }
        try await act(stream, client)
        let error = await ends.first { _ in true }
        await client.close()
        await server.close()
        return error.flatMap { $0 }
    }

    @Test("Work for a stream ends when the other side resets it, or is gone")
    func ends() async throws {
        let reset = try await end { stream, _ in stream.abort(code: 7) }
        #expect((reset as? ParleyError)?.code == .streamAborted)
        let gone = try await end { _, client in await client.close() }
        #expect(gone is ParleyError)
    }

    @Test("Work for a stream goes on when the other side has said all")
    func saidAll() async throws {
        let server = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0", decoder: .multiplexed))
        try server.accept("/work/1") { stream in
            guard try await stream.read(upTo: 1) == nil else { throw Failure("there is no end") }
            try await stream.checkOpen()
            try await stream.write([2] as ArraySlice<UInt8>)
            try await stream.finish()
        }
        try await server.listenAndAccept()
        let client = TCPTransport(TransportOptions(decoder: .multiplexed))
        let stream = try await client.dial(server.address).openStream(protocol: "/work/1")
        try await stream.finish()
        #expect(try await stream.read(upTo: 1) == [2])
        await client.close()
        await server.close()
    }
}
