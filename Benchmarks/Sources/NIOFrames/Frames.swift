import Bench
public import NIOCore
public import NIOPosix

/// `type u8 | length u32 | payload`, the way SwiftNIO has decoders written.
public struct FrameDecoder: NIOSingleStepByteToMessageDecoder {
    /// The payload.
    public typealias InboundOut = ByteBuffer

    /// At the start of a connection.
    public init() {}

    /// The next payload, if all of it is there.
    public mutating func decode(buffer: inout ByteBuffer) throws -> ByteBuffer? {
        guard
            let length = buffer.getInteger(at: buffer.readerIndex + 1, as: UInt32.self),
            buffer.readableBytes >= 5 + Int(length)
        else { return nil }
        buffer.moveReaderIndex(forwardBy: 5)
        return buffer.readSlice(length: Int(length))
    }

    /// What is left when the connection ends is no frame.
    public mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws -> ByteBuffer? {
        try decode(buffer: &buffer)
    }
}

extension ByteBuffer {
    /// Appends one frame.
    @inlinable
    public mutating func writeFrame(_ payload: ByteBuffer) {
        writeMultipleIntegers(UInt8(1), UInt32(payload.readableBytes))
        writeImmutableBuffer(payload)
    }

    /// Whether the server is to send it back.
    @inlinable
    public var wantsEcho: Bool {
        getInteger(at: readerIndex, as: UInt8.self) == Bench.Purpose.echo.rawValue
    }
}

/// One loop: one thread is what every other candidate has for its sockets.
public let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)

extension Bench {
    /// What a server of these options is made with.
    public var serverBootstrap: ServerBootstrap {
        ServerBootstrap(group: loops)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    }

    /// What a client is made with.
    public var clientBootstrap: ClientBootstrap {
        ClientBootstrap(group: loops).channelOption(.tcpOption(.tcp_nodelay), value: 1)
    }

    /// Reads of a bulk stream, as large as those of the others.
    public var bulkAllocator: AdaptiveRecvByteBufferAllocator {
        AdaptiveRecvByteBufferAllocator(minimum: 65_536, initial: 1 << 20, maximum: 1 << 20)
    }

    /// Says that the program has begun, with the port of its listener.
    public static func ready(_ channel: any Channel) { ready(port: channel.localAddress!.port!) }
}
