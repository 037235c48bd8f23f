import Bench
import NIOCore
import NIOFrames
import NIOPosix

/// SwiftNIO as its own performance tests use it: everything in channel handlers on one loop.
@main
struct Main {
    static func main() async throws {
        let bench = Bench()
        switch bench.role {
        case "serve":
            try await listen(bench) { [ByteToMessageHandler(FrameDecoder()), ServeHandler()] }
        case "ping":
            try await dial(bench) { [ByteToMessageHandler(FrameDecoder()), PingHandler(bench)] }
        case "flood": try await dial(bench) { [FloodHandler(bench)] }
        case "bulk-serve": try await listen(bench, reading: bench.bulkAllocator) { [CountHandler()] }
        case "bulk": try await dial(bench) { [BulkHandler(bench)] }
        case "file-serve":
            try await listen(bench, reading: bench.bulkAllocator) { [FileReceiver(bench)] }
        case "file": try await dial(bench) { [FileSender(bench)] }
        case "greet-serve": try await listen(bench) { [GreetServer()] }
        case "greet":
            Bench.ready()
            let tls = try TLS(bench, isServer: false)
            for chain in 0..<bench.peers { Greeter.begin(bench, chain, tls) }
        default: Bench.fail("no such role")
        }
        await Bench.forever()
    }

    private static func listen(
        _ bench: Bench,
        reading allocator: (any RecvByteBufferAllocator & Sendable)? = nil,
        _ handlers: @escaping @Sendable () -> [any ChannelHandler]
    ) async throws {
        let tls = try TLS(bench, isServer: true)
        var bootstrap = bench.serverBootstrap.childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                if let tls { try channel.pipeline.syncOperations.addHandler(tls.serverHandler) }
                try channel.pipeline.syncOperations.addHandlers(handlers())
            }
        }
        if let allocator {
            bootstrap = bootstrap.childChannelOption(.recvAllocator, value: allocator)
        }
        Bench.ready(try await bootstrap.bind(host: bench.listenHost, port: bench.port).get())
    }

    private static func dial(
        _ bench: Bench,
        _ handlers: @escaping @Sendable () -> [any ChannelHandler]
    ) async throws {
        let tls = try TLS(bench, isServer: false)
        _ = try await bench.clientBootstrap
            .channelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(tls.clientHandler()) }
                    try channel.pipeline.syncOperations.addHandlers(handlers())
                }
            }
            .connect(host: bench.dialHost(0), port: bench.port).get()
        Bench.ready()
    }
}
