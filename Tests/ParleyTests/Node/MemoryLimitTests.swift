import Testing

@testable import Parley

/// Limits of the memory that peers can make a node use.
@Suite(.timeLimit(.minutes(10))) struct MemoryLimitTests {
    @Test(arguments: Kind.allCases)
    func `only one RPC exceeds the inbox's bytes, however much a read brings`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacityBytes = 3_000
            }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            let flood = Task { for _ in 0..<500 { try await peer.send(message: patterned(1_000)) } }
            try await eventually { server.statistics.pausedPeers == 1 }
            #expect(server.statistics.inboxBytes <= 3_000 + 1_000)
            for _ in 0..<500 {
                _ = try await server.nextRPC()
                #expect(server.statistics.inboxBytes <= 3_000 + 1_000)
            }
            try await flood.value
        }
    }

    @Test(arguments: Kind.allCases)
    func `a message over the limit is not sent, and receiving one drops the peer`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.limits.maxMessageBytes = 1_000
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            let modest = try await nodes.make {
                $0.decoder = .framed
                $0.limits.maxMessageBytes = 1_000
            }.dial(server.address)
            #expect(
                try await error { try await modest.send(message: patterned(1_001)) }.code == .messageTooLong
            )
            try await modest.send(message: patterned(1_000))
            #expect(try await server.nextRPC().payload.count == 1_000)
            let immodest = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            try await immodest.send(message: patterned(1_001))
            let reason = try await ends.next()
            #expect(reason.code == .messageTooLong && reason.message.contains("1001"))
            #expect(server.statistics.disconnects == [.messageTooLong: 1])
        }
    }

    @Test func `a frame over the limit is refused when its length is known, in every wire form`() {
        struct Announcing: Decoder {
            let name = "inOnPeer"
            mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
                .incomplete(frameBytes: 1 << 30)
            }
            mutating func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) {}
        }
        var state = PeerState(
            decoder: Announcing(),
            bounds: .init(maxMessageBytes: WireForm { Announcing() }.maxMessageBytes)
        )
        state.finishHandshake()
        state.receive([0])
        let error = #expect(throws: ParleyError.self) { _ = try state.decode(limit: 10) { _, _ in } }
        #expect(error?.code == .messageTooLong)
        #expect(state.bufferedBytes == 0)
    }

    @Test(arguments: Kind.allCases)
    func `a stream is read ahead at most as far as the option says`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.limits.readAheadBytes = 32 << 10
            }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            let writing = Task {
                try await peer.withStream { try await $0.write(patterned(4 << 20)) }
            }
            let opening = try await server.nextRPC()
            _ = try await opening.peer.read(upTo: 1)
            try await eventually { opening.peer.statistics.unreadBytes > 0 }
            for _ in 0..<100 {
                // One read of the socket may exceed the limit.
                #expect(opening.peer.statistics.unreadBytes <= (32 + 64) << 10)
                _ = try await opening.peer.read(upTo: 1_000)
            }
            opening.peer.closeStream()
            try await writing.value
        }
    }

    @Test(arguments: Kind.allCases)
    func `the unread bytes of all peers are bounded, and the peer that exceeds the bound is dropped`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.limits.receiveBufferBytes = 1 << 20
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            let client = nodes.make { $0.decoder = .framed }
            let good = try await client.dial(server.address)
            // The beginnings of two large frames: neither is over a limit of its own.
            let partial = nodes.make {
                $0.decoder = .framed
                $0.handshake = { peer in try await peer.send([1, 0, 0x20, 0, 0] + patterned(700 << 10)) }
            }
            for _ in 0..<2 { _ = try await partial.dial(server.address) }
            #expect(try await ends.next().code == .receiveBufferFull)
            try await good.send(message: "still here")
            #expect(try await server.nextRPC().text == "still here")
            try await eventually { server.statistics.unreadBytes <= 1 << 20 }
            #expect(server.statistics.disconnects == [.receiveBufferFull: 1])
        }
    }

    @Test(arguments: Kind.everyRoad)
    func `peers that do not read cannot use up the send buffer of the others`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.limits.sendBufferBytes = 256 << 10
                // No limit of a single peer is reached here: only the transport's limit blocks these sends.
                $0.sendHighWaterBytes = 64 << 20
            }
            // This node never consumes: its inbox fills, and it stops reading.
            let deaf = nodes.make {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            var stuck: [Task<Void, any Error>] = []
            for _ in 0..<3 {
                let peer = try await deaf.dial(server.address)
                try await peer.send(message: "hello")
                let rpc = try await server.nextRPC()
                stuck.append(Task { while true { try await rpc.peer.send(message: patterned(20_000)) } })
            }
            let node = server.itsNode
            // The statistics visit one peer after another: two equal snapshots show a state of all peers at
            // one time. Each peer leaves a part of the budget to others, so not all of it is taken.
            var looks = [server.statistics]
            try await eventually {
                looks = [looks.last!, server.statistics]
                return looks[0].traffic == looks[1].traffic
                    && node.sendBudget.freeBytes < 2 * SendBudget.chunkBytes
                    && server.peers.allSatisfy {
                        ($0 as? Connection)?.outbound.withLock { $0.sendWaiters.count } == 1
                    }
            }
            #expect(looks[1].unsentBytes < 256 << 10 + 4 * (16 + 20) << 10)
            // Another peer still has its first 16 KiB.
            let good = nodes.make { $0.decoder = .framed }
            let peer = try await good.dial(server.address)
            try await peer.send(message: "hello")
            let rpc = try await server.nextRPC()
            for number in 0..<100 {
                try await rpc.peer.send(message: "\(number)")
                #expect(try await good.nextRPC().text == "\(number)")
            }
            for task in stuck { task.cancel() }
            await deaf.close()
            for task in stuck { _ = await task.result }
            try await eventually { node.sendBudget.freeBytes == 256 << 10 }
            // The budget is free again for new peers.
            let writing = Task { try await rpc.peer.send(message: patterned(1 << 20)) }
            #expect(try await good.nextRPC().payload.count == 1 << 20)
            try await writing.value
        }
    }

    @Test func `room that comes before a sender waits for it is not missed`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make { $0.decoder = .framed }
            let connection = try #require(try await client.dial(server.address) as? Connection)
            let held = await HeldLoop(client.eventLoop)
            defer { held.letGo() }
            let budget = connection.node.sendBudget!
            let all = budget.freeBytes
            budget.charge(all)
            let message = patterned(16_000)[...]
            var refusal: Connection.Refusal?
            for _ in 0..<10 where refusal == nil { refusal = try connection.submit(message: message) }
            let refused = try #require(refusal)
            _ = connection.beginWait(refused)
            #expect(budget.waitingCount == 1)
            // The sender that was refused is about to wait.
            budget.giveBack(all)
            #expect(connection.outbound.withLock { $0.sendWaiters.epoch } != refused.epoch)
            connection.giveUpWait(refused)
        }
    }

    @Test func `a pipe in memory fills up as a socket does`() async throws {
        try await withNodes(.memory) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 1
            }
            let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            let connection = try #require(peer as? Connection)
            try await peer.send(message: "one")
            try await peer.send(message: "two")
            try await eventually { server.statistics.pausedPeers == 1 }
            while try peer.trySend(message: patterned(10_000)) {}
            // What the loop was asked to write is written then, as far as there is room.
            for _ in 0..<3 { await connection.onLoop {} }
            #expect(peer.statistics.unsentBytes > InMemoryLink.capacityBytes)
        }
    }
}
