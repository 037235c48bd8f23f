import FaultProxy
import Testing

@testable import Parley

/// Messages and streams in the framed wire form, on sockets and in memory.
@Suite(.timeLimit(.minutes(10))) struct FramedStreamTests {
    @Test(arguments: Kind.allCases)
    func `messages of any size arrive whole and in order without pacing`(kind: Kind) async throws {
        try await withFrames(kind) { server, _, peer in
            let sizes = [0, 1, 1_028, 65_531, 65_536, 1_000_000, 0, 16 << 20, 3]
            let sending = Task { for size in sizes { try await peer.send(message: patterned(size)) } }
            for size in sizes { #expect(same(try await server.nextRPC().payload, patterned(size))) }
            try await sending.value
            #expect(
                try await error { try await peer.send(message: [UInt8](repeating: 0, count: 16 << 20 | 1)) }
                    .code
                    == .messageTooLong
            )
        }
    }

    @Test(arguments: Kind.allCases)
    func `a stream has a header and an end, and messages follow it`(kind: Kind) async throws {
        try await withFrames(kind) { server, _, peer in
            let sending = Task {
                try await peer.send(message: "before")
                try await peer.withStream(header: Array("photo".utf8)[...]) { writer in
                    for _ in 0..<50 { try await writer.write(patterned(20_000)) }
                }
                try await peer.send(message: "after")
            }
            #expect(try await server.nextRPC().text == "before")
            let stream = try await server.nextRPC()
            #expect(stream.stream && stream.text == "photo")
            var received: [UInt8] = []
            for try await chunk in stream.peer.chunks() { received += chunk }
            #expect(same(received, joined((0..<50).map { _ in patterned(20_000) })))
            #expect(try await stream.peer.read(upTo: 1) == nil, "the end stays the end")
            stream.peer.closeStream()
            #expect(try await server.nextRPC().text == "after")
            try await sending.value
        }
    }

    @Test(arguments: Kind.allCases)
    func `an abort is thrown to the reader with its reason, and the connection stays`(kind: Kind)
        async throws
    {
        struct DiskFull: Error {}
        try await withFrames(kind) { server, _, peer in
            let sending = Task {
                try await peer.withStream { writer in
                    try await writer.write(patterned(1_000))
                    throw DiskFull()
                }
            }
            let stream = try await server.nextRPC()
            #expect(try await Array(stream.peer.read(exactly: 1_000)) == patterned(1_000))
            let aborted = try await error { _ = try await stream.peer.read(upTo: 1) }
            #expect(aborted.code == .streamAborted)
            #expect(aborted.message.contains("the sender failed") && !aborted.message.contains("DiskFull"))
            await #expect(throws: DiskFull.self) { try await sending.value }
            stream.peer.closeStream()
            try await peer.send(message: "alive")
            #expect(try await server.nextRPC().text == "alive")
        }
    }

    @Test(arguments: Kind.allCases)
    func `text that a peer chose is escaped in errors and in log lines`(kind: Kind) async throws {
        struct Refusal: Error, CustomStringConvertible { let description: String }
        try await withNodes(kind) { nodes in
            let (log, hostile) = (Log(), "\u{1b}[2Jred\nfake\u{202e}line\u{9b}")
            let shown = "\\x1b[2Jred\\nfake\\u{202e}line\\u{9b}"
            let server = try await nodes.listening {
                $0.logger = log.logger
                $0.handshake = { peer in
                    let name = try await peer.read(exactly: hostile.utf8.count)
                    let text = String(decoding: name, as: UTF8.self)
                    if text == hostile { throw Refusal(description: text) }
                }
            }
            let stranger = nodes.make { $0.handshake = { try await $0.send(Array(hostile.utf8)) } }
            _ = try? await stranger.dial(server.address)
            let reason = try await log.first("peer disconnected").metadata["reason"]
            #expect(reason?.description.contains("failed: \(shown) (handshakeFailed)") == true)

            let good = nodes.make {
                $0.handshake = { try await $0.send([UInt8](repeating: 0, count: hostile.utf8.count)) }
            }
            let peer = try await good.dial(server.address)
            await (try await peer.openStream()).abort(reason: hostile)
            let stream = try await server.nextRPC()
            let aborted = try await error { _ = try await stream.peer.read(upTo: 1) }
            #expect(aborted.message.contains(shown))
        }
    }

    @Test(arguments: Kind.allCases)
    func `a long write is accepted in pieces, and one that is cut off aborts the stream`(kind: Kind)
        async throws
    {
        try await withFrames(kind) { server, client, peer in
            let writer = try await peer.openStream()
            let long = [UInt8](repeating: 7, count: 32 << 20)
            let writing = Task { try await writer.write(long) }
            let stream = try await server.nextRPC()
            // Nobody reads: the write waits behind the high-water mark.
            try await eventually { peer.statistics.traffic.sendWaits > 0 }
            #expect(peer.statistics.unsentBytes <= client.itsNode.options.sendHighWaterBytes + (1 << 20) + 64)
            writing.cancel()
            let thrown = await #expect(throws: ParleyError.self) { try await writing.value }
            #expect(thrown?.code == .cancelled)
            #expect(try await error { try await writer.write([1]) }.code == .closed)
            #expect(try await error { try await writer.finish() }.code == .streamAborted)
            let aborted = try await error { while try await stream.peer.read(upTo: 1 << 20) != nil {} }
            #expect(aborted.code == .streamAborted)
            #expect(aborted.message.contains("a write of \(32 << 20) bytes ended after"))
            stream.peer.closeStream()
            try await peer.send(message: "in step")
            #expect(try await server.nextRPC().text == "in step")
        }
    }

    @Test(arguments: Kind.allCases)
    func `a long write arrives whole`(kind: Kind) async throws {
        try await withFrames(kind) { server, _, peer in
            let long = patterned((3 << 20) + 1)
            let writing = Task { try await peer.withStream { try await $0.write(long) } }
            let stream = try await server.nextRPC()
            var received: [UInt8] = []
            while let bytes = try await stream.peer.read(upTo: 1 << 20) { received += bytes }
            #expect(same(received, long))
            try await writing.value
        }
    }

    @Test(arguments: Kind.allCases) func `a writer that is released aborts its stream`(kind: Kind)
        async throws
    {
        try await withFrames(kind) { server, _, peer in
            do {
                let writer = try await peer.openStream()
                try await writer.write([1])
            }
            let stream = try await server.nextRPC()
            #expect(try await stream.peer.read(exactly: 1) == [1])
            #expect(try await error { _ = try await stream.peer.read(upTo: 1) }.code == .streamAborted)
        }
    }

    @Test(arguments: Kind.allCases)
    func `closeStream before the end discards the rest, and the next message is decoded`(kind: Kind)
        async throws
    {
        try await withFrames(kind) { server, _, peer in
            for round in 0..<3 {
                let sending = Task {
                    try await peer.withStream { writer in
                        for _ in 0..<100 { try await writer.write(patterned(50_000)) }
                    }
                    try await peer.send(message: "after \(round)")
                }
                let stream = try await server.nextRPC()
                if round > 0 { _ = try await stream.peer.read(exactly: round * 100_000) }
                stream.peer.closeStream()
                #expect(try await server.nextRPC().text == "after \(round)")
                try await sending.value
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a waiting write sends nothing when its stream is ended`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            let client = nodes.make {
                $0.decoder = .framed
                $0.sendHighWaterBytes = 1
                $0.sendLowWaterBytes = 0
            }
            let peer = try await client.dial(server.address)
            let writer = try await peer.openStream()
            // Nobody reads, so it waits between two pieces.
            let late = Task { try await writer.write([UInt8](repeating: 1, count: 16 << 20)) }
            try await eventually { peer.statistics.traffic.sendWaits > 0 }
            await writer.abort(reason: "gave up")
            let refused = await #expect(throws: ParleyError.self) { try await late.value }
            #expect(refused?.code == .closed)
            let stream = try await server.nextRPC()
            let aborted = try await error { while try await stream.peer.read(upTo: 1 << 20) != nil {} }
            #expect(aborted.code == .streamAborted)
            stream.peer.closeStream()
            try await peer.send(message: "in step")
            #expect(try await server.nextRPC().text == "in step")
        }
    }

    @Test(arguments: Kind.allCases)
    func `the end of the connection inside a stream throws truncated to the reader`(kind: Kind) async throws {
        try await withFrames(kind) { server, client, peer in
            let writer = try await peer.openStream()
            try await writer.write(patterned(100))
            let stream = try await server.nextRPC()
            await peer.close()
            #expect(try await Array(stream.peer.read(exactly: 100)) == patterned(100))
            #expect(try await error { _ = try await stream.peer.read(upTo: 1) }.code == .truncated)
            stream.peer.closeStream()
        }
    }

    @Test func `through a proxy that moves every boundary, every byte arrives in order`() async throws {
        try await withNodes(.tcp) { nodes in
            let server = try await nodes.listening { $0.decoder = .framed }
            for (plan, scale) in [(FaultPlan.splitting(seed: 42), 2_000), (.singleBytes, 20)] {
                let proxy = FaultProxy(to: try SocketAddress(server.address).port, plan)
                let peer = try await nodes.make { $0.decoder = .framed }.dial("127.0.0.1:\(proxy.port)")
                let sending = Task {
                    for number in 0..<scale {
                        try await peer.send(message: patterned(number &* 7_919 % 3_000, seed: UInt64(number)))
                        guard number % 10 == 0 else { continue }
                        try await peer.withStream {
                            try await $0.write(patterned(5_000, seed: UInt64(number)))
                        }
                    }
                }
                for number in 0..<scale {
                    let rpc = try await server.nextRPC()
                    try #require(
                        Array(rpc.payload) == patterned(number &* 7_919 % 3_000, seed: UInt64(number))
                    )
                    guard number % 10 == 0 else { continue }
                    let stream = try await server.nextRPC()
                    try #require(stream.stream)
                    try #require(
                        await Array(stream.peer.read(exactly: 5_000))
                            == patterned(5_000, seed: UInt64(number))
                    )
                    stream.peer.closeStream()
                }
                try await sending.value
            }
        }
    }

    @Test func `two nodes with different wire forms notice it at the first bytes`() async throws {
        try await withNodes(.tcp) { nodes in
            let gone = Events<ParleyError>()
            let framed = try await nodes.listening {
                $0.decoder = .framed
                $0.onDisconnect = { gone.add($1) }
            }
            let peer = try await nodes.make { $0.decoder = .unframed }.dial(framed.address)
            try await peer.send(message: "hello")
            let reason = try await gone.next()
            #expect(reason.code == .protocolViolation)
            #expect(reason.message.contains("look like unframed, not the framed wire form"), "\(reason)")
        }
    }
}
