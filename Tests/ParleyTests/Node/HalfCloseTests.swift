import Testing

@testable import Parley

/// A peer that ends its sending and still reads gets the answers to what it sent.
@Suite(.timeLimit(.minutes(10))) struct HalfCloseTests {
    /// Messages of one byte in the framed wire form. The second one's sender half-closes.
    private static let frame: [UInt8] = [1, 0, 0, 0, 1, 7]
    private static let lastFrame: [UInt8] = [1, 0, 0, 0, 1, 8]

    @Test(arguments: [Kind.tcp, .loops], [false, true])
    func `a consumer's answers arrive, though the end of input came before it`(
        kind: Kind,
        isBatched: Bool
    ) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) { $0.closeTimeout = .seconds(60) }
            let consumer = Task {
                @Sendable func answer(_ rpc: RPC) async throws {
                    if rpc.payload == [8] {
                        let connection = try #require(rpc.peer as? Connection)
                        try await eventually { connection.isHalfClosed }
                    }
                    try await rpc.peer.send(message: rpc.payload)
                }
                if isBatched {
                    for await batch in server.consume().batches { for rpc in batch { try await answer(rpc) } }
                } else {
                    for await rpc in server.consume() { try await answer(rpc) }
                }
            }
            // The consumer has begun when it answers.
            let first = try RawSocket(connectingTo: server.address)
            try first.write(Self.frame)
            #expect(try await first.read(exactly: 6) == Self.frame)
            for _ in 0..<20 {
                let socket = try RawSocket(connectingTo: server.address)
                try socket.write(Self.lastFrame + Self.lastFrame)
                socket.finish()
                #expect(try await socket.read(exactly: 12) == Self.lastFrame + Self.lastFrame)
                #expect(await socket.read()?.isEmpty == true)
                #expect(try await ends.next().code == .endOfStream)
            }
            await server.close()
            try await consumer.value
        }
    }

    @Test func `a finished stream is read to its end, though a send finds its sender gone`() async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) { $0.limits.readAheadBytes = 1 }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([2, 0, 0, 0, 0])
            let body = try #require(try await server.nextRPC().body)
            let content = patterned(60_000)
            try socket.write([3, 0, 0, 0xea, 0x60] + content + [4, 0, 0, 0, 0])
            let connection = try #require(server.peers.first as? Connection)
            // The rest is in the socket: nobody has read yet.
            try await eventually { !connection.inbound.withLock { $0.intake.isReading } }
            socket.close()
            while (try? await connection.send(message: "is anybody there?")) != nil { await Task.yield() }
            var read: [UInt8] = []
            while let bytes = try await body.read(upTo: 100_000) { read += bytes }
            #expect(read == content)
            _ = try await ends.next()
        }
    }

    @Test func `a passed deadline does not hide the end of a connection`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let dialed = try await client.dial(server.address)
            let peer = try #require(dialed as? Connection)
            try await eventually { !server.peers.isEmpty }
            let remote = try #require(server.peers.first as? Connection)
            let writer = try await remote.openStream(header: [])
            let body = try #require(try await client.nextRPC().body)
            peer.setReadDeadline(.now - .seconds(1))
            #expect(try await error { _ = try await body.read(upTo: 1) }.code == .timedOut)
            peer.fail(ParleyError(.banned, "it was banned"))
            _ = try await peer.untilClosed()
            #expect(try await error { _ = try await body.read(upTo: 1) }.code == .banned)
            await writer.abort(code: 0, reason: "")
        }
    }

    /// The raw client reads slowly, so that the close waits; then it ends its sending and reads all.
    @Test(arguments: zip([WireForm.framed, .unframed], [10, 1]))
    func `the end of the other side's sending cuts nothing off that a close waits for`(
        form: WireForm,
        frameBytes: Int
    ) async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = form
                $0.closeTimeout = .seconds(60)
            }
            let socket = try RawSocket(connectingTo: server.address, receiveBufferBytes: 4_096)
            try await eventually { !server.peers.isEmpty }
            let peer = try #require(server.peers.first as? Connection)
            let writer = try await peer.openStream()
            try await writer.write(patterned(60_000)[...])
            let closing = Task { await peer.close() }
            try await eventually {
                peer.outbound.withLock { if case .awaitingAck = $0.lifecycle.state { true } else { false } }
            }
            socket.finish()
            try await socket.skip(frameBytes + 60_000)
            #expect(await socket.read()?.isEmpty == true)
            await closing.value
            await writer.abort(code: 0, reason: "")
        }
    }

    @Test func `a consumer that is busy for long delays the end by no more than the close time-out`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) { $0.closeTimeout = .milliseconds(200) }
            let (taken, mayGoOn) = (Events<any Peer>(), Events<Bool>())
            let consumer = Task {
                for await rpc in server.consume() {
                    taken.add(rpc.peer)
                    _ = try await mayGoOn.next()
                }
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write(Self.frame)
            let peer = try await taken.next()
            socket.finish()
            #expect(try await ends.next().code == .endOfStream)
            #expect(await socket.read()?.isEmpty == true)
            #expect(try await error { try await peer.send(message: [1]) }.code == .endOfStream)
            mayGoOn.add(true)
            await server.close()
            try await consumer.value
        }
    }

    @Test func `heartbeats, which cannot be answered any more, do not end it before the answer`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening(Events<ParleyError>()) {
                $0.closeTimeout = .seconds(600)
                $0.timeouts.heartbeat = Heartbeat(interval: .seconds(10), maxMissed: 2)
            }
            let taken = Events<any Peer>()
            let (gate, open) = AsyncStream<Void>.makeStream()
            let consumer = Task {
                for await rpc in server.consume() {
                    taken.add(rpc.peer)
                    for await _ in gate {}
                    try await rpc.peer.send(message: rpc.payload)
                }
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write(Self.frame)
            let connection = try #require(try await taken.next() as? Connection)
            socket.finish()
            try await eventually { connection.isHalfClosed }
            for number in 1...6 { await connection.look(behind: UInt64(number) * 10_000) }
            open.finish()
            #expect(try await socket.read(exactly: 6) == Self.frame)
            await server.close()
            try await consumer.value
        }
    }

    @Test func `what nobody ever consumes delays the end by a second at most`() async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening(ends) { $0.closeTimeout = .seconds(600) }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write(Self.frame)
            socket.finish()
            #expect(try await ends.next().code == .endOfStream)
            #expect(server.statistics.inboxRPCs == 1)
        }
    }

    @Test func `an RPC that is passed on and counted twice ends nothing early`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening(Events<ParleyError>())
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            try await peer.send(message: "one")
            let rpc = try await server.nextRPC()
            let connection = try #require(rpc.peer as? Connection)
            connection.consumed(5)
            #expect(connection.unconsumed.load(ordering: .relaxed) == 0)
            try await rpc.peer.send(message: "still open")
        }
    }
}

/// A full inbox is said, since its peers are silently not read.
@Suite(.timeLimit(.minutes(10))) struct FullInboxLogTests {
    @Test(arguments: [false, true])
    func `streams that are read but not consumed stop, and the log says why`(consumes: Bool) async throws {
        try await withNodes(.tcp) { nodes in
            let log = Log()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 4
                $0.logger = log.logger
            }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            if consumes {
                try await peer.send(message: "one")
                _ = try await server.nextRPC()
            }
            for _ in 0..<6 { try await peer.send(message: "more") }
            let line = try await log.first("inbox full")
            #expect(line.level == (consumes ? .notice : .warning))
            #expect(line.metadata["consumed"] == (consumes ? "yes" : "never"))
            #expect(line.metadata["rpcs"] != nil)
            for _ in 0..<6 { #expect(try await server.nextRPC().text == "more") }
        }
    }
}
