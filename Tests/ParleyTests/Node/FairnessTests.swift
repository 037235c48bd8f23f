import Testing

@testable import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// One busy peer must not starve another.
@Suite(.timeLimit(.minutes(10))) struct FairnessTests {
    @Test(arguments: Kind.allCases)
    func `peers that fill the inbox are served in turn, however much each has to send`(
        kind: Kind
    ) async throws {
        try await withNodes(kind) { nodes in
            let capacity = 64
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = capacity
            }
            let flooders = 24
            for number in 0..<flooders {
                let peer = try await nodes.make { $0.decoder = .framed }.dial(server.address)
                for _ in 0..<2_000 { try await peer.send(message: "flood") }
                try await eventually { server.peers.filter(\.statistics.isReadingPaused).count == number + 1 }
            }
            let quiet = try await nodes.make { $0.decoder = .framed }.dial(server.address)
            try await quiet.send(message: "quiet")
            try await eventually { server.peers.filter(\.statistics.isReadingPaused).count == flooders + 1 }

            // The pause is visible before the peer is in the queue of waiting producers: wait for the turn to
            // end.
            for loop in server.eventLoops { await Task(executorPreference: loop) {}.value }

            var before = 0
            while try await server.nextRPC().text != "quiet" {
                before += 1
                // Each producer uses its turn before the next one gets its turn.
                for loop in server.eventLoops { await Task(executorPreference: loop) {}.value }
            }
            // The bound is what is in the inbox already plus a few rounds of the other peers' shares. Without
            // shares each flooder would fill a whole round first.
            #expect(before <= 6 * capacity, "one of the flooders was served \(before) times before it")
        }
    }

    /// Looks at something at the end of every turn.
    private final class EndsOfTurns: EndOfTurn {
        private let loop: EventLoop
        private let look: @Sendable () -> [UInt64]
        let seen = Lock<[[UInt64]]>([])

        init(of loop: EventLoop, _ look: @escaping @Sendable () -> [UInt64]) {
            self.loop = loop
            self.look = look
            loop.atEndOfTurn(self)
        }

        func turnEnds() {
            let now = look()
            let isSame = seen.withLock { seen in
                defer { seen.append(now) }
                return seen.count > 2 && seen.last == now
            }
            if !isSame { loop.atEndOfNextTurn(self) }
        }
    }

    @Test func `links with many small frames share a turn of the loop`() async throws {
        try await withNodes(.tcp, .multiplexed) { nodes in
            let (count, frames) = (16, 2_000)
            let server = try await nodes.listening()
            let sockets = try (0..<count).map { _ in try RawSocket(connectingTo: server.address) }
            defer { for socket in sockets { socket.close() } }
            for socket in sockets { try socket.write(data(1, [], .syn)) }
            try await eventually { server.peers.reduce(0) { $0 + $1.statistics.openStreams } == count }
            let links = server.peers.compactMap { ($0 as? Connection)?.multiplexed }
            let descriptors = try links.map { try #require(($0.lower as? TCPHandle)?.descriptor) }
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            let bytes = joined(repeatElement(update(1, 1), count: frames))
            for socket in sockets { try socket.write(bytes) }
            try await eventually { descriptors.allSatisfy { unread($0) == bytes.count } }
            let ends = EndsOfTurns(of: server.eventLoop) {
                links.map { link in link.channels.withLock { $0.session.position } / 12 }
            }
            held.letGo()
            let all = UInt64(count * (frames + 1))
            try await eventually { ends.seen.withLock { $0.last?.reduce(0, +) } == all }

            let seen = ends.seen.withLock { $0 }
            let sums = seen.map { $0.reduce(0, +) }
            // Between two looks are the first frames of each read, and what is shared of one turn or two.
            let most = zip(sums.dropFirst(), sums).map { $0 - $1 }.max() ?? 0
            let shared = UInt64(MultiplexedLink.framesPerTurn)
            #expect(most <= 3 * shared + 32 * UInt64(count), "\(most) frames in a turn")
            // Nobody is far ahead of the others.
            #expect(seen.allSatisfy { $0.max()! - $0.min()! <= 3 * 32 })
        }
    }

    @Test func `a socket with much to read gets one read a turn`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 1 << 20
            }
            let loud = try RawSocket(connectingTo: server.address)
            try await eventually { server.peers.count == 1 }
            let loudPeer = server.peers[0]
            let loudSocket = try descriptor(of: loudPeer)
            var room = 4 * ReadSlab.byteCount
            setsockopt(loudSocket, SOL_SOCKET, SO_RCVBUF, &room, socklen_t(MemoryLayout<Int32>.size))
            let quiet = try RawSocket(connectingTo: server.address)
            try await eventually { server.peers.count == 2 }
            let others = server.peers.filter { $0.remoteAddress != loudPeer.remoteAddress }
            let quietSocket = try descriptor(of: try #require(others.first))

            // Both write before the loop polls again.
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            let frame: [UInt8] = [1, 0, 0, 0, 4] + "loud".utf8
            try loud.write(joined(repeatElement(frame, count: 30_000)))
            try await eventually { unread(loudSocket) > 2 * ReadSlab.byteCount }
            try quiet.write([1, 0, 0, 0, 5] + "quiet".utf8)
            try await eventually { unread(quietSocket) > 0 }
            held.letGo()

            var before = 0
            while try await server.nextRPC().text != "quiet" { before += 1 }
            #expect(before <= ReadSlab.byteCount / frame.count)
        }
    }

    private func descriptor(of peer: any Peer) throws -> Int32 {
        try #require(((peer as? Connection)?.link as? TCPHandle)?.descriptor)
    }

    private func unread(_ descriptor: Int32) -> Int {
        var count: Int32 = 0
        _ = ioctl(descriptor, UInt(FIONREAD), &count)
        return Int(count)
    }
}
