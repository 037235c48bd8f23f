import Parley
import Testing

/// The behaviour of every transport of this library, on sockets and in memory.
@Suite(.timeLimit(.minutes(10))) struct TransportBehaviourTests {
    // MARK: Messages

    @Test(arguments: Kind.allCases) func `two nodes exchange messages both ways`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            try await peer.send(message: "ping")
            let ping = try await server.nextRPC()
            #expect(ping.text == "ping")
            #expect(!ping.stream)
            #expect(ping.from == peer.localAddress.description)
            try await ping.peer.send(message: "pong")
            let pong = try await client.nextRPC()
            #expect(pong.text == "pong")
            #expect(pong.from == server.address)
            #expect(pong.peer === peer)
        }
    }

    @Test(arguments: Kind.allCases)
    func `without options, messages that are sent together arrive as they were sent`(kind: Kind) async throws
    {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let messages = [Array("one".utf8), Array("two".utf8), [], patterned(2_000), [0x2]]
            for message in messages { try await peer.send(message: message) }
            for message in messages {
                let rpc = try await server.nextRPC()
                #expect(!rpc.stream && Array(rpc.payload) == message)
            }
        }
    }

    @Test(arguments: Kind.allCases, [1, 2, 100, 1_027, 1_028])
    func `a message of any size up to the limit arrives whole`(kind: Kind, size: Int) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            try await peer.send(message: patterned(size))
            #expect(try await Array(server.nextRPC().payload) == patterned(size))
        }
    }

    @Test(arguments: Kind.allCases) func `messages of one peer keep their order`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = WireForm { LineDecoder() } }
            let client = nodes.make { $0.decoder = WireForm { LineDecoder() } }
            let peer = try await client.dial(server.address)
            let count = 20_000
            async let sent: Void = {
                for number in 0..<count { try await peer.send(message: "\(number)") }
            }()
            var expected = 0
            for await batch in server.consume().batches {
                for rpc in batch {
                    try #require(rpc.text == "\(expected)")
                    expected += 1
                }
                if expected == count { break }
            }
            try await sent
        }
    }

    @Test(arguments: Kind.allCases)
    func `concurrent sends never interleave inside a message`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = WireForm { LineDecoder() } }
            let peer = try await nodes.make { $0.decoder = WireForm { LineDecoder() } }.dial(server.address)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for sender in 0..<8 {
                    group.addTask {
                        for _ in 0..<200 {
                            try await peer.send(message: String(repeating: "\(sender)", count: 700))
                        }
                    }
                }
                group.addTask {
                    for _ in 0..<8 * 200 {
                        let text = try await server.nextRPC().text
                        try #require(text.utf8.count == 700 && Set(text).count == 1)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a full inbox holds senders back and loses no message`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = WireForm { LineDecoder() }
                $0.inboxCapacity = 16
            }
            let client = nodes.make {
                $0.decoder = WireForm { LineDecoder() }
                $0.sendHighWaterBytes = 4_096
                $0.sendLowWaterBytes = 1_024
            }
            let peers = [try await client.dial(server.address), try await client.dial(server.address)]
            let count = 1_500
            let senders = peers.map { peer in
                Task {
                    for number in 0..<count {
                        try await peer.send(message: "\(number) " + String(repeating: "x", count: 500))
                    }
                }
            }
            var next: [String: Int] = [:]
            for _ in 0..<count * peers.count {
                let rpc = try await server.nextRPC()
                let expected = next[rpc.from] ?? 0
                try #require(rpc.text.hasPrefix("\(expected) "))
                next[rpc.from] = expected + 1
            }
            for sender in senders { try await sender.value }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a message that the wire form cannot carry is refused, and the peer stays`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            #expect(
                try await error { try await peer.send(message: patterned(1_029)) }.code == .messageTooLong
            )
            #expect(try await error { try await peer.send(message: []) }.code == .invalidArgument)
            try await peer.send(message: "fine")
            #expect(try await server.nextRPC().text == "fine")
        }
    }

    // MARK: Handshake

    @Test(arguments: Kind.allCases)
    func `the handshake reads and sends raw bytes, and the bytes after it are decoded`(kind: Kind)
        async throws
    {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening {
                $0.handshake = { peer in
                    #expect(try await Array(peer.read(exactly: 5)) == Array("hello".utf8))
                    try await peer.send(Array("welcome".utf8))
                }
            }
            let client = nodes.make {
                $0.handshake = { peer in
                    // The handshake's bytes, and a message right after them.
                    try await peer.send(Array("hello".utf8) + [0x1] + Array("early".utf8))
                    #expect(try await Array(peer.read(exactly: 7)) == Array("welcome".utf8))
                }
            }
            try await client.dial(server.address)
            #expect(try await server.nextRPC().text == "early")
        }
    }

    @Test(arguments: [Kind.tcp, .memory, .loops, .secured])
    func `what dial returns does not read what belongs to messages`(kind: Kind) async throws {
        try await withNodes(kind, .framed) { nodes in
            let server = try await nodes.listening { $0.onPeer = { try await $0.send(message: "hello") } }
            let client = nodes.make {
                $0.logger = SlowLog.logger
                $0.onPeer = { peer in try await eventually { peer.statistics.unreadBytes > 0 } }
            }
            let peer = try await client.dial(server.address)
            peer.setReadDeadline(.now + .milliseconds(200))
            #expect(try await error { _ = try await peer.read(upTo: 9) }.code == .timedOut)
            #expect(try await client.nextRPC().text == "hello")
        }
    }

    @Test(arguments: Kind.allCases)
    func `dial throws the handshake's error, and the other side sees the end`(kind: Kind) async throws {
        struct Unwanted: Error, Equatable {}
        try await withNodes(kind) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { gone.add($1) } }
            let client = nodes.make {
                $0.handshake = { _ in throw Unwanted() }
                $0.onDisconnect = { gone.add($1) }
            }
            await #expect(throws: Unwanted()) { try await client.dial(server.address) }
            let codes = [try await gone.next().code, try await gone.next().code]
            #expect(Set(codes) == [.handshakeFailed, .endOfStream])
            #expect(client.peers.isEmpty)
        }
    }

    @Test(arguments: Kind.allCases) func `onPeer may refuse a peer on either side`(kind: Kind) async throws {
        struct Full: Error, Equatable {}
        try await withNodes(kind) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.onPeer = { _ in throw Full() }
                $0.onDisconnect = { gone.add($1) }
            }
            let refused = Events<ParleyError>()
            let client = nodes.make { $0.onDisconnect = { refused.add($1) } }
            // The dial may return before the refusal arrives, or throw.
            _ = try? await client.dial(server.address)
            let reason = try await gone.next()
            #expect(reason.code == .peerRefused)
            #expect(reason.message.contains("Full"))
            #expect(try await refused.next().code == .endOfStream)

            let picky = nodes.make { $0.onPeer = { _ in throw Full() } }
            await #expect(throws: Full()) { try await picky.dial(server.address) }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a handshake that never returns times out on either side`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let gone = Events<ParleyError>()
            let (begun, cancelled) = (Events<Bool>(), Events<Bool>())
            // The time-out covers a secured link's own handshake, too. A busy machine may use it up for that.
            for limit in [kind.isSecured ? 300 : 50, 3_000, 30_000] where begun.soFar.isEmpty {
                let server = try await nodes.listening {
                    $0.handshakeTimeout = .milliseconds(limit)
                    $0.handshake = { peer in
                        begun.add(true)
                        do { _ = try await peer.read(exactly: 1) } catch {
                            cancelled.add(true)
                            throw error
                        }
                    }
                    $0.onDisconnect = { gone.add($1) }
                }
                _ = try? await nodes.make().dial(server.address)
                #expect(try await gone.next().code == .timedOut)
            }
            try #require(!begun.soFar.isEmpty)
            #expect(try await cancelled.next())

            let patient = try await nodes.listening()
            let stuck = nodes.make {
                $0.handshakeTimeout = .milliseconds(50)
                $0.handshake = { _ in try await Task.sleep(for: .seconds(3_600)) }
            }
            #expect(try await error { try await stuck.dial(patient.address) }.code == .timedOut)
        }
    }

    @Test(arguments: Kind.allCases)
    func `an onPeer that never returns times out, and onDisconnect is still called`(kind: Kind)
        async throws
    {
        try await withNodes(kind) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening()
            let (never, end) = AsyncStream<Void>.makeStream()
            let stuck = nodes.make {
                $0.handshakeTimeout = .milliseconds(50)
                // It ignores cancellation too.
                $0.onPeer = { _ in await Task { for await _ in never {} }.value }
                $0.onDisconnect = { gone.add($1) }
            }
            #expect(try await error { try await stuck.dial(server.address) }.code == .timedOut)
            #expect(try await gone.next().code == .timedOut)
            #expect(stuck.peers.isEmpty)
            end.finish()
        }
    }

    @Test(arguments: Kind.allCases)
    func `a cancelled openStream does not disturb the open stream`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let writer = try await peer.openStream()
            let waiting = Task { _ = try await peer.openStream() }
            waiting.cancel()
            let thrown = await #expect(throws: ParleyError.self) { try await waiting.value }
            #expect(thrown?.code == .cancelled)
            try await writer.write([1, 2, 3])
            #expect(try await server.nextRPC().peer.read(exactly: 3) == [1, 2, 3])
        }
    }

    @Test(arguments: Kind.allCases)
    func `onPeer is called before the first RPC, and onDisconnect once after both`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let events = Events<String>()
            let server = try await nodes.listening {
                $0.onPeer = { peer in events.add("peer \(peer.remoteAddress)") }
                $0.onDisconnect = { peer, reason in events.add("gone \(peer.remoteAddress) \(reason.code)") }
            }
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            try await peer.send(message: "x")
            _ = try await server.nextRPC()
            #expect(events.soFar == ["peer \(peer.localAddress)"])
            #expect(server.peers.map(\.remoteAddress) == [peer.localAddress])
            await peer.close()
            _ = try await events.next()
            #expect(try await events.next() == "gone \(peer.localAddress) endOfStream")
            #expect(server.peers.isEmpty)
            await server.close()
            #expect(events.soFar.count == 2, "exactly once")
        }
    }

    @Test(arguments: Kind.allCases)
    func `onDisconnect waits for a running onPeer`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let events = Events<String>()
            let (release, releasing) = AsyncStream<Void>.makeStream()
            let server = try await nodes.listening {
                $0.onPeer = { _ in
                    events.add("onPeer")
                    for await _ in release { break }
                    events.add("onPeer done")
                }
                $0.onDisconnect = { _, _ in events.add("gone") }
            }
            let peer = try await nodes.make().dial(server.address)
            #expect(try await events.next() == "onPeer")
            await peer.close()
            releasing.yield()
            #expect(try await events.next() == "onPeer done")
            #expect(try await events.next() == "gone")
        }
    }

    // MARK: Ending

    @Test(arguments: Kind.allCases) func `peer.close writes out what was sent`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = WireForm { LineDecoder() } }
            let client = nodes.make { $0.decoder = WireForm { LineDecoder() } }
            let peer = try await client.dial(server.address)
            let line = String(repeating: "y", count: 1_000)
            for _ in 0..<500 { try await peer.send(message: line) }
            async let closing: Void = peer.close()
            for _ in 0..<500 { #expect(try await server.nextRPC().text == line) }
            await closing
            await peer.close()
            #expect(try await error { try await peer.send(message: "late") }.code == .closed)
            #expect(try await error { _ = try await peer.read(upTo: 1) }.code == .closed)
        }
    }

    @Test(arguments: Kind.allCases)
    func `transport.close writes out, closes every peer and lets consumers finish`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let gone = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = WireForm { LineDecoder() }
                $0.onDisconnect = { gone.add($1) }
            }
            let client = nodes.make { $0.decoder = WireForm { LineDecoder() } }
            let peer = try await client.dial(server.address)
            for number in 0..<100 { try await peer.send(message: "\(number)") }
            try await eventually { server.statistics.inboxRPCs == 100 }
            let accepted = try #require(server.peers.first)
            await client.close()
            await client.close()
            // Nobody has consumed yet, so that the end waits for a second.
            try await eventually {
                await accepted.runTimeouts(behind: 2_000)
                return !gone.soFar.isEmpty
            }
            #expect(try await gone.next().code == .endOfStream)
            await server.close()
            var left = 0
            for await _ in server.consume() { left += 1 }
            #expect(left == 100)
            #expect(try await error { try await server.dial("127.0.0.1:1") }.code == .closed)
            #expect(try await error { try await server.listenAndAccept() }.code == .closed)
            #expect(try await error { try await peer.send(message: "late") }.code == .closed)
        }
    }

    @Test(arguments: Kind.allCases) func `close ends waiting consumers`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let consumers = (0..<3).map { _ in
                Task {
                    for await _ in server.consume() {}
                    return true
                }
            }
            await server.close()
            for consumer in consumers { #expect(await consumer.value) }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a transport that was never used closes at once`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in await nodes.make().close() }
    }

    @Test(arguments: Kind.allCases) func `a callback may close the transport`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let closed = Events<Bool>()
            let (servers, holder) = AsyncStream<any Transport>.makeStream()
            let server = try await nodes.listening {
                $0.onDisconnect = { _, _ in
                    for await server in servers {
                        await server.close()
                        break
                    }
                    closed.add(true)
                }
            }
            holder.yield(server)
            let peer = try await nodes.make().dial(server.address)
            await peer.close()
            #expect(try await closed.next())
        }
    }

    @Test(arguments: Kind.allCases)
    func `a waiting sender throws when the connection ends`(kind: Kind) async throws {
        try await withNodes(kind, .unframed) { nodes in
            let server = try await nodes.listening { $0.inboxCapacity = 1 }
            let client = nodes.make {
                $0.sendHighWaterBytes = 1_000
                $0.sendLowWaterBytes = 100
                $0.closeTimeout = .milliseconds(100)
            }
            let peer = try await client.dial(server.address)
            let sender = Task { while true { try await peer.send([0x1] + patterned(1_028)) } }
            _ = try await server.nextRPC()
            async let closing: Void = peer.close()
            let thrown = await #expect(throws: ParleyError.self) { try await sender.value }
            #expect(thrown?.code == .closed)
            await closing
        }
    }

    // MARK: Waiting and cancellation

    @Test(arguments: Kind.allCases) func `a cancelled read loses no byte`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let reading = Task { try await peer.read(upTo: 10) }
            reading.cancel()
            let thrown = await #expect(throws: ParleyError.self) { _ = try await reading.value }
            #expect(thrown?.code == .cancelled)
            try await peer.send(message: "x")
            let back = try await server.nextRPC().peer.openStream()
            try await back.write(patterned(5))
            #expect(try await Array(peer.read(exactly: 5)) == patterned(5))
        }
    }

    @Test(arguments: Kind.allCases)
    func `a cancelled read of an exact count puts its bytes back`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let peer = try await nodes.make().dial(server.address)
            let writer = try await peer.openStream()
            try await writer.write([1, 2, 3])
            let stream = try await server.nextRPC().peer
            #expect(try await stream.read(exactly: 1) == [1])
            let reading = Task { try await stream.read(exactly: 5) }
            reading.cancel()
            let thrown = await #expect(throws: ParleyError.self) { _ = try await reading.value }
            #expect(thrown?.code == .cancelled)
            stream.setReadDeadline(.now + .milliseconds(20))
            #expect(try await error { _ = try await stream.read(exactly: 5) }.code == .timedOut)
            stream.setReadDeadline(nil)
            try await writer.write([4, 5])
            #expect(try await stream.read(exactly: 4) == [2, 3, 4, 5])
        }
    }

    @Test(arguments: Kind.allCases)
    func `a cancelled send sends nothing, and the next send succeeds`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make {
                $0.sendHighWaterBytes = 1
                $0.sendLowWaterBytes = 0
            }
            let peer = try await client.dial(server.address)
            // The other side does not read the stream: sends fill every buffer on the way.
            let writer = try await peer.openStream()
            let block = patterned(65_536)
            let accepted = Lock(0)
            let sending = Task {
                while true {
                    try await writer.write(block)
                    accepted.withLock { $0 += block.count }
                }
            }
            let stream = try await server.nextRPC()
            try await untilSendsWait(from: peer, to: stream.peer)
            sending.cancel()
            let thrown = await #expect(throws: ParleyError.self) { try await sending.value }
            #expect(thrown?.code == .cancelled)
            async let rest: Void = writer.write([42])
            let total = accepted.withLock { $0 }
            var received = 0
            for try await chunk in stream.peer.chunks(byteCount: total) { received += chunk.count }
            #expect(received == total)
            try await rest
            #expect(try await stream.peer.read(exactly: 1) == [42])
        }
    }

    @Test(arguments: Kind.allCases)
    func `deadlines end waiting and later reads and sends`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make { $0.sendHighWaterBytes = 1 }
            let peer = try await client.dial(server.address)
            peer.setReadDeadline(.now + .milliseconds(20))
            #expect(try await error { _ = try await peer.read(upTo: 1) }.code == .timedOut)
            #expect(try await error { _ = try await peer.read(upTo: 1) }.code == .timedOut)
            try await peer.send(message: "still fine")
            let rpc = try await server.nextRPC()

            let writer = try await peer.openStream()
            peer.setWriteDeadline(.now + .milliseconds(200))
            let late = try await error { while true { try await writer.write(patterned(65_536)) } }
            #expect(late.code == .timedOut)

            peer.setDeadline(nil)
            async let answer = peer.read(upTo: 10)
            try await rpc.peer.openStream().write([7])
            #expect(try await answer == [7])
        }
    }

    @Test(arguments: Kind.allCases) func `a cancelled dial closes its connection`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let reached = Events<Bool>()
            let gone = Events<ParleyError>()
            let server = try await nodes.listening { $0.onDisconnect = { gone.add($1) } }
            let client = nodes.make {
                $0.handshake = { peer in
                    reached.add(true)
                    _ = try await peer.read(exactly: 1)
                }
            }
            let dialing = Task { try await client.dial(server.address) }
            _ = try await reached.next()
            dialing.cancel()
            let thrown = await #expect(throws: ParleyError.self) { try await dialing.value }
            #expect(thrown?.code == .cancelled)
            _ = try await gone.next()
            #expect(client.peers.isEmpty)
        }
    }

    @Test(arguments: Kind.allCases) func `closing the transport ends a dial`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let reached = Events<Bool>()
            let server = try await nodes.listening()
            let client = nodes.make {
                $0.handshake = { peer in
                    reached.add(true)
                    _ = try await peer.read(exactly: 1)
                }
            }
            let dialing = Task { try await client.dial(server.address) }
            _ = try await reached.next()
            await client.close()
            let thrown = await #expect(throws: ParleyError.self) { try await dialing.value }
            #expect(thrown?.code == .closed)
        }
    }

    @Test(arguments: Kind.allCases) func `consumers may run on the transport's own thread`(kind: Kind)
        async throws
    {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let echo = Task(executorPreference: server.eventLoop) {
                for await rpc in server.consume() { try await rpc.peer.send(message: rpc.payload) }
            }
            let client = nodes.make()
            let peer = try await client.dial(server.address)
            for number in 0..<100 {
                try await peer.send(message: "\(number)")
                #expect(try await client.nextRPC().text == "\(number)")
            }
            await server.close()
            try await echo.value
        }
    }

    // MARK: Addresses

    @Test(arguments: Kind.allCases) func `address has the real port once it is bound`(kind: Kind) async throws
    {
        try await withNodes(kind) { nodes in
            let server = nodes.make { $0.listenAddress = ":0" }
            #expect(server.address == ":0")
            try await server.listenAndAccept()
            #expect(server.address.hasPrefix(":") && server.address != ":0")
            let peer = try await nodes.make().dial(server.address)
            #expect(peer.isOutbound)
            #expect(peer.remoteAddress.host == "127.0.0.1")
            try await eventually { server.peers.count == 1 }
            #expect(server.peers[0].remoteAddress == peer.localAddress)
            #expect(server.peers[0].localAddress.port == peer.remoteAddress.port)
            #expect(!server.peers[0].isOutbound)
        }
    }

    @Test(arguments: Kind.allCases)
    func `listening twice and listening on a taken port are errors`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let twice = try await error { try await server.listenAndAccept() }
            #expect(twice.code == .alreadyListening)
            #expect(twice.message.contains(server.address))
            let taken = nodes.make { $0.listenAddress = server.address }
            let inUse = try await error { try await taken.listenAndAccept() }
            #expect(inUse.code == .addressInUse)
            #expect(inUse.message.contains(server.address.split(separator: ":").last!))
            await server.close()
            try await taken.listenAndAccept()
        }
    }

    @Test(arguments: Kind.allCases, [":99999", "host", "a:b:c", "", ":-1", "127.0.0.1:0"])
    func `malformed addresses are refused before anything is dialed or bound`(kind: Kind, address: String)
        async throws
    {
        try await withNodes(kind) { nodes in
            let transport = nodes.make { $0.listenAddress = address }
            let dialed = try await error { try await transport.dial(address) }
            #expect(dialed.code == .invalidAddress)
            #expect(dialed.message.contains("\"\(address)\""))
            guard address != "127.0.0.1:0" else { return }
            #expect(try await error { try await transport.listenAndAccept() }.code == .invalidAddress)
        }
    }

    @Test(arguments: Kind.allCases) func `dialing where nobody listens is refused`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let address = server.address
            await server.close()
            let refused = try await error { try await nodes.make().dial(address) }
            #expect(refused.code == .connectionRefused)
            #expect(refused.message.contains(address))
        }
    }
}
