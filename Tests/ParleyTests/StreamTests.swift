import Testing

@testable import Parley

/// Streams in the wire forms that do not mark their ends, on sockets and in memory.
@Suite(.timeLimit(.minutes(10))) struct StreamTests {
    private static let forms: [WireForm] = [.unframed, .gob(), .gob(encoding: .onePerConnection)]

    @Test(arguments: Kind.allCases, forms)
    func `a stream is delivered at its place in the order, and messages follow it`(
        kind: Kind,
        form: WireForm
    ) async throws {
        try await withNodes(kind, form) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            let size = 1_500_000
            try await peer.send(message: "before")
            #expect(try await server.nextRPC().text == "before")

            async let sent: Void = {
                let writer = try await peer.openStream()
                try await writer.write(patterned(size))
                try await writer.finish()
                // The reader answers only after it has read the stream: the next message cannot become stream
                // bytes.
                #expect(try await client.nextRPC().text == "thanks")
                try await peer.send(message: "after")
            }()
            let stream = try await server.nextRPC()
            #expect(stream.stream)
            #expect(stream.payload.isEmpty)
            var received: [UInt8] = []
            for try await chunk in stream.peer.chunks(byteCount: size) {
                #expect(chunk.count <= 65_536)
                received += chunk
            }
            #expect(same(received, patterned(size)))
            stream.peer.closeStream()
            try await stream.peer.send(message: "thanks")
            #expect(try await server.nextRPC().text == "after")
            try await sent
        }
    }

    @Test(arguments: Kind.allCases)
    func `read waits for the next stream and returns the requested count`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            try await peer.send(message: "hello")
            let serverPeer = try await server.nextRPC().peer
            async let first = serverPeer.read(exactly: 7)
            let writer = try await peer.openStream()
            try await writer.write(patterned(10))
            #expect(try await Array(first) == Array(patterned(10)[..<7]))
            #expect(try await serverPeer.read(upTo: 100).map { Array($0) } == Array(patterned(10)[7...]))
            #expect(try await serverPeer.read(exactly: 0).isEmpty)
            #expect(try await error { _ = try await serverPeer.read(upTo: 0) }.code == .invalidArgument)
        }
    }

    @Test(arguments: Kind.allCases)
    func `messages wait until an open stream is finished or its writer released`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            var writer: (any StreamWriter)? = try await peer.openStream()
            let message = Task { try await peer.send(message: "after") }
            try await writer?.write(patterned(1_000))
            let stream = try await server.nextRPC()
            #expect(try await Array(stream.peer.read(exactly: 1_000)) == patterned(1_000))
            stream.peer.closeStream()
            try await writer?.finish()
            try await message.value
            #expect(try await server.nextRPC().text == "after")
            #expect(try await error { try await writer?.write([1]) }.code == .closed)

            writer = try await peer.openStream()
            let next = try await server.nextRPC()
            #expect(next.stream)
            next.peer.closeStream()
            let second = Task { try await peer.send(message: "later") }
            writer = nil
            try await second.value
            #expect(try await server.nextRPC().text == "later")
        }
    }

    @Test(arguments: Kind.allCases)
    func `closeStream passes buffered bytes to the decoder`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            try await peer.send([0x2, 10, 20, 0x1] + Array("buried".utf8))
            let stream = try await server.nextRPC()
            #expect(try await stream.peer.read(exactly: 2) == [10, 20])
            stream.peer.closeStream()
            #expect(try await server.nextRPC().text == "buried")
            stream.peer.closeStream()
            stream.peer.closeStream()
            try await peer.send(message: "unharmed")
            #expect(try await server.nextRPC().text == "unharmed")
        }
    }

    @Test(arguments: Kind.allCases)
    func `a violation after a stream is thrown to a reader that waits for the next stream`(kind: Kind)
        async throws
    {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            // More than the read-ahead, so that several blocks follow the violation.
            let rest = [UInt8](repeating: 7, count: PeerState.readAheadBytes + 150_000)
            let sending = Task { try await peer.send([2, 42] + rest) }
            let stream = try await server.nextRPC()
            #expect(try await stream.peer.read(exactly: 1) == [42])
            let connection = try #require(stream.peer as? Connection)
            try await eventually { connection.inbound.withLock { !$0.state.wantsInput(isReading: true) } }
            stream.peer.closeStream()
            let violation = try await error { _ = try await stream.peer.read(upTo: 1) }
            #expect(violation.code == .protocolViolation)
            _ = await sending.result
        }
    }

    @Test(arguments: Kind.allCases)
    func `an unread stream drops its peer after streamIdleTimeout`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.streamIdleTimeout = .milliseconds(100)
                $0.onDisconnect = { gone.add($1) }
            }
            let peer = try await nodes.make().dial(server.address)
            let writer = try await peer.openStream()
            // It throws when the stream has already been unread for too long. The opening is enough.
            try? await writer.write(patterned(1_000))
            let stream = try await server.nextRPC()
            let reason = try await gone.next()
            #expect(reason.code == .timedOut)
            #expect(reason.message.contains("stream"))
            stream.peer.closeStream()
        }
    }

    @Test(arguments: Kind.allCases)
    func `the end of the connection ends a stream after the bytes that arrived`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { gone.add($1) } }
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            let writer = try await peer.openStream()
            try await writer.write(patterned(100_000))
            let stream = try await server.nextRPC()
            await peer.close()
            var received = 0
            let short = try await error {
                for try await chunk in stream.peer.chunks(byteCount: 100_001) { received += chunk.count }
            }
            #expect(short.code == .endOfStream)
            #expect(received == 100_000)
            #expect(try await stream.peer.read(upTo: 1) == nil)
            #expect(gone.soFar.isEmpty, "its reader may still answer")
            stream.peer.closeStream()
            #expect(try await gone.next().code == .endOfStream)
        }
    }

    @Test(arguments: Kind.allCases, forms)
    func `the end of the connection inside withStream is no end of the stream`(
        kind: Kind,
        form: WireForm
    ) async throws {
        try await withNodes(kind, form) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { gone.add($1) } }
            let peer = try await nodes.make().dial(server.address)
            let (gate, open) = AsyncStream<Void>.makeStream()
            let writing = Task {
                try await peer.withStream { writer in
                    try await writer.write(patterned(100_000))
                    for await _ in gate {}
                }
            }
            let stream = try await server.nextRPC()
            #expect(same(try await stream.peer.read(exactly: 100_000), patterned(100_000)))
            await peer.close()
            #expect(try await error { _ = try await stream.peer.read(upTo: 1) }.code == .connectionReset)
            stream.peer.closeStream()
            #expect(try await gone.next().code == .connectionReset)
            #expect(try await peer.untilClosed().code == .closed)
            open.finish()
            await #expect(throws: ParleyError.self) { try await writing.value }
        }
    }

    @Test(arguments: Kind.allCases, forms)
    func `a long write that the end of the connection cuts off is no end of the stream`(
        kind: Kind,
        form: WireForm
    ) async throws {
        try await withNodes(kind, form) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let long = [UInt8](repeating: 7, count: 48 << 20)
            let writer = try await peer.openStream()
            let writing = Task { try await writer.write(long) }
            let stream = try await server.nextRPC()
            _ = try await stream.peer.read(exactly: 1)
            // Nobody reads on, so most of it is not accepted yet.
            let connection = try #require(peer as? Connection)
            try connection.close(.none)
            let cut = try await error { while try await stream.peer.read(upTo: 1 << 20) != nil {} }
            #expect(cut.code == .connectionReset)
            stream.peer.closeStream()
            await #expect(throws: ParleyError.self) { try await writing.value }
        }
    }

    @Test(arguments: Kind.allCases, [WireForm.gob(), .gob(encoding: .onePerConnection)])
    func `what was accepted before an aborted stream arrives, and so does the beginning of that`(
        kind: Kind,
        form: WireForm
    ) async throws {
        try await withNodes(kind, form) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { gone.add($1) } }
            let peer = try await nodes.make().dial(server.address)
            for number in 0..<50 { try await peer.send(message: "\(number)") }
            let writer = try await peer.openStream()
            try await writer.write(patterned(200_000))
            await writer.abort(reason: "changed my mind")
            for number in 0..<50 { #expect(try await server.nextRPC().text == "\(number)") }
            let stream = try await server.nextRPC()
            #expect(stream.stream)
            #expect(same(try await stream.peer.read(exactly: 200_000), patterned(200_000)))
            #expect(try await error { _ = try await stream.peer.read(upTo: 1) }.code == .connectionReset)
            stream.peer.closeStream()
            let reason = try await peer.untilClosed()
            #expect(reason.code == .streamAborted && reason.message.contains("changed my mind"))
            #expect(try await gone.next().code == .connectionReset)
        }
    }

    @Test func `an aborted stream that nobody reads ends its connection after the close time-out`()
        async throws
    {
        try await withNodes(.tcp, .gob()) { nodes in
            let listener = try RawListener()
            let peer = try await nodes.make { $0.closeTimeout = .milliseconds(200) }.dial(listener.address)
            let silent = try await listener.accept()
            let writer = try await peer.openStream()
            let writing = Task { while true { try await writer.write(patterned(65_536)) } }
            try await eventually { peer.statistics.traffic.sendWaits > 0 }
            await writer.abort(reason: "changed my mind")
            #expect(try await peer.untilClosed().code == .streamAborted)
            await #expect(throws: ParleyError.self) { try await writing.value }
            withExtendedLifetime(silent) {}
        }
    }

    @Test(arguments: Kind.allCases) func `closing while a stream is read and written`(kind: Kind) async throws
    {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make { $0.closeTimeout = .milliseconds(200) }
            let peer = try await client.dial(server.address)
            let writer = try await peer.openStream()
            let writing = Task { while true { try await writer.write(patterned(65_536)) } }
            let stream = try await server.nextRPC()
            let reading = Task { while try await stream.peer.read(upTo: 1_000) != nil {} }
            async let serverClosed: Void = server.close()
            await client.close()
            await serverClosed
            await #expect(throws: ParleyError.self) { try await writing.value }
            _ = await reading.result
        }
    }
}
