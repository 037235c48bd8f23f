import Bench
import NIOCore
import NIOFrames

/// Replies of one read leave in one write.
final class ServeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var replies: ByteBuffer?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let payload = unwrapInboundIn(data)
        Bench.add(1, bytes: payload.readableBytes)
        guard payload.wantsEcho else { return }
        if replies == nil { replies = context.channel.allocator.buffer(capacity: payload.readableBytes + 5) }
        replies!.writeFrame(payload)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard let replies else { return }
        self.replies = nil
        context.writeAndFlush(wrapOutboundOut(replies), promise: nil)
    }
}

final class PingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let frame: ByteBuffer
    private var begun: UInt64 = 0

    init(_ bench: Bench) {
        var frame = ByteBuffer()
        frame.writeFrame(ByteBuffer(bytes: bench.message(.echo)))
        self.frame = frame
    }

    func channelActive(context: ChannelHandlerContext) { send(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        Bench.roundTrip(since: begun)
        send(context)
    }

    func channelInactive(context: ChannelHandlerContext) { Bench.fail("the server is gone") }

    private func send(_ context: ChannelHandlerContext) {
        begun = Bench.now
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }
}

/// Encodes a batch into one buffer and writes it, and the next one when it is written.
final class FloodHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let payload: ByteBuffer
    private let batchBytes = 256 << 10

    init(_ bench: Bench) { payload = ByteBuffer(bytes: bench.message(.sink)) }

    func channelActive(context: ChannelHandlerContext) { writeBatch(context) }

    private func writeBatch(_ context: ChannelHandlerContext) {
        var batch = context.channel.allocator.buffer(capacity: batchBytes + 5 + payload.readableBytes)
        var messages = 0
        while batch.readableBytes < batchBytes {
            batch.writeFrame(payload)
            messages += 1
        }
        Bench.add(messages, bytes: batch.readableBytes)
        let written = context.eventLoop.makePromise(of: Void.self)
        let loopBound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        written.futureResult.whenSuccess {
            let (handler, context) = loopBound.value
            handler.writeBatch(context)
        }
        context.writeAndFlush(wrapOutboundOut(batch), promise: written)
    }
}
