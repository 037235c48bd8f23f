import Bench
import NIOCore
import NIOFrames
import NIOPosix

/// SwiftNIO by NIOAsyncChannel: frames come and go as async sequences.
@main
struct Main {
    typealias Frames = NIOAsyncChannel<ByteBuffer, ByteBuffer>

    static func main() async {
        let bench = Bench()
        // An ordinary task: the program's first one is bound to the main thread.
        await Task.detached {
            do { try await run(bench) } catch { Bench.fail("\(error)") }
        }.value
    }

    private static func run(_ bench: Bench) async throws {
        switch bench.role {
        case "serve": try await listen(bench, framed: true, serve)
        case "ping": try await ping(bench)
        case "flood": try await flood(bench)
        case "bulk-serve":
            try await listen(bench, framed: false) { bytes, _ in
                for try await piece in bytes { Bench.addShared(1, bytes: piece.readableBytes) }
            }
        case "bulk": try await bulk(bench)
        case "greet-serve":
            try await listen(bench, framed: false) { bytes, outbound in
                var received = ByteBuffer()
                for try await piece in bytes {
                    received.writeImmutableBuffer(piece)
                    guard received.readableBytes == greeting.count else { continue }
                    Bench.addShared(1, bytes: greeting.count)
                    try await outbound.write(received)
                }
            }
        case "greet": try await greet(bench)
        default: Bench.fail("no such role")
        }
    }

    // MARK: Channels

    private static func listen(
        _ bench: Bench,
        framed: Bool,
        _ handle:
            @escaping @Sendable (
                NIOAsyncChannelInboundStream<ByteBuffer>, NIOAsyncChannelOutboundWriter<ByteBuffer>
            ) async throws -> Void
    ) async throws {
        var bootstrap = bench.serverBootstrap
        if !framed { bootstrap = bootstrap.childChannelOption(.recvAllocator, value: bench.bulkAllocator) }
        let server = try await bootstrap.bind(host: bench.listenHost, port: bench.port) { channel in
            channel.eventLoop.makeCompletedFuture { try wrap(channel, framed: framed) }
        }
        Bench.ready(server.channel)
        try await withThrowingDiscardingTaskGroup { group in
            try await server.executeThenClose { clients in
                for try await client in clients {
                    group.addTask {
                        // A peer that goes away is no failure of the server.
                        try? await client.executeThenClose { try await handle($0, $1) }
                    }
                }
            }
        }
    }

    private static func dial(_ bench: Bench, _ n: Int = 0, framed: Bool) async throws -> Frames {
        try await bench.clientBootstrap.connect(host: bench.dialHost(n), port: bench.port) { channel in
            channel.eventLoop.makeCompletedFuture { try wrap(channel, framed: framed) }
        }
    }

    private static func wrap(_ channel: any Channel, framed: Bool) throws -> Frames {
        if framed { try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(FrameDecoder())) }
        return try Frames(wrappingChannelSynchronously: channel)
    }

    // MARK: Roles

    private static func serve(
        _ frames: NIOAsyncChannelInboundStream<ByteBuffer>,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async throws {
        for try await payload in frames {
            Bench.addShared(1, bytes: payload.readableBytes)
            guard payload.wantsEcho else { continue }
            var frame = ByteBuffer()
            frame.writeFrame(payload)
            try await outbound.write(frame)
        }
    }

    private static func ping(_ bench: Bench) async throws {
        var frame = ByteBuffer()
        frame.writeFrame(ByteBuffer(bytes: bench.message(.echo)))
        try await dial(bench, framed: true).executeThenClose { inbound, outbound in
            Bench.ready()
            var answers = inbound.makeAsyncIterator()
            while true {
                let begun = Bench.now
                try await outbound.write(frame)
                guard try await answers.next() != nil else { Bench.fail("the server is gone") }
                Bench.roundTrip(since: begun)
            }
        }
    }

    private static func flood(_ bench: Bench) async throws {
        let payload = ByteBuffer(bytes: bench.message(.sink))
        var frame = ByteBuffer()
        frame.writeFrame(payload)
        // One call for many frames, which is what `write(contentsOf:)` is for.
        let batch = [ByteBuffer](repeating: frame, count: 256)
        try await dial(bench, framed: true).executeThenClose { _, outbound in
            Bench.ready()
            while true {
                try await outbound.write(contentsOf: batch)
                Bench.add(batch.count, bytes: batch.count * frame.readableBytes)
            }
        }
    }

    private static func bulk(_ bench: Bench) async throws {
        let chunk = ByteBuffer(repeating: 0, count: bench.chunk)
        try await dial(bench, framed: false).executeThenClose { _, outbound in
            Bench.ready()
            while true {
                try await outbound.write(chunk)
                Bench.add(1, bytes: chunk.readableBytes)
            }
        }
    }

    private static func greet(_ bench: Bench) async throws {
        Bench.ready()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for chain in 0..<bench.peers {
                group.addTask {
                    var n = chain
                    while true {
                        try await greetOnce(bench, n)
                        Bench.addShared(1, bytes: greeting.count)
                        n += bench.peers
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func greetOnce(_ bench: Bench, _ n: Int) async throws {
        try await dial(bench, n, framed: false).executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(bytes: greeting))
            var received = 0
            for try await piece in inbound {
                received += piece.readableBytes
                if received == greeting.count { break }
            }
        }
    }
}
