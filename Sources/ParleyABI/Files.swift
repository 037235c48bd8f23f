import CParley
import Parley

// Files as streams. parley.h says what each function does.

/// The program's progress function, if it has one.
private func reporting(
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?
) -> @Sendable (Int) -> Void {
    let call = Foreign((progress, argument))
    return { bytes in call.value.0?(UInt64(bytes), call.value.1) }
}

/// A length as these functions take it; nil is all there is.
private func length(_ length: UInt64) throws(ParleyError) -> Int? {
    if length == UInt64.max { return nil }
    guard let length = Int(exactly: length) else {
        throw ParleyError(.invalidArgument, "length is \(length), above INT64_MAX")
    }
    return length
}

private func offsetInFile(_ offset: UInt64) throws(ParleyError) -> Int {
    guard let offset = Int(exactly: offset) else {
        throw ParleyError(.invalidArgument, "offset is \(offset), above INT64_MAX")
    }
    return offset
}

/// See parley.h.
@c @implementation
public func parley_send_file(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ path: UnsafePointer<CChar>?,
    _ header: UnsafeRawPointer?,
    _ header_length: Int,
    _ offset: UInt64,
    _ byte_count: UInt64,
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?
) -> Int64 {
    counted {
        let connection = try connection(transport, peer)
        let path = try text(path, "path")
        let header = try checkedMessage(connection.node, header, header_length, "header", "header_length")
        let offset = try offsetInFile(offset)
        let length = try length(byte_count)
        let report = reporting(progress, argument)
        return try blocking("sending \(path)") {
            Int64(
                try await connection.sendStream(
                    contentsOf: path,
                    header: header,
                    offset: offset,
                    length: length,
                    progress: report
                )
            )
        }
    }
}

/// See parley.h.
@c @implementation
public func parley_receive_file(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ path: UnsafePointer<CChar>?,
    _ byte_count: UInt64,
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?
) -> Int64 {
    receive(path, replacing: false, byte_count, progress, argument) {
        PeerStream(only: try connection(transport, peer))
    }
}

/// See parley.h.
@c @implementation
public func parley_replace_file(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ path: UnsafePointer<CChar>?,
    _ byte_count: UInt64,
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?
) -> Int64 {
    receive(path, replacing: true, byte_count, progress, argument) {
        PeerStream(only: try connection(transport, peer))
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_receive_file(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ path: UnsafePointer<CChar>?,
    _ byte_count: UInt64,
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?
) -> Int64 {
    receive(path, replacing: false, byte_count, progress, argument) {
        try peerStream(transport, stream).stream
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_replace_file(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ path: UnsafePointer<CChar>?,
    _ byte_count: UInt64,
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?
) -> Int64 {
    receive(path, replacing: true, byte_count, progress, argument) {
        try peerStream(transport, stream).stream
    }
}

/// Reads the stream that `find` returns into a file, and closes it.
private func receive(
    _ path: UnsafePointer<CChar>?,
    replacing: Bool,
    _ byte_count: UInt64,
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?,
    _ find: () throws -> PeerStream
) -> Int64 {
    counted {
        let stream = try find()
        let path = try text(path, "path")
        let length = try length(byte_count)
        let report = reporting(progress, argument)
        return try blocking("receiving \(path)") {
            Int64(
                try await stream.receive(
                    into: path,
                    replacing: replacing,
                    byteCount: length,
                    progress: report
                )
            )
        }
    }
}

/// See parley.h.
@c @implementation
public func parley_stream_write_file(
    _ stream: OpaquePointer?,
    _ path: UnsafePointer<CChar>?,
    _ offset: UInt64,
    _ byte_count: UInt64,
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?
) -> Int64 {
    counted {
        let writer = try object(stream, "stream", ForeignStream.self).writer
        return try write(path, offset, byte_count, progress, argument, to: writer)
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_write_file(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ path: UnsafePointer<CChar>?,
    _ offset: UInt64,
    _ byte_count: UInt64,
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?
) -> Int64 {
    counted {
        let writer = try peerStream(transport, stream).stream
        return try write(path, offset, byte_count, progress, argument, to: writer)
    }
}

/// Sends a file, or a part of it, as the next bytes of a stream.
private func write(
    _ path: UnsafePointer<CChar>?,
    _ offset: UInt64,
    _ byte_count: UInt64,
    _ progress: parley_progress?,
    _ argument: UnsafeMutableRawPointer?,
    to writer: any StreamWriter
) throws -> Int64 {
    let path = try text(path, "path")
    let offset = try offsetInFile(offset)
    let length = try length(byte_count)
    let report = reporting(progress, argument)
    return try blocking("sending \(path)") {
        Int64(try await writer.write(contentsOf: path, offset: offset, length: length, progress: report))
    }
}
