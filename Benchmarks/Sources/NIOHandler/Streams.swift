import Bench
import NIOCore
import NIOFrames
import NIOPosix

#if canImport(Glibc)
    import Glibc
#endif

final class CountHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        Bench.add(1, bytes: unwrapInboundIn(data).readableBytes)
    }
}

/// Two chunks are on their way all the time.
final class BulkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let chunk: ByteBuffer

    init(_ bench: Bench) { chunk = ByteBuffer(repeating: 0, count: bench.chunk) }

    func channelActive(context: ChannelHandlerContext) {
        write(context)
        write(context)
    }

    private func write(_ context: ChannelHandlerContext) {
        let written = context.eventLoop.makePromise(of: Void.self)
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        written.futureResult.whenSuccess {
            let (handler, context) = loopBound.value
            Bench.add(1, bytes: handler.chunk.readableBytes)
            handler.write(context)
        }
        context.writeAndFlush(wrapOutboundOut(chunk), promise: written)
    }
}

// MARK: - Files: eight bytes of length, the file, and one byte back when it is written

/// Writes what arrives where it arrives; the file is in memory.
final class FileReceiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let folder: String
    private var header = ByteBuffer()
    private var left = 0
    private var files = 0
    private var descriptor: Int32 = -1
    private var path: String { "\(folder)/received-\(files)" }

    init(_ bench: Bench) { folder = bench.path }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if descriptor < 0 {
            header.writeBuffer(&bytes)
            guard let length = header.readInteger(endianness: .little, as: UInt64.self) else { return }
            left = Int(length)
            descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644)
            if descriptor < 0 { Bench.fail("cannot make \(path)") }
            bytes = header
            header = ByteBuffer()
        }
        let count = bytes.readableBytes
        bytes.withUnsafeReadableBytes { pointer in
            if Glibc.write(descriptor, pointer.baseAddress, count) != count { Bench.fail("write") }
        }
        Bench.add(0, bytes: count)
        left -= count
        guard left == 0 else { return }
        close(descriptor)
        descriptor = -1
        Bench.add(1, bytes: 0)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "!")), promise: nil)
        unlink(path)
        files += 1
    }
}

/// A file region, which NIO hands to sendfile.
final class FileSender: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = IOData

    private let path: String

    init(_ bench: Bench) { path = bench.path }

    func channelActive(context: ChannelHandlerContext) { send(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { send(context) }

    private func send(_ context: ChannelHandlerContext) {
        do {
            let file = try NIOFileHandle(_deprecatedPath: path)
            let region = try FileRegion(fileHandle: file)
            context.write(
                wrapOutboundOut(
                    .byteBuffer(ByteBuffer(integer: UInt64(region.readableBytes), endianness: .little))
                ),
                promise: nil
            )
            let written = context.eventLoop.makePromise(of: Void.self)
            written.futureResult.whenSuccess { Bench.add(1, bytes: region.readableBytes) }
            written.futureResult.whenComplete { _ in try? file.close() }
            context.writeAndFlush(wrapOutboundOut(.fileRegion(region)), promise: written)
        } catch { Bench.fail("\(error)") }
    }
}

// MARK: - Connecting

final class GreetServer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var received = ByteBuffer()

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        guard received.readableBytes == greeting.count else { return }
        Bench.add(1, bytes: greeting.count)
        context.writeAndFlush(wrapOutboundOut(received), promise: nil)
    }
}

final class Greeter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let words = ByteBuffer(bytes: greeting)
    private let bench: Bench
    private let n: Int
    private let tls: TLS?
    private var count = 0

    private init(_ bench: Bench, _ n: Int, _ tls: TLS?) {
        self.bench = bench
        self.n = n
        self.tls = tls
    }

    static func begin(_ bench: Bench, _ n: Int, _ tls: TLS?) {
        bench.clientBootstrap
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(tls.clientHandler()) }
                    try channel.pipeline.syncOperations.addHandler(Greeter(bench, n, tls))
                }
            }
            .connect(host: bench.dialHost(n), port: bench.port)
            .whenFailure { error in Bench.fail("\(error)") }
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(Self.words), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        count += unwrapInboundIn(data).readableBytes
        guard count == greeting.count else { return }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        Bench.add(1, bytes: greeting.count)
        Self.begin(bench, n + bench.peers, tls)
    }
}
