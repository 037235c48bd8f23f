import ParleyNoise
import Testing

@testable import Parley

/// Reconnecting, and duplicate connections between two nodes.
@Suite(.timeLimit(.minutes(10))) struct ReconnectionTests {
    private static let quick = Backoff(initial: .milliseconds(10), longest: .milliseconds(50))

    @Test func `waits double up to the longest and are uniform below their ceiling`() {
        let backoff = Backoff()
        let ceilings = (1...12).map { backoff.ceiling(failures: $0) }
        #expect(ceilings == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map { .seconds($0) })
        #expect(backoff.ceiling(failures: .max) == .seconds(300))
        let delays = (0..<1_000).map { _ in backoff.delay(failures: 4) }
        #expect(delays.allSatisfy { (.zero ... .seconds(8)).contains($0) })
        #expect(delays.contains { $0 < .seconds(2) } && delays.contains { $0 > .seconds(6) })
    }

    @Test func `waits without a length are refused`() async throws {
        try await withNodes(.tcp) { nodes in
            let node = nodes.make()
            for backoff in [
                Backoff(initial: .zero), Backoff(longest: .microseconds(999)), Backoff(stable: .seconds(-1)),
            ] {
                let refusal = try await error {
                    try node.keepConnected(to: "127.0.0.1:1", backoff: backoff)
                }
                #expect(refusal.code == .invalidArgument && refusal.message.hasPrefix("backoff."))
            }
        }
    }

    @Test func `nodes that keep one another have one connection, and none to themselves`() async throws {
        try await withNodes(.tcp) { nodes in
            let identities = (Identity(), Identity())
            let ends = Events<ParleyError>()
            func node(_ identity: Identity) async throws -> any Transport {
                try await nodes.listening(ends) {
                    $0.security = .noise(identity)
                    $0.duplicates = .smallerDials(identity.id)
                }
            }
            let (a, b) = (try await node(identities.0), try await node(identities.1))
            let toB = "\(identities.1.id)@\(b.address)"
            let kept = [
                try a.keepConnected(to: toB, backoff: Self.quick),
                try a.keepConnected(
                    to: toB.replacing("127.0.0.1", with: "localhost"),
                    backoff: Self.quick
                ),
                try b.keepConnected(to: "\(identities.0.id)@\(a.address)", backoff: Self.quick),
            ]
            // They may meet at first. Then each has that one connection, and no failure more.
            try await eventually {
                guard let ofA = a.peers.first, let ofB = b.peers.first else { return false }
                return a.peers.count == 1 && b.peers.count == 1 && kept[0].peer === ofA
                    && kept[1].peer === ofA && kept[2].peer === ofB
            }
            let failures = kept.map(\.failures)
            let peer = try #require(a.peers.first)
            try await peer.send(message: "hello")
            #expect(try await b.nextRPC().text == "hello")
            #expect(kept[0].peer === peer && kept[1].peer === peer)
            #expect(kept.map(\.failures) == failures)
            let itself = try await error { try a.keepConnected(to: "\(identities.0.id)@\(a.address)") }
            #expect(itself.code == .invalidArgument)
        }
    }

    @Test(arguments: [Kind.tcp, .memory])
    func `one may wait for its connection, the first and the next`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let address = server.address
            await server.stopListening()
            let client = nodes.make()
            let kept = try client.keepConnected(to: address, backoff: Self.quick)
            let waiting = Task { try await kept.connected() }
            try await eventually { kept.failures > 0 }
            let again = try await nodes.listening { $0.listenAddress = address }
            let first = try await waiting.value
            #expect(try await kept.connected() === first)
            await first.close()
            let second = try await kept.connected()
            #expect(second !== first)
            await again.close()
            _ = try await second.untilClosed()
            let impatient = Task { try await kept.connected() }
            impatient.cancel()
            #expect(try await error { _ = try await impatient.value }.code == .cancelled)
            let last = Task { try await kept.connected() }
            kept.cancel()
            #expect(try await error { _ = try await last.value }.code == .closed)
            #expect(try await error { _ = try await kept.connected() }.code == .closed)
        }
    }

    @Test func `in a local network the waits are short`() {
        let ceilings = (1...8).map { Backoff.localNetwork.ceiling(failures: $0) }
        let expected = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].map { Duration.milliseconds($0) }
        #expect(ceilings == expected)
        #expect(Backoff.localNetwork.stable == .seconds(5))
    }

    @Test(arguments: Kind.allCases)
    func `a reconnection waits for the other side and survives its restarts`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            // A port without a listener.
            let first = try await nodes.listening()
            let address = first.address
            await first.close()
            let announced = Events<String>()
            let client = nodes.make { $0.onPeer = { announced.add($0.remoteAddress.description) } }
            let reconnection = try client.keepConnected(to: address, backoff: Self.quick)
            try await eventually { reconnection.failures >= 2 }
            #expect(reconnection.peer == nil && reconnection.lastError?.code == .connectionRefused)
            for count in 1...3 {
                let server = try await nodes.listening { $0.listenAddress = address }
                #expect(try await announced.next() == address)
                try await eventually { reconnection.peer != nil }
                #expect(reconnection.connections == count)
                try await reconnection.peer?.send(message: "hello")
                #expect(try await server.nextRPC().text == "hello")
                await server.close()
            }
            #expect(!reconnection.isOver)
            reconnection.cancel()
            try await eventually { reconnection.isOver }
        }
    }

    @Test func `cancelling leaves the connection, and who has it`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let reconnection = try client.keepConnected(to: server.address)
            try await eventually { reconnection.peer != nil }
            reconnection.cancel()
            // It is over when the node no longer has to end it.
            try await eventually { client.itsNode.state.withLock { $0.stopActions.isEmpty } }
            #expect(reconnection.peer === client.peers.first && reconnection.lastError == nil)
            await reconnection.peer?.close()
        }
    }

    @Test func `the time of a dial is not part of how long its connection lasted`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let closing = Task { for await rpc in server.consume() { await rpc.peer.close() } }
            let client = nodes.make {
                $0.decoder = .framed
                $0.handshake = { _ in try await Task.sleep(for: .seconds(2)) }
                $0.onPeer = { try await $0.send(message: "go away") }
            }
            let backoff = Backoff(
                initial: .milliseconds(1),
                longest: .milliseconds(1),
                stable: .milliseconds(1_500)
            )
            let reconnection = try client.keepConnected(to: server.address, backoff: backoff)
            try await eventually { reconnection.failures >= 3 }
            reconnection.cancel()
            closing.cancel()
        }
    }

    @Test(arguments: Kind.allCases)
    func `a reconnection ends when it is cancelled or the transport is closed`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            let slow = Backoff(initial: .seconds(300), longest: .seconds(300))
            let cancelled = try client.keepConnected(to: server.address, backoff: slow)
            try await eventually { cancelled.peer != nil }
            let peer = try #require(cancelled.peer)
            cancelled.cancel()
            try await eventually { cancelled.isOver }
            // The connection stays open and is not replaced.
            try await peer.send(message: "still here")
            #expect(try await server.nextRPC().text == "still here")
            let waiting = try client.keepConnected(to: "127.0.0.1:1", backoff: slow)
            let connected = try client.keepConnected(to: server.address, backoff: slow)
            try await eventually { waiting.failures >= 1 && connected.peer != nil }
            await client.close()
            try await eventually { waiting.isOver && connected.isOver }
            let closed = try await error { _ = try client.keepConnected(to: server.address) }
            #expect(closed.code == .closed)
            let invalid = try await error { _ = try client.keepConnected(to: "nowhere") }
            #expect(invalid.code == .invalidAddress)
        }
    }

    @Test func `a stable connection resets the count of failures`() async throws {
        try await withNodes(.memory) { nodes in
            let server = try await nodes.listening()
            let client = nodes.make()
            var backoff = Self.quick
            backoff.stable = .zero
            let reconnection = try client.keepConnected(to: server.address, backoff: backoff)
            for count in 1...5 {
                try await eventually { reconnection.connections >= count && reconnection.peer != nil }
                await reconnection.peer?.close()
                try await eventually { reconnection.failures == 1 }
            }
            backoff.stable = .seconds(3_600)
            let unstable = try client.keepConnected(to: server.address, backoff: backoff)
            for count in 1...3 {
                try await eventually { unstable.connections >= count && unstable.peer != nil }
                await unstable.peer?.close()
                try await eventually { unstable.failures == count }
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `both nodes keep the same one of two connections`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            // The handshake is one byte, the node's name.
            let names = Lock<[ObjectIdentifier: String]>([:])
            func named(_ name: String) async throws -> any Transport {
                try await nodes.listening {
                    $0.decoder = .framed
                    $0.handshake = { peer in
                        try await peer.send(Array(name.utf8))
                        let other = try await peer.read(exactly: 1)
                        names.withLock { $0[ObjectIdentifier(peer)] = String(decoding: other, as: UTF8.self) }
                    }
                    $0.duplicates = .smallerDials(identity: name) { peer in
                        names.withLock { $0[ObjectIdentifier(peer)] }
                    }
                }
            }
            let (a, b) = (try await named("a"), try await named("b"))
            try await dialEachOther(a, b)
            // The connection that the smaller node dialed stays.
            #expect(a.statistics.outboundPeers == 1 && a.statistics.inboundPeers == 0)
            #expect(b.statistics.outboundPeers == 0 && b.statistics.inboundPeers == 1)
            try await a.peers[0].send(message: "hello")
            #expect(try await b.nextRPC().text == "hello")
            // A second connection in the same direction replaces the first.
            let again = try await a.dial(b.address)
            try await eventually { a.statistics.peers == 1 && b.statistics.peers == 1 }
            #expect(a.peers[0] === again)
        }
    }
}
