import CParley
import Parley

// Streams and raw reads. parley.h documents each function.

/// The object behind a `parley_stream *`.
final class ForeignStream {
    let writer: ConnectionStreamWriter
    init(_ writer: ConnectionStreamWriter) { self.writer = writer }

    /// Takes over the handle's reference.
    static func take(_ stream: OpaquePointer) -> ForeignStream {
        Unmanaged<ForeignStream>.fromOpaque(UnsafeRawPointer(stream)).takeRetainedValue()
    }
}

/// See parley.h.
@c @implementation
public func parley_stream_open(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ header: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32,
    _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    status {
        let out = try output(out, "out")
        out.pointee = nil
        let connection = try connection(transport, peer)
        let writer = try connection.openStream(
            header: try checkedMessage(connection.node, header, length, "header"),
            try WaitLimit(milliseconds: timeout_ms)
        )
        out.pointee = retainedHandle(ForeignStream(writer))
    }
}

/// See parley.h.
@c @implementation
public func parley_stream_write(
    _ stream: OpaquePointer?,
    _ data: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let stream = try object(stream, "stream", ForeignStream.self)
        let limit = try WaitLimit(milliseconds: timeout_ms)
        guard length > 0, let data else {
            _ = try bytes(data, length, "bytes")
            return try stream.writer.write(0, limit) { _ in [] }
        }
        try stream.writer.write(length, limit) { (piece) throws(ParleyError) in
            try bytes(data + piece.lowerBound, piece.count, "bytes")
        }
    }
}

/// See parley.h.
@c @implementation
public func parley_stream_finish(_ stream: OpaquePointer?) -> Int32 {
    guard let stream else { return PARLEY_OK.rawValue }
    let writer = ForeignStream.take(stream).writer
    return status { try writer.finishNow() }
}

/// See parley.h.
@c @implementation
public func parley_stream_abort(_ stream: OpaquePointer?, _ code: UInt32, _ reason: UnsafePointer<CChar>?) {
    guard let stream else { return }
    let writer = ForeignStream.take(stream).writer
    writer.abortNow(code: code, reason: reason.map { String(cString: $0) } ?? "")
}

// MARK: - Reading

/// Copies bytes that were read to the caller's buffer.
func copy(_ bytes: ArraySlice<UInt8>, to buffer: UnsafeMutableRawPointer) {
    bytes.withUnsafeBytes { buffer.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
}

/// See parley.h.
@c @implementation
public func parley_read(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ buffer: UnsafeMutableRawPointer?,
    _ size: Int,
    _ timeout_ms: Int32
) -> Int64 {
    counted {
        let connection = try connection(transport, peer)
        try checkSize(size, "size")
        guard size > 0 else { throw ParleyError(.invalidArgument, "size is 0") }
        guard let buffer else { throw null("buffer") }
        let read = try connection.read(upTo: size, try WaitLimit(milliseconds: timeout_ms))
        guard let read else { return 0 }
        copy(read, to: buffer)
        return Int64(read.count)
    }
}

/// See parley.h.
@c @implementation
public func parley_read_exactly(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ buffer: UnsafeMutableRawPointer?,
    _ size: Int,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let connection = try connection(transport, peer)
        try checkSize(size, "size")
        guard size > 0 else { return }
        guard let buffer else { throw ParleyError(.invalidArgument, "buffer is NULL, but size is \(size)") }
        try PeerStream(only: connection).read(
            into: buffer,
            exactly: size,
            of: connection.remoteAddress,
            try WaitLimit(milliseconds: timeout_ms)
        )
    }
}

/// See parley.h.
@c @implementation
public func parley_when_readable(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ function: PeerFunction?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        let connection = try connection(transport, peer)
        try connection.whenReadable(try bound(function, argument, transport, connection, else: .readable))
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_close_stream(_ transport: OpaquePointer?, _ peer: parley_peer) -> Int32 {
    status { try connection(transport, peer).closeStream() }
}
