import Testing

@testable import Parley

/// Time-outs of idle peers, of slow peers, and of peers that vanished.
@Suite(.timeLimit(.minutes(10))) struct TimeoutTests {
    @Test(arguments: Kind.allCases)
    func `an idle peer is dropped and an active peer is kept`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<(silence: Duration, reason: ParleyError)>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.idle = .milliseconds(500)
                $0.onDisconnect = { peer, reason in ends.add((peer.statistics.silence, reason)) }
            }
            let client = nodes.make { $0.decoder = .framed }
            let (busy, idle) = (try await client.dial(server.address), try await client.dial(server.address))
            let talking = Task {
                while !Task.isCancelled {
                    try await busy.send(message: "x")
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            _ = try await idle.untilClosed()
            talking.cancel()
            _ = await talking.result
            // However slow this machine is, no peer that sent something in that time was dropped.
            for _ in 0..<2 {
                let end = try await ends.next()
                #expect(end.reason.code == .idle && end.silence >= .milliseconds(500))
            }
            #expect(server.statistics.disconnects == [.idle: 2])
        }
    }

    @Test(arguments: Kind.allCases)
    func `a deadline of a connection that has ended keeps no loop busy`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make { $0.decoder = .framed }
            let peer = try await client.dial(server.address)
            try await eventually { server.peers.count == 1 }
            await server.peers[0].close()
            _ = try await peer.untilClosed()
            let loop = try #require(peer as? Connection).loop
            func turns() async -> UInt64 {
                await withCheckedContinuation { done in
                    loop.execute { done.resume(returning: loop.turnNumber) }
                }
            }
            peer.setReadDeadline(.now + .milliseconds(10))
            try await Task.sleep(for: .milliseconds(30))
            let before = await turns()
            try await Task.sleep(for: .milliseconds(70))
            #expect(await turns() < before + 350)
        }
    }

    @Test func `a message that stops is timed out, whatever arrives beside it`() async throws {
        try await withNodes(.tcp, .multiplexed) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.timeouts.frame = .milliseconds(300)
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            let raw = try RawSocket(connectingTo: server.address)
            defer { raw.close() }
            var lines = WireBuffer()
            for line in [Multistream.header, Multiplexed.messages] { Multistream.write(line, into: &lines) }
            let begun = [FramedDecoder.FrameType.message.rawValue, 0, 0, 0, 100] + patterned(50)
            try raw.write(data(1, lines.contiguous + begun, .syn))
            var number: UInt32 = 0
            while ends.soFar.isEmpty {
                number += 1
                try? raw.write(ping(number))
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(ends.soFar.first?.code == .timedOut)
        }
    }

    @Test(arguments: Kind.allCases)
    func `heartbeats alone do not keep a peer from being idle`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.idle = .seconds(3_600)
                $0.timeouts.heartbeat = Heartbeat(interval: .milliseconds(50), maxMissed: .max)
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            let client = nodes.make { $0.decoder = .framed }
            let peer = try await client.dial(server.address)
            // Pings were sent and answered.
            try await eventually {
                let traffic = peer.statistics.traffic
                return traffic.bytesReceived >= 13 && traffic.bytesSent >= 13
            }
            let connection = try #require(server.peers.first as? Connection)
            try await eventually { connection.statistics.traffic.bytesReceived >= 13 }
            #expect(connection.outbound.withLock { $0.queue.lastHanded } == 0, "they are no activity")
            await connection.look(behind: 7_200_000)
            #expect(try await ends.next().code == .idle)
        }
    }

    @Test(arguments: Kind.allCases)
    func `a peer paused by the inbox is not idle while it has unread bytes`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 1
                $0.timeouts.idle = .seconds(3_600)
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            let flood = Task { for _ in 0..<2_000 { try await peer.send(message: patterned(4_096)) } }
            try await eventually { server.statistics.pausedPeers == 1 }
            let connection = try #require(server.peers.first as? Connection)
            try await eventually { peer.statistics.traffic.sendWaits > 0 }
            // Before that the bytes that block the sender may still be on their way.
            try await eventually { await connection.hasUnreadBytes }
            await connection.lookAfterArrival(behind: 7_200_000)
            #expect(ends.soFar.isEmpty)
            for _ in 0..<2_000 { _ = try await server.nextRPC() }
            try await flood.value
            await connection.look(behind: 7_200_000)
            #expect(try await ends.next().code == .idle)
        }
    }

    @Test(arguments: Kind.allCases)
    func `heartbeats measure round trips, also while a stream is open`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make {
                $0.decoder = .framed
                $0.timeouts.heartbeat = Heartbeat(interval: .milliseconds(20), maxMissed: .max)
            }
            let peer = try await client.dial(server.address)
            try await eventually { peer.statistics.roundTripTime != nil }
            #expect(try #require(peer.statistics.roundTripTime) < .seconds(30))
            let writer = try await peer.openStream()
            try await writer.write(patterned(1_000))
            let opening = try await server.nextRPC()
            let sent = peer.statistics.traffic.bytesSent
            // Pings arrive inside the stream; its reader gets only the stream's bytes.
            try await eventually { peer.statistics.traffic.bytesSent >= sent + 3 * 13 }
            try await writer.write(patterned(1_000, seed: 2))
            try await writer.finish()
            let bytes = try await opening.peer.read(exactly: 2_000)
            #expect(same(bytes, patterned(1_000) + patterned(1_000, seed: 2)))
            #expect(try await opening.peer.read(upTo: 1) == nil)
            opening.peer.closeStream()
            try await peer.send(message: "behind")
            #expect(try await server.nextRPC().text == "behind")
            try await eventually { peer.statistics.unansweredHeartbeats == 0 }
        }
    }

    @Test func `a peer that answers no heartbeat is dropped, even with an open stream`() async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.heartbeat = Heartbeat(interval: .milliseconds(100), maxMissed: 2)
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            let socket = try RawSocket(connectingTo: server.address)
            #expect(try await socket.read(exactly: 13).prefix(5) == [6, 0, 0, 0, 8])
            #expect(try await ends.next().code == .heartbeatLost)
            #expect(server.statistics.disconnects == [.heartbeatLost: 1])
        }
    }

    @Test func `a ping is answered with its token, also inside a stream`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([6, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])
            #expect(try await socket.read(exactly: 13) == [7, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8])
            try socket.write([2, 0, 0, 0, 0, 3, 0, 0, 0, 1, 9])
            try socket.write([6, 0, 0, 0, 8, 8, 7, 6, 5, 4, 3, 2, 1, 4, 0, 0, 0, 0])
            let opening = try await server.nextRPC()
            #expect(try await opening.peer.read(upTo: 10) == [9])
            #expect(try await opening.peer.read(upTo: 10) == nil)
            #expect(try await socket.read(exactly: 13) == [7, 0, 0, 0, 8, 8, 7, 6, 5, 4, 3, 2, 1])
            opening.peer.closeStream()
        }
    }

    @Test func `a peer that is not read, because the inbox is full, hears that this side lives`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            try await peer.send(message: "fills it")
            try await eventually { server.statistics.pausedPeers == 1 }
            let heard = peer.statistics.traffic.bytesReceived
            let paused = try #require(server.peers.first as? Connection)
            // It stays in the socket, as a ping would.
            try await peer.send(message: "has no room")
            try await eventually { await paused.hasUnreadBytes }
            await paused.look(behind: 2_000)
            try await eventually { peer.statistics.traffic.bytesReceived == heard + 13 }
            #expect(try await server.nextRPC().text == "fills it")
        }
    }

    @Test func `wire forms without heartbeats are sent no pings`() async throws {
        try await withNodes(.tcp, .unframed) { nodes in
            let server = try await nodes.listening {
                $0.timeouts.heartbeat = Heartbeat(interval: .milliseconds(10), maxMissed: 1)
            }
            let peer = try await nodes.make().dial(server.address)
            try await Task.sleep(for: .milliseconds(300))
            try await peer.send(message: "still here")
            let rpc = try await server.nextRPC()
            #expect(rpc.text == "still here")
            #expect(rpc.peer.statistics.traffic.bytesSent == 0)
            #expect(rpc.peer.statistics.unansweredHeartbeats == 0)
        }
    }

    @Test(arguments: Kind.allCases)
    func `a peer that acknowledges nothing is dropped, and its writers throw`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.writeStall = .milliseconds(500)
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            let deaf = nodes.make {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            let peer = try await deaf.dial(server.address)
            try await peer.send(message: "hello")
            let rpc = try await server.nextRPC()
            let failure = try await error {
                while true { try await rpc.peer.send(message: patterned(50_000)) }
            }
            #expect(failure.code == .writeStalled)
            #expect(try await ends.next().code == .writeStalled)
            #expect(server.statistics.disconnects == [.writeStalled: 1])
        }
    }

    @Test func `a slow reader is not stalled`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.writeStall = .seconds(3_600)
                $0.sendHighWaterBytes = 64 << 20
            }
            let slow = nodes.make {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            let peer = try await slow.dial(server.address)
            try await peer.send(message: "hello")
            let rpc = try await server.nextRPC()
            let connection = try #require(rpc.peer as? Connection)
            // More than the sockets hold, and checks that span five hours. Two checks may come before the
            // node has filled the sockets.
            let count = 20
            for _ in 0..<count { try await rpc.peer.send(message: patterned(1 << 20)) }
            for number in 1...count {
                #expect(try await slow.nextRPC().payload.count == 1 << 20)
                let taken = UInt64(number) << 20
                try await eventually { slow.statistics.traffic.bytesReceived >= taken }
                await connection.look(behind: UInt64(number) * 1_000_000)
            }
            #expect(server.statistics.disconnects.isEmpty)
        }
    }

    @Test(arguments: Kind.allCases)
    func `a send without room throws after writeTimeout, and the peer is kept`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.writeTimeout = .milliseconds(300)
            }
            let deaf = nodes.make {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            let peer = try await deaf.dial(server.address)
            try await peer.send(message: "hello")
            let rpc = try await server.nextRPC()
            var accepted = 0
            let failure = try await error {
                while true {
                    try await rpc.peer.send(message: patterned(50_000))
                    accepted += 1
                }
            }
            #expect(failure.code == .timedOut && failure.message.contains("room"))
            #expect(server.statistics.inboundPeers == 1)
            // Everything that was accepted arrives, and then sends have room again.
            for _ in 0..<accepted { #expect(try await deaf.nextRPC().payload.count == 50_000) }
            // The loop counts the bytes as written a moment after the socket took them.
            try await eventually { rpc.peer.statistics.unsentBytes == 0 }
            try await rpc.peer.send(message: "again")
            #expect(try await deaf.nextRPC().text == "again")
        }
    }

    @Test func `a send that finds room before it waits does not wait`() async throws {
        try await withNodes(.memory) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.sendHighWaterBytes = 4 << 20
                $0.timeouts.close = .milliseconds(100)
            }
            let deaf = nodes.make {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            let peer = try await deaf.dial(server.address)
            try await peer.send(message: "hello")
            let connection = try #require(try await server.nextRPC().peer as? Connection)
            func unwritten() -> Int { connection.outbound.withLock { $0.queue.unwrittenBytes } }
            // The first one fills the inbox, the link has the second one, and the queue has what follows.
            let message = patterned(1 << 20)[...]
            try await connection.send(message: message)
            try await eventually { deaf.statistics.inboxRPCs == 1 }
            try await connection.send(message: message)
            try await eventually { connection.outbound.withLock { $0.queue.isEmpty } }
            var refusal: Connection.Refusal?
            while refusal == nil { refusal = try connection.submit(message: message) }
            let marks = server.itsNode.sendMarks
            #expect(unwritten() >= marks.high)
            // Now the second message is written: there is room again, but waiting senders are not woken yet.
            #expect(try await deaf.nextRPC().payload.count == 1 << 20)
            try await eventually { unwritten() < marks.high }
            #expect(unwritten() > marks.low)
            let refused = try #require(refusal)
            try await connection.waitToSend(refused)
            #expect(try connection.submit(message: message, waited: refused) == nil)
        }
    }

    @Test func `waiting behind a stream does not count as waiting for room`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make {
                $0.decoder = .framed
                $0.writeTimeout = .milliseconds(100)
            }
            let peer = try await client.dial(server.address)
            let writer = try await peer.openStream()
            let message = Task { try await peer.send(message: "behind") }
            try await eventually { peer.statistics.traffic.sendWaits > 0 }
            try await Task.sleep(for: .milliseconds(200))
            try await writer.finish()
            try await message.value
            let opening = try await server.nextRPC()
            opening.peer.closeStream()
            #expect(try await server.nextRPC().text == "behind")
        }
    }

    @Test func `a reset is noticed while nothing is read from the peer`() async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 1
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            let socket = try RawSocket(connectingTo: server.address)
            // More than one read brings, so that a part waits in the kernel, and the beginning of another
            // message.
            var flood: [UInt8] = []
            for number in UInt8(0)..<200 { flood += [1, 0, 0, 0x10, 0, number] + patterned(4_095) }
            flood += [1, 0, 0, 0x10, 0, 7, 7, 7]
            // All of it, or what the sockets have room for.
            var rest = flood[...]
            try await eventually {
                let before = rest.count
                rest.removeFirst(socket.writeWhatFits(rest))
                return server.statistics.pausedPeers == 1 && (rest.isEmpty || rest.count == before)
            }
            socket.reset()
            #expect(try await ends.next().code == .connectionReset)
            // Messages that were complete when the reset came are delivered, also those that were not read
            // yet.
            let complete = min(200, server.statistics.traffic.bytesReceived / 4_101)
            #expect(complete > 16, "one read brings 16")
            for number in 0..<complete {
                #expect(try await server.nextRPC().payload.first == UInt8(number))
            }
            #expect(server.statistics.inboxRPCs == 0)
        }
    }

    @Test func `deadlines are checked in the order of their times`() {
        var queue = DeadlineHeap()
        var seed: UInt64 = 7
        for number in 0..<1_000 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1
            queue.push(.init(due: seed >> 40, number: UInt64(number)))
        }
        #expect(queue.pop(at: 0) == nil)
        var last: UInt64 = 0
        var count = 0
        while let entry = queue.pop(at: .max) {
            #expect(entry.due >= last)
            last = entry.due
            count += 1
        }
        #expect(count == 1_000 && queue.first == nil)
    }
}
