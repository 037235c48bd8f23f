import Testing

@testable import Parley

/// A consumer for each peer.
@Suite(.timeLimit(.minutes(5))) struct EachPeerTests {
    /// Runs `body` while each peer of `server` has a consumer of its own; both must end.
    private func consuming(
        _ server: any Transport,
        _ consumer: @escaping @Sendable (any Peer, RPCSequence) async throws -> Void,
        _ body: () async throws -> Void
    ) async throws {
        let consuming = Task { try await server.consumeEachPeer(consumer) }
        do { try await body() } catch {
            consuming.cancel()
            throw error
        }
        await server.close()
        try await consuming.value
    }

    @Test func `a consumer ends behind a stream that it has read to the end after its peer was gone`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.streamIdle = nil
            }
            let over = Events<Int>()
            let socket = try RawSocket(connectingTo: server.address)
            try await consuming(server) { peer, rpcs in
                var count = 0
                for await rpc in rpcs where rpc.stream {
                    let connection = try #require(peer as? Connection)
                    socket.reset()
                    try await eventually {
                        await connection.look(behind: 0)
                        return connection.outbound.withLock { $0.lifecycle.hasEnded }
                    }
                    while let bytes = try await peer.read(upTo: 1_000) { count += bytes.count }
                }
                over.add(count)
            } _: {
                // A whole stream.
                try socket.write([2, 0, 0, 0, 0] + [3, 0, 0, 0, 3, 7, 8, 9] + [4, 0, 0, 0, 0])
                #expect(try await over.next() == 3)
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a stream that stalls while it is received inline holds no other peer up`(kind: Kind) async throws {
        try await withFolder { folder in
            try await withNodes(kind) { nodes in
                let server = try await nodes.listening { $0.decoder = .framed }
                let (slow, quick) = (nodes.make { $0.decoder = .framed }, nodes.make { $0.decoder = .framed })
                let path = folder.appending(path: "file").path
                try await consuming(server) { peer, rpcs in
                    for await rpc in rpcs {
                        if rpc.stream {
                            try await peer.receiveStream(into: path)
                        } else {
                            try await peer.send(message: rpc.payload)
                        }
                    }
                } _: {
                    let peer = try await slow.dial(server.address)
                    let writer = try await peer.openStream()
                    try await writer.write(patterned(10_000))
                    // The file is being received, and stalls.
                    try await eventually {
                        server.peers.contains { $0.statistics.traffic.streamsReceived == 1 }
                    }

                    let other = try await quick.dial(server.address)
                    for number in 0..<100 {
                        try await other.send(message: "\(number)")
                        #expect(try await quick.nextRPC().text == "\(number)")
                    }

                    try await writer.write(patterned(10_000))
                    try await writer.finish()
                    try await peer.send(message: "behind")
                    #expect(try await slow.nextRPC().text == "behind")
                    #expect(try File(reading: path).version().size == 20_000)
                }
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a slow consumer holds its own peer back, within the inbox's bound, and no other`(kind: Kind)
        async throws
    {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 48
            }
            let (slow, quick) = (nodes.make { $0.decoder = .framed }, nodes.make { $0.decoder = .framed })
            let (gate, open) = AsyncStream<Void>.makeStream()
            let taken = Events<Int>()
            try await consuming(server) { peer, rpcs in
                for await rpc in rpcs {
                    guard let number = Int(rpc.text) else {
                        try await peer.send(message: rpc.payload)
                        continue
                    }
                    // Waits for ever, until the gate opens.
                    for await _ in gate {}
                    taken.add(number)
                }
            } _: {
                let peer = try await slow.dial(server.address)
                let sending = Task { for number in 0..<2_000 { try await peer.send(message: "\(number)") } }
                try await eventually { server.statistics.pausedPeers == 1 }
                let other = try await quick.dial(server.address)
                for number in 0..<200 {
                    try await other.send(message: "n\(number)")
                    #expect(try await quick.nextRPC().text == "n\(number)")
                    #expect(server.statistics.inboxRPCs <= 48)
                }
                // While the slow one leaves room for one RPC only, the other is paused for moments as well.
                try await eventually { server.statistics.pausedPeers == 1 }
                #expect(taken.soFar.isEmpty)
                open.finish()
                for number in 0..<2_000 { #expect(try await taken.next() == number) }
                try await sending.value
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a peer's RPCs end when the peer has gone and all of them are taken`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                // Most of them wait outside the inbox when the peer goes.
                $0.inboxCapacity = 12
            }
            let client = nodes.make { $0.decoder = .framed }
            let ends = Events<Int>()
            let (gate, open) = AsyncStream<Void>.makeStream()
            try await consuming(server) { _, rpcs in
                for await _ in gate {}
                var count = 0
                for await rpc in rpcs {
                    #expect(rpc.text == "\(count)")
                    count += 1
                }
                ends.add(count)
            } _: {
                let peer = try await client.dial(server.address)
                for number in 0..<200 { try await peer.send(message: "\(number)") }
                await peer.close()
                open.finish()
                #expect(try await ends.next() == 200)
                // Its place is free: the next peer gets a consumer as well.
                let next = try await client.dial(server.address)
                for number in 0..<3 { try await next.send(message: "\(number)") }
                await next.close()
                #expect(try await ends.next() == 3)
                // One that breaks the wire form.
                let bad = nodes.make {
                    $0.decoder = .framed
                    $0.handshake = { peer in
                        try await peer.send([1, 0, 0, 0, 1] + Array("0".utf8))
                        try await peer.send([99, 0, 0, 0, 0, 1, 0, 0, 0, 0])
                    }
                }
                _ = try? await bad.dial(server.address)
                #expect(try await ends.next() == 1)
                // The last body has counted, and may not have returned.
                try await eventually {
                    server.itsNode.inbox?.queues.allSatisfy { $0.laneCount == 0 } == true
                }
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `what waited before it began comes first, and what is left waits for consume`(kind: Kind)
        async throws
    {
        try await withFrames(kind) { server, _, peer in
            for number in 0..<5 { try await peer.send(message: "\(number)") }
            try await eventually { server.statistics.inboxRPCs == 5 }
            let taken = Events<String>()
            let consuming = Task {
                try await server.consumeEachPeer { _, rpcs in
                    for await rpc in rpcs {
                        taken.add(rpc.text)
                        // Until it is cancelled.
                        if rpc.text == "2" { try await Task.sleep(for: .seconds(1_000)) }
                    }
                }
            }
            for number in 0..<3 { #expect(try await taken.next() == "\(number)") }
            let second = try await error { try await server.consumeEachPeer { _, _ in } }
            #expect(second.code == .invalidArgument)
            try await peer.send(message: "5")
            try await eventually { server.statistics.inboxRPCs == 3 }
            consuming.cancel()
            try await consuming.value
            for number in 3..<6 { #expect(try await server.nextRPC().text == "\(number)") }
            // The peer is unharmed.
            try await peer.send(message: "6")
            #expect(try await server.nextRPC().text == "6")
        }
    }

    @Test func `the RPCs of one peer are not divided once more`() async throws {
        try await withFrames(.tcp) { server, _, peer in
            try await peer.send(message: "hello")
            let thrown = Events<ParleyError>()
            let consuming = Task {
                try await server.consumeEachPeer { _, rpcs in
                    do throws(ParleyError) { try await rpcs.consumeEachPeer { _, _ in } } catch {
                        thrown.add(error)
                    }
                    for await _ in rpcs {}
                }
            }
            #expect(try await thrown.next().code == .invalidArgument)
            consuming.cancel()
            try await consuming.value
        }
    }

    @Test(arguments: Kind.allCases)
    func `a consumer that returns is called again for what is left and for what comes`(kind: Kind)
        async throws
    {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make { $0.decoder = .framed }
            let taken = Events<String>()
            try await consuming(server) { _, rpcs in
                for await rpc in rpcs {
                    taken.add(rpc.text)
                    break
                }
            } _: {
                let peer = try await client.dial(server.address)
                for number in 0..<5 { try await peer.send(message: "\(number)") }
                for number in 0..<5 { #expect(try await taken.next() == "\(number)") }
                try await peer.send(message: "later")
                #expect(try await taken.next() == "later")
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a consumer that takes nothing loses an RPC with each call`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make { $0.decoder = .framed }
            let calls = Lock(0)
            try await consuming(server) { _, _ in
                calls.withLock { $0 += 1 }
            } _: {
                let peer = try await client.dial(server.address)
                for number in 0..<20 { try await peer.send(message: "\(number)") }
                try await eventually { calls.withLock { $0 } == 20 && server.statistics.inboxRPCs == 0 }
                #expect(peer.statistics.traffic.messagesSent == 20)
            }
            #expect(calls.withLock { $0 } == 20)
        }
    }

    private struct Unwanted: Error {}

    @Test(arguments: Kind.allCases)
    func `a consumer that throws ends its peer, with the reason, and no other`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.onDisconnect = { gone.add($1) }
            }
            let client = nodes.make { $0.decoder = .framed }
            let calls = Events<String>()
            try await consuming(server) { peer, rpcs in
                for await rpc in rpcs {
                    calls.add(rpc.text)
                    if rpc.text == "unwanted" { throw Unwanted() }
                    if rpc.text == "too long" { throw ParleyError(.messageTooLong, "too long") }
                    try await peer.send(message: rpc.payload)
                }
            } _: {
                let good = try await client.dial(server.address)
                try await good.send(message: "one")
                #expect(try await client.nextRPC().text == "one")
                for (text, code) in [("unwanted", ParleyError.Code.closed), ("too long", .messageTooLong)] {
                    let bad = try await client.dial(server.address)
                    for _ in 0..<5 { try? await bad.send(message: text) }
                    let reason = try await gone.next()
                    #expect(reason.code == code)
                    if code == .closed { #expect(reason.message.contains("Unwanted")) }
                }
                try await good.send(message: "two")
                #expect(try await client.nextRPC().text == "two")
            }
            #expect(calls.soFar == ["one", "unwanted", "too long", "two"])
        }
    }

    @Test(arguments: Kind.allCases)
    func `a stream that its reader has left ends with the connection, and what is behind it comes`(kind: Kind)
        async throws
    {
        try await withNodes(kind) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.streamIdleTimeout = .milliseconds(100)
                $0.onDisconnect = { gone.add($1) }
            }
            let client = nodes.makeStreaming()
            let taken = Events<String>()
            try await consuming(server) { _, rpcs in
                // A stream is neither read nor closed.
                for await rpc in rpcs { taken.add(rpc.stream ? "stream" : rpc.text) }
                taken.add("end")
            } _: {
                let peer = try await client.dial(server.address)
                #expect(try await taken.next() == "stream")
                #expect(try await gone.next().code == .timedOut)
                #expect(try await taken.next() == "behind")
                #expect(try await taken.next() == "end")
                withExtendedLifetime(peer) {}
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a peer that has gone before its consumer began ends it, also behind an unread stream`(kind: Kind)
        async throws
    {
        try await withNodes(kind) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.streamIdleTimeout = .milliseconds(100)
                $0.onDisconnect = { gone.add($1) }
            }
            let client = nodes.make { $0.decoder = .framed }
            let quick = try await client.dial(server.address)
            try await quick.send(message: "quick")
            await quick.close()
            _ = try await gone.next()
            let streaming = nodes.makeStreaming()
            let peer = try await streaming.dial(server.address)
            _ = try await gone.next()
            let taken = Events<String>()
            try await consuming(server) { _, rpcs in
                var texts: [String] = []
                for await rpc in rpcs { texts.append(rpc.stream ? "stream" : rpc.text) }
                taken.add(texts.joined(separator: ", "))
            } _: {
                let all = [try await taken.next(), try await taken.next()]
                #expect(Set(all) == ["quick", "stream, behind"])
                withExtendedLifetime(peer) {}
            }
        }
    }

    @Test func `on each loop a consumer runs on the loop of its peer`() async throws {
        try await withNodes(.loops) { nodes in
            let listening = try await nodes.listening { $0.decoder = .framed }
            let server = try #require(listening as? TCPTransport)
            let client = nodes.make { $0.decoder = .framed }
            let consuming = Task {
                try await server.consumeOnEachLoop { rpcs in
                    try await rpcs.consumeEachPeer { peer, rpcs in
                        for await rpc in rpcs {
                            #expect((peer as? Connection)?.loop.isCurrent == true)
                            try await peer.send(message: rpc.payload)
                        }
                    }
                }
            }
            for number in 0..<6 {
                let peer = try await client.dial(server.address)
                try await peer.send(message: "\(number)")
                #expect(try await client.nextRPC().text == "\(number)")
            }
            await server.close()
            try await consuming.value
        }
    }

    @Test(arguments: Kind.allCases)
    func `it ends with the transport, also when that is closed already`(kind: Kind) async throws {
        try await withFrames(kind) { server, _, peer in
            try await peer.send(message: "last")
            try await eventually { server.statistics.inboxRPCs == 1 }
            await server.close()
            let taken = Events<String>()
            for _ in 0..<2 {
                try await server.consumeEachPeer { _, rpcs in for await rpc in rpcs { taken.add(rpc.text) } }
            }
            #expect(taken.soFar == ["last"])
        }
    }
}

extension Nodes {
    /// A node that sends a stream and a message in one block: opening, bytes, end, message.
    fileprivate func makeStreaming() -> any Transport {
        make {
            $0.decoder = .framed
            $0.handshake = { peer in
                let stream: [UInt8] = [2, 0, 0, 0, 0, 3, 0, 0, 0, 2, 7, 7, 4, 0, 0, 0, 0]
                try await peer.send(stream + [1, 0, 0, 0, 6] + Array("behind".utf8))
            }
        }
    }
}
