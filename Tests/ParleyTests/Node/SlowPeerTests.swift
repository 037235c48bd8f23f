import Foundation
import Testing

@testable import Parley

/// Peers that send, read or say hardly anything: who is only slow is kept, and nobody takes what the others
/// need.
@Suite(.timeLimit(.minutes(10))) struct SlowPeerTests {
    private static let hour: UInt64 = 3_600_000

    // MARK: Heartbeats

    @Test func `a heartbeat that there was no room for is not missed`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.heartbeat = Heartbeat(interval: .seconds(3_600), maxMissed: 3)
                $0.timeouts.writeStall = nil
            }
            let socket = try RawSocket(connectingTo: server.address, receiveBufferBytes: 64 << 10)
            try socket.write([1, 0, 0, 0, 1, 7])
            let peer = try await server.nextRPC().peer
            let connection = try #require(peer as? Connection)
            let size = 16 << 20
            try await peer.send(message: patterned(size))
            try await eventually { await connection.unacknowledgedBytes > size / 2 }
            var left = await connection.unacknowledgedBytes
            for number in UInt64(1)...6 {
                try await socket.skip(512 << 10)
                try await eventually { await connection.unacknowledgedBytes < left }
                left = await connection.unacknowledgedBytes
                try #require(peer.statistics.unsentBytes > 1 << 20, "there is room for a heartbeat")
                await connection.look(behind: number * (Self.hour + 1_000))
                try #require(server.statistics.disconnects.isEmpty)
                #expect(peer.statistics.unansweredHeartbeats == 0)
            }
            try await socket.skip(5 + size - 6 * 512 << 10)
            // Now there is room; the peer answers every heartbeat that comes.
            try await eventually { peer.statistics.unsentBytes == 0 }
            await connection.look(behind: 7 * (Self.hour + 1_000))
            let ping = try await socket.read(exactly: 13)
            #expect(ping.prefix(5) == [6, 0, 0, 0, 8])
            try socket.write([7] + ping.dropFirst())
            try await eventually { peer.statistics.roundTripTime != nil }
            #expect(server.statistics.disconnects.isEmpty)
        }
    }

    // MARK: Files

    @Test(arguments: [Kind.tcp, .secured])
    func `the part of a file that is not written yet does not count as acknowledged`(
        kind: Kind
    ) async throws {
        try await withFolder { folder in
            try await withNodes(kind) { nodes in
                let client = try await nodes.listening { $0.decoder = .framed }
                let server = nodes.make { $0.decoder = .framed }
                let path = folder.appending(path: "large").path
                try #require(FileManager.default.createFile(atPath: path, contents: nil))
                try FileHandle(forWritingTo: URL(filePath: path)).truncate(atOffset: 64 << 20)
                let peer = try await server.dial(client.address)
                let connection = try #require(peer as? Connection)
                let sending = Task { try await peer.sendStream(contentsOf: path) }
                let reader = try #require(try await client.nextRPC().peer as? Connection)
                // When the socket is full, the link usually has the rest of a part left to write.
                var looks = 0
                while looks < 8 {
                    _ = try await reader.read(exactly: 100_000)
                    let acknowledged = await connection.acknowledgedBytes
                    guard acknowledged.unwrittenFileBytes > 0 else { continue }
                    looks += 1
                    #expect(await acknowledged.bytes <= reader.arrivedBytes)
                }
                sending.cancel()
                await client.close()
                _ = await sending.result
            }
        }
    }

    // MARK: Silence

    @Test(arguments: [1, 12])
    func `a peer that is silent while its last bytes are unread is idle in the end`(
        lastMessages: Int
    ) async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.inboxCapacity = 1
                $0.timeouts.idle = .seconds(3_600)
                $0.timeouts.writeStall = .seconds(3_600)
                $0.timeouts.heartbeat = Heartbeat(interval: .seconds(1_000), maxMissed: 2)
            }
            let socket = try RawSocket(connectingTo: server.address)
            let message: [UInt8] = [1, 0, 0, 0x10, 0] + patterned(4_096)
            try socket.write(message + message)
            try await eventually { server.statistics.pausedPeers == 1 }
            let connection = try #require(server.peers.first as? Connection)
            // The kernel has room for more than that: it is not the reason why nothing comes.
            try socket.write(joined(repeatElement(message, count: lastMessages)))
            try await eventually {
                let received = server.statistics.traffic.bytesReceived
                return await received + UInt64(connection.unreadLinkBytes)
                    == UInt64((2 + lastMessages) * message.count)
            }
            for seconds in [0, 1_000, 2_000, 3_000, 4_000, 5_000] as [UInt64] {
                await connection.look(behind: seconds * 1_000)
            }
            try await eventually { server.statistics.disconnects == [.idle: 1] }
        }
    }

    // MARK: Frames

    @Test func `when all hold too much, who holds most for longest goes`() async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<(peer: SocketAddress, reason: ParleyError)>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.limits.receiveBufferBytes = 1 << 20
                $0.onDisconnect = { peer, reason in ends.add((peer.remoteAddress, reason)) }
            }
            // The beginnings of two frames of 2 MiB.
            let hoarders = [
                try RawSocket(connectingTo: server.address), try RawSocket(connectingTo: server.address),
            ]
            for hoarder in hoarders { try hoarder.write([1, 0, 0x20, 0, 0] + patterned(450_000)) }
            try await eventually { server.statistics.unreadBytes >= 900_000 }
            // An honest peer, of whose first message the node has to hold a part that is too much.
            let honest = try RawSocket(connectingTo: server.address)
            var ended: [SocketAddress] = []
            for number in 1...4 {
                let message = patterned(300_000, seed: UInt64(number))
                // They go on, a byte at a time.
                for hoarder in hoarders { try? hoarder.write([0]) }
                try honest.write([1, 0, 4, 0x93, 0xe0] + message[..<200_000])
                if number == 1 {
                    let end = try await ends.next()
                    #expect(end.reason.code == .receiveBufferFull)
                    ended.append(end.peer)
                }
                try honest.write(Array(message[200_000...]))
                let rpc = try await server.nextRPC()
                #expect(same(rpc.payload, message))
                #expect(!ended.contains(rpc.peer.remoteAddress))
            }
            #expect(server.statistics.disconnects == [.receiveBufferFull: 1])
        }
    }

    @Test(
        arguments: [
            // A message, a large one, a header, and a stream's beginning.
            [1, 0, 0, 0x10, 0, 7], [1, 0, 0x10, 0, 0, 7], [1, 0], [2, 0, 0, 0x10, 0, 7],
        ] as [[UInt8]]
    )
    func `a frame that hardly goes on ends its peer`(beginning: [UInt8]) async throws {
        try await withNodes(.tcp) { nodes in
            let ends = Events<ParleyError>()
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.frame = .milliseconds(500)
                $0.onDisconnect = { _, reason in ends.add(reason) }
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write(beginning)
            let trickling = Task {
                // A header that is begun stays so.
                while beginning.count > 2 {
                    try await Task.sleep(for: .milliseconds(50))
                    try socket.write([0])
                }
            }
            try await eventually { !ends.soFar.isEmpty }
            trickling.cancel()
            let reason = try await ends.next()
            #expect(reason.code == .timedOut && reason.message.contains("frame"))
        }
    }

    @Test func `a frame that goes on slowly and steadily arrives`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.frame = .seconds(3_600)
                $0.timeouts.leastBytesPerSecond = 1
            }
            let socket = try RawSocket(connectingTo: server.address)
            try socket.write([1, 0, 0, 0x40, 0])
            try await eventually { server.statistics.traffic.bytesReceived == 5 }
            let connection = try #require(server.peers.first as? Connection)
            let payload = patterned(0x4000)
            for number in 0..<8 {
                await connection.look(behind: UInt64(number) * 1_000_000)
                let sent = number * 0x800
                try socket.write(Array(payload[sent..<(sent + 0x800)]))
                try await eventually { server.statistics.traffic.bytesReceived == UInt64(5 + sent + 0x800) }
            }
            #expect(same(try await server.nextRPC().payload, payload))
            #expect(server.statistics.disconnects.isEmpty)
        }
    }

    // MARK: Readers

    @Test func `a reader that takes less than the least rate is stalled`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.timeouts.writeStall = .seconds(3_600)
                $0.timeouts.leastBytesPerSecond = 1_000
            }
            let socket = try RawSocket(connectingTo: server.address, receiveBufferBytes: 16 << 10)
            try socket.write([1, 0, 0, 0, 1, 7])
            let peer = try await server.nextRPC().peer
            let connection = try #require(peer as? Connection)
            try await peer.send(message: patterned(1 << 20))
            try await eventually { await connection.unacknowledgedBytes > 0 }
            await connection.look(behind: 0)
            // Each time something is acknowledged, and never a million bytes in a thousand seconds.
            for number in UInt64(1)...8 where connection.isLive {
                let left = await connection.unacknowledgedBytes
                try await socket.skip(40_000)
                try await eventually { await connection.unacknowledgedBytes < left }
                await connection.look(behind: number * 1_000_000)
            }
            try await eventually { server.statistics.disconnects == [.writeStalled: 1] }
        }
    }

    @Test func `peers that do not read leave a part of the send buffer to the others`() async throws {
        try await withNodes(.tcp) { nodes in
            let limit = 4 << 20
            let server = try await nodes.listening {
                $0.decoder = .framed
                $0.limits.sendBufferBytes = limit
                // No limit of a single peer is reached here.
                $0.sendHighWaterBytes = 64 << 20
            }
            let sockets = try (0..<5).map { _ in try RawSocket(connectingTo: server.address) }
            try await eventually { server.peers.count == sockets.count }
            let node = server.itsNode
            // Nothing is written meanwhile, so that the numbers do not depend on the sockets.
            let held = await HeldLoop(server.eventLoop)
            defer { held.letGo() }
            let message = patterned(20_000)
            let accepted = try server.peers.map { peer in
                var count = 0
                while try peer.trySend(message: message) { count += 1 }
                return count
            }
            // Each takes no more than a half of what the ones before it have left.
            let last = try #require(accepted.last)
            #expect(last * message.count > 2 * SendBudget.freeBytes, "accepted: \(accepted)")
            #expect(accepted.reduce(0, +) * (message.count + 5) <= limit + sockets.count * 40_000)
            #expect(node.sendBudget.freeBytes > 0)
            held.letGo()
            for socket in sockets { socket.reset() }
            try await eventually { server.statistics.peers == 0 }
            try await eventually { node.sendBudget.freeBytes == limit }
        }
    }
}
