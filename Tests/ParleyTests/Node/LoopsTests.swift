import Testing

@testable import Parley

#if canImport(Glibc)
    import Glibc
#endif

/// Behaviour of nodes with several event loops. The tests of all nodes run with several loops too.
@Suite(.timeLimit(.minutes(10))) struct LoopsTests {
    private func counts(_ transport: any Transport) -> [Int] {
        var counts = Array(repeating: 0, count: transport.eventLoops.count)
        for case let peer as Connection in transport.peers { counts[peer.context.index] += 1 }
        return counts
    }

    @Test func `accepted peers are spread evenly over the loops, also after others leave`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.loops = 4 }
            let client = nodes.make()
            for _ in 0..<12 { try await client.dial(server.address) }
            try await eventually { server.peers.count == 12 }
            #expect(counts(server) == [3, 3, 3, 3])

            let leaving = server.peers.filter { ($0 as? Connection)?.context.index == 2 }
            for peer in leaving { await peer.close() }
            // A peer's place on its loop is free a moment after it has ended, and before its end is counted.
            try await eventually { counts(server) == [3, 3, 0, 3] && server.statistics.peers == 9 }
            for _ in 0..<3 { try await client.dial(server.address) }
            try await eventually { server.peers.count == 12 }
            #expect(counts(server) == [3, 3, 3, 3])
        }
    }

    @Test func `dialed peers are spread evenly over the loops, and failed dials do not count`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make { $0.loops = 4 }
            let nobody = try await nodes.listening()
            await nobody.close()
            for _ in 0..<8 {
                #expect(try await error { try await client.dial(nobody.address) }.code == .connectionRefused)
                try await client.dial(server.address)
            }
            #expect(counts(client) == [2, 2, 2, 2])
        }
    }

    @Test func `dials without a task are spread over the loops`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening()
            let client = try #require(nodes.make { $0.loops = 3 } as? TCPTransport)
            let dialed = Events<Result<Connection, any Error>>()
            for _ in 0..<6 { _ = try client.dial(server.address) { dialed.add($0) } }
            for _ in 0..<6 { _ = try await dialed.next().get() }
            #expect(counts(client) == [2, 2, 2])
        }
    }

    @Test func `a loop has no thread before its first peer and none after close`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.loops = 3 }
            for _ in 0..<2 { try await nodes.make().dial(server.address) }
            try await eventually { server.peers.count == 2 }
            #expect(server.eventLoops.map(\.hasStarted) == [true, true, false])
            await server.close()
            #expect(server.eventLoops.map(\.hasEndedCleanly) == [true, true, true])
        }
    }

    @Test func `each message of each peer arrives once and in order, and the inbox stays bounded`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let capacity = 16
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.loops = 4
                $0.inboxCapacity = capacity
            }
            let client = nodes.make {
                $0.decoder = .framed
                $0.loops = 2
            }
            let (peers, count) = (8, 2_000)
            let senders = (0..<peers).map { _ in
                Task {
                    let peer = try await client.dial(server.address)
                    for number in 0..<count { try await peer.send(message: "\(number)") }
                }
            }
            var next: [String: Int] = [:]
            for _ in 0..<peers * count {
                let rpc = try await server.nextRPC()
                try #require(rpc.text == "\(next[rpc.from, default: 0])")
                next[rpc.from, default: 0] += 1
                try #require(server.statistics.inboxRPCs <= capacity)
            }
            #expect(next.count == peers && next.values.allSatisfy { $0 == count })
            for sender in senders { try await sender.value }
        }
    }

    @Test func `a consumer on each loop gets its loop's RPCs on that loop, and ends with the node`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let server = try await listening(nodes, loops: 3)
            let taken = Events<(from: String, isAtHome: Bool, thread: UInt)>()
            let consuming = Task {
                try await server.consumeOnEachLoop { rpcs in
                    for await rpc in rpcs {
                        let home = (rpc.peer as? Connection)?.loop
                        taken.add((rpc.from, home?.isCurrent == true, UInt(pthread_self())))
                    }
                }
            }
            let client = nodes.make { $0.decoder = .framed }
            for _ in 0..<6 {
                let peer = try await client.dial(server.address)
                for _ in 0..<10 { try await peer.send(message: "hello") }
            }
            var threads: [String: Set<UInt>] = [:]
            for _ in 0..<60 {
                let one = try await taken.next()
                #expect(one.isAtHome)
                threads[one.from, default: []].insert(one.thread)
            }
            #expect(threads.count == 6 && threads.values.allSatisfy { $0.count == 1 })
            #expect(threads.values.reduce(into: Set()) { $0.formUnion($1) }.count == 3)
            await server.close()
            try await consuming.value
        }
    }

    @Test
    func `a failing consumer cancels those of the other loops, and later RPCs are kept`()
        async throws
    {
        try await withNodes(.tcp) { nodes in
            let server = try await listening(nodes, loops: 2)
            let client = nodes.make { $0.decoder = .framed }
            let peers = [try await client.dial(server.address), try await client.dial(server.address)]
            let consuming = Task {
                try await server.consumeOnEachLoop { rpcs in
                    for await rpc in rpcs where rpc.text == "fail" { throw CancellationError() }
                }
            }
            try await peers[0].send(message: "fail")
            await #expect(throws: CancellationError.self) { try await consuming.value }
            for peer in peers { try await peer.send(message: "later") }
            for _ in peers { #expect(try await server.nextRPC().text == "later") }
        }
    }

    private func listening(_ nodes: Nodes, loops: Int) async throws -> TCPTransport {
        let transport = try await nodes.listening {
            $0.decoder = .framed
            $0.loops = loops
        }
        return try #require(transport as? TCPTransport)
    }

    /// Records on which thread each event comes.
    private final class Listening: PeerObserver {
        let takesRPCs = true
        let threads = Lock<[UInt64: Set<UInt>]>([:])
        let gone = Events<UInt64>()

        private func note(_ peer: Connection) {
            threads.withLock { _ = $0[peer.number, default: []].insert(UInt(pthread_self())) }
        }

        func peerDidConnect(_ peer: Connection) { note(peer) }
        func didReceive(_ runs: [MessageRun], from peer: Connection) { note(peer) }
        func didReceive(_ bytes: Span<UInt8>, _ messages: [Range<Int>], from peer: Connection) { note(peer) }
        func peerDidDisconnect(_ peer: Connection, _ reason: ParleyError) {
            note(peer)
            gone.add(peer.number)
        }
    }

    @Test func `each peer's events come on one thread, and peers have different threads`() async throws {
        try await withNodes(.tcp) { nodes in
            let observer = Listening()
            var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
            options.loops = 3
            // With a handshake, which ends on another thread.
            options.handshake = { _ in await Task.yield() }
            let server = TCPTransport(options, observer: observer)
            try await server.listenAndAccept()
            let client = nodes.make { $0.decoder = .framed }
            let peers = 6
            for _ in 0..<peers {
                let peer = try await client.dial(server.address)
                for _ in 0..<100 { try await peer.send(message: "hello") }
                await peer.close()
                _ = try await observer.gone.next()
                try await client.dial(server.address)
            }
            try await eventually { server.peers.count == peers }
            await server.close()
            let threads = observer.threads.withLock { $0 }
            #expect(threads.count == 2 * peers)
            #expect(threads.values.allSatisfy { $0.count == 1 })
            #expect(Set(threads.values).count == 3)
        }
    }

    @Test func `a peer's executor is its own loop, where blocking calls are refused`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.loops = 3 }
            for _ in 0..<3 { try await nodes.make().dial(server.address) }
            try await eventually { server.peers.count == 3 }
            var loops: Set<ObjectIdentifier> = []
            for case let peer as Connection in server.peers {
                let isThere = await Task(executorPreference: peer.executor) { peer.loop.isCurrent }.value
                #expect(isThere)
                loops.insert(ObjectIdentifier(peer.loop))
                let refusal = await Task(executorPreference: peer.executor) { () -> ParleyError? in
                    do throws(ParleyError) { _ = try peer.read(upTo: 1, .until(nil)) } catch { return error }
                    return nil
                }.value
                #expect(refusal?.code == .wouldDeadlock)
            }
            #expect(loops.count == 3)
            let executors = try #require(server as? TCPTransport).executors.map {
                ObjectIdentifier($0 as AnyObject)
            }
            #expect(Set(executors) == loops)
        }
    }

    @Test func `maxPeers counts the peers of all loops`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.loops = 4
                $0.limits.maxPeers = 3
            }
            let client = nodes.make { $0.onPeer = { try await $0.send(message: "here") } }
            var peers: [any Peer] = []
            for _ in 0..<4 { peers.append(try await client.dial(server.address)) }
            try await eventually { server.statistics.acceptPause == .maxPeers }
            for _ in 0..<3 { #expect(try await server.nextRPC().text == "here") }
            #expect(server.peers.count == 3)
            await peers[0].close()
            #expect(try await server.nextRPC().text == "here")
        }
    }

    @Test func `close ends connections that are being passed to another loop`() async throws {
        for _ in 0..<20 {
            try await withNodes(.tcp) { nodes in
                let server = try await nodes.listening { $0.loops = 3 }
                let client = nodes.make { $0.loops = 2 }
                let dials = (0..<12).map { _ in Task { try await client.dial(server.address) } }
                _ = try? await dials[0].value
                async let closed: Void = client.close()
                await server.close()
                await closed
                for dial in dials { _ = await dial.result }
                #expect(server.statistics.handshaking == 0 && client.statistics.dialing == 0)
            }
        }
    }
}
