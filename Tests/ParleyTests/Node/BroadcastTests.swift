import Testing

@testable import Parley

/// Broadcasts, and many senders at once: slow peers hold up nobody.
@Suite(.timeLimit(.minutes(10))) struct BroadcastTests {
    @Test(arguments: Kind.allCases)
    func `a full inbox pauses the peers that fill it, and they resume in turn`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 8
            }
            let client = nodes.make { $0.decoder = .framed }
            var floods: [Task<Void, any Error>] = []
            // Small enough that there is room for thousands where they wait to be written, and no smaller.
            let message = patterned(100)
            for _ in 0..<4 {
                let peer = try await client.dial(server.address)
                floods.append(Task { while true { try await peer.send(message: message) } })
            }
            let quiet = try await client.dial(server.address)
            try await eventually {
                server.statistics.pausedPeers == 4 && server.statistics.inboundPeers == 5
            }
            // Each peer has sent as much as will be taken, so a thread that has to wait does not fall behind.
            try await eventually {
                client.peers.filter { $0.statistics.traffic.messagesSent >= 4_000 }.count == 4
            }
            for _ in 0..<3 {
                for loop in client.eventLoops { await Task(executorPreference: loop) {}.value }
            }
            var counts: [String: Int] = [:]
            var isFair: Bool { counts.count == 4 && counts.values.allSatisfy { $0 >= 200 } }
            // With more loops than cores, the system's scheduler may favour some loops for milliseconds.
            let most = kind == .loops ? 400_000 : 4_000
            for _ in 0..<most where !isFair { counts[try await server.nextRPC().from, default: 0] += 1 }
            // A peer that always has more to send than fits must not starve the others.
            #expect(isFair, "\(counts)")
            try await quiet.send(message: "me too")
            // The message has reached the server, as those of the others have.
            let late = try #require(server.peers.first { $0.remoteAddress == quiet.localAddress })
            try await eventually { late.statistics.traffic.bytesReceived > 0 }
            var isHeard = false
            for _ in 0..<most where !isHeard { isHeard = try await server.nextRPC().text == "me too" }
            #expect(isHeard)
            for flood in floods { flood.cancel() }
            for flood in floods { _ = await flood.result }
        }
    }

    @Test func `when the time is up only the waits that it cancels are too late`() {
        let peer = NoPeer()
        let late = ParleyError.afterTime(.cancelled("sending"), for: peer, .seconds(2))
        #expect(late.code == .timedOut && late.message.contains("2.0 seconds"))
        let gone = ParleyError(.connectionReset, "the connection is gone")
        #expect(ParleyError.afterTime(gone, for: peer, .seconds(2)) == gone)
    }

    @Test(arguments: Kind.allCases)
    func `a broadcast does not wait, and names the peers that did not get it`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.sendHighWaterBytes = 100_000
                // What the deaf one does not read is not waited for at the end.
                $0.timeouts.close = .milliseconds(100)
            }
            let good = nodes.make { $0.decoder = .framed }
            let deaf = nodes.make {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            for client in [good, deaf] {
                let peer = try await client.dial(server.address)
                try await peer.send(message: "hello")
            }
            let streaming = nodes.make { $0.decoder = .framed }
            try await streaming.dial(server.address).send(message: "stream")
            var writer: (any StreamWriter)?
            for _ in 0..<3 {
                let rpc = try await server.nextRPC()
                if rpc.text == "stream" { writer = try await rpc.peer.openStream() }
            }
            // One peer has an open stream, and one stops reading at some point.
            var last = Broadcast()
            var received = 0
            // Check only then: a peer also has no room while its loop has not written yet, or while the other
            // side's loop has not read yet.
            var stuckInARow = 0
            repeat {
                last = server.broadcast(message: patterned(50_000))
                let stuck = last.failures.filter { $0.error.code == .wouldBlock }
                #expect(stuck.count == last.failures.count && last.accepted + stuck.count == 3)
                try await eventually { good.statistics.traffic.messagesReceived > received }
                _ = try await good.nextRPC()
                received += 1
                for loop in server.eventLoops { await Task(executorPreference: loop) {}.value }
                let isStuck = last.failures.count == 2 && deaf.statistics.pausedPeers == 1
                stuckInARow = isStuck ? stuckInARow + 1 : 0
            } while stuckInARow < 20
            #expect(last.accepted == 1)
            try await writer?.finish()
            #expect(server.broadcast(message: "after").accepted == 2)
            let tooLong = server.broadcast(message: patterned(17 << 20)).failures
            #expect(tooLong.count == 3 && tooLong.allSatisfy { $0.error.code == .messageTooLong })
        }
    }

    @Test func `a broadcast leaves those out that are being closed`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.sendHighWaterBytes = 64 << 20
                $0.timeouts.close = .seconds(600)
            }
            let deaf = try RawSocket(connectingTo: server.address)
            try await eventually { server.peers.count == 1 }
            let closing = server.peers[0]
            try await closing.send(message: patterned(16 << 20))
            async let closed: Void = closing.close()
            _ = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            try await eventually { server.peers.count == 2 }
            try await eventually { (closing as? Connection)?.isLive == false }
            let broadcast = server.broadcast(message: "hello")
            #expect(broadcast.accepted == 1 && broadcast.failures.isEmpty)
            #expect(server.openPeers.count == 1)
            deaf.close()
            await closed
        }
    }

    @Test func `a shortage of descriptors is counted and logged once for each burst and operation`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let log = Log()
            let transport = try #require(nodes.make { $0.logger = log.logger } as? TCPTransport)
            let error = ParleyError(.tooManyOpenFiles, "no descriptors")
            for _ in 0..<100 {
                transport.node.reportShortage(error, during: "accept")
                transport.node.reportShortage(error, during: "file")
            }
            #expect(transport.statistics.shortages == 2)
            let lines = log.lines("descriptors exhausted")
            #expect(lines.map { $0.metadata["operation"]?.description } == ["accept", "file"])
            #expect(lines.allSatisfy { $0.level == .error })
        }
    }

    @Test func `a broadcast that the send buffer has no room for leaves nobody waiting`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.limits.sendBufferBytes = 256 << 10
            }
            let client = nodes.make { $0.decoder = .framed }
            for _ in 0..<20 { _ = try await client.dial(server.address) }
            try await eventually { server.peers.count == 20 }
            let budget = server.itsNode.sendBudget
            // Nothing is written meanwhile.
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            var accepted = 0
            var broadcast = Broadcast()
            repeat {
                broadcast = server.broadcast(message: patterned(10_000))
                accepted += broadcast.accepted
            } while broadcast.accepted > 0
            for _ in 0..<10 { #expect(server.broadcast(message: patterned(10_000)).failures.count == 20) }
            #expect(budget?.waitingCount == 0)
            // A sender that waits is in the queue once, and leaves it.
            let peer = server.peers[0]
            let sending = Task { try await peer.send(message: "wait") }
            try await eventually { budget?.waitingCount == 1 }
            #expect(server.broadcast(message: patterned(10_000)).failures.count == 20)
            #expect(budget?.waitingCount == 1)
            held.letGo()
            try await sending.value
            try await eventually { budget?.waitingCount == 0 }
            for _ in 0...accepted { _ = try await client.nextRPC() }
            try await eventually { budget?.freeBytes == 256 << 10 }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a broadcast waits behind open streams when asked, side by side and in order`(kind: Kind)
        async throws
    {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let clients = (0..<3).map { _ in nodes.make { $0.decoder = .framed } }
            for client in clients { try await client.dial(server.address) }
            try await eventually { server.peers.count == 3 }
            var writers: [any StreamWriter] = []
            for peer in server.peers.prefix(2) { writers.append(try await peer.openStream()) }

            let late = await server.broadcast(message: "late", within: .milliseconds(20))
            #expect(late.accepted == 1)
            #expect(late.failures.map(\.error.code) == [.timedOut, .timedOut])
            #expect(Set(late.failures.map { $0.peer.connectionID }).count == 2)

            let cancelled = Task { await server.broadcast(message: "cancelled", within: .seconds(1_000)) }
            try await eventually { server.statistics.traffic.messagesSent == 2 }
            cancelled.cancel()
            #expect(await cancelled.value.failures.map(\.error.code) == [.cancelled, .cancelled])

            async let first = server.broadcast(message: "first", within: .seconds(1_000))
            try await eventually { server.statistics.traffic.messagesSent == 3 }
            for writer in writers { try await writer.finish() }
            #expect(await first.accepted == 3)
            #expect(await server.broadcast(message: "second", within: .seconds(1_000)).accepted == 3)
            for client in clients {
                var texts: [String] = []
                while texts.last != "second" {
                    let rpc = try await client.nextRPC()
                    if rpc.stream { rpc.peer.closeStream() } else { texts.append(rpc.text) }
                }
                #expect(texts.suffix(2) == ["first", "second"])
            }
            let tooLong = await server.broadcast(message: patterned(17 << 20), within: .seconds(1_000))
            #expect(tooLong.failures.map(\.error.code) == Array(repeating: .messageTooLong, count: 3))
        }
    }
}
