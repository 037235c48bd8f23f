import CParley
import Parley

// Reading and writing two-way streams, and when that is possible. parley.h documents each function.

/// See parley.h.
@c @implementation
public func parley_peer_stream_read(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ buffer: UnsafeMutableRawPointer?,
    _ size: Int,
    _ timeout_ms: Int32
) -> Int64 {
    countedOften { () throws(ParleyError) in
        let stream = try peerStream(transport, stream).stream
        try checkSize(size, "size")
        guard size > 0 else { throw ParleyError(.invalidArgument, "size is 0") }
        guard let buffer else { throw null("buffer") }
        return Int64(try stream.read(into: buffer, upTo: size, try WaitLimit(milliseconds: timeout_ms)))
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_read_exactly(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ buffer: UnsafeMutableRawPointer?,
    _ size: Int,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let stream = try peerStream(transport, stream).stream
        try checkSize(size, "size")
        guard size > 0 else { return }
        guard let buffer else { throw ParleyError(.invalidArgument, "buffer is NULL, but size is \(size)") }
        try stream.read(into: buffer, exactly: size, of: stream, try WaitLimit(milliseconds: timeout_ms))
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_write(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ data: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32
) -> Int64 {
    countedOften { () throws(ParleyError) in
        let stream = try peerStream(transport, stream).stream
        let limit = try WaitLimit(milliseconds: timeout_ms)
        let given = try borrowedBytes(data, length, "bytes")
        return Int64(
            try stream.write(length, limit) { (piece) throws(ParleyError) in
                try bytes(given.baseAddress.map { $0 + piece.lowerBound }, piece.count, "bytes")
            }
        )
    }
}

// MARK: - Readiness

/// A callback of the program that concerns one two-way stream.
public typealias PeerStreamFunction =
    @convention(c) (OpaquePointer?, parley_peer_stream, UnsafeMutableRawPointer?) -> Void

/// Binds the arguments of a callback that concerns one stream. Without a function, `event` goes to the inbox.
private func bound(
    _ function: PeerStreamFunction?,
    _ argument: UnsafeMutableRawPointer?,
    _ transport: OpaquePointer?,
    _ number: parley_peer_stream,
    else event: PeerEvent
) throws -> @Sendable () -> Void {
    let node = try node(transport)
    let connection = try node.streams.stream(number).stream.connection
    guard let function else {
        guard node.transport.node.options.peerEventCapacity > 0 else {
            throw ParleyError(.invalidArgument, "function is NULL, and peer_event_capacity is 0")
        }
        return { connection?.tell(event) }
    }
    let call = Foreign((function, argument))
    return { call.value.0(handle(node), number, call.value.1) }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_when_readable(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ function: PeerStreamFunction?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        let call = try bound(function, argument, transport, stream, else: .streamReadable(stream))
        try peerStream(transport, stream).stream.whenReadable(call)
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_when_writable(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ function: PeerStreamFunction?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        let call = try bound(function, argument, transport, stream, else: .streamWritable(stream))
        try peerStream(transport, stream).stream.whenWritable(call)
    }
}
