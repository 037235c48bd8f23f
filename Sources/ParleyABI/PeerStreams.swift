import CParley
import Parley

// Two-way streams: where they come from, and how they end. parley.h documents each function.

/// The stream with that number.
func peerStream(
    _ transport: OpaquePointer?,
    _ number: parley_peer_stream
) throws(ParleyError) -> ForeignPeerStream {
    try node(transport).streams.stream(number)
}

/// Stores the number of a stream that `open` returns, and zero when that fails.
private func give(
    _ place: UnsafeMutablePointer<parley_peer_stream>?,
    _ transport: OpaquePointer?,
    _ open: (ForeignNode) throws -> PeerStream
) -> Int32 {
    status {
        let place = try output(place, "stream")
        place.pointee = 0
        let node = try node(transport)
        place.pointee = node.streams.add(try open(node))
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_open(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ name: UnsafePointer<CChar>?,
    _ timeout_ms: Int32,
    _ stream: UnsafeMutablePointer<parley_peer_stream>?
) -> Int32 {
    give(stream, transport) { _ in
        let connection = try connection(transport, peer)
        return try connection.openStream(
            protocol: try text(name, "protocol"),
            try WaitLimit(milliseconds: timeout_ms)
        )
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_announce(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ header: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32,
    _ stream: UnsafeMutablePointer<parley_peer_stream>?
) -> Int32 {
    give(stream, transport) { _ in
        let connection = try connection(transport, peer)
        return try connection.announceStream(
            header: try checkedMessage(connection.node, header, length, "header"),
            try WaitLimit(milliseconds: timeout_ms)
        )
    }
}

/// See parley.h.
@c @implementation
public func parley_rpc_body(
    _ transport: OpaquePointer?,
    _ rpc: UnsafePointer<parley_rpc>?,
    _ stream: UnsafeMutablePointer<parley_peer_stream>?
) -> Int32 {
    give(stream, transport) { node in
        guard let sender = try sender(of: rpc), let rpc, rpc.pointee.stream else {
            throw ParleyError(.invalidArgument, "rpc has announced no stream")
        }
        guard (sender as? Connection)?.node === node.transport.node else {
            throw ParleyError(.invalidArgument, "rpc is one of another transport")
        }
        return sender.body(ofStream: rpc.pointee.request)
    }
}

// MARK: - Accepting

/// See parley.h.
@c @implementation
public func parley_accept_streams(
    _ transport: OpaquePointer?,
    _ name: UnsafePointer<CChar>?,
    _ on_stream: PeerStreamFunction?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        let node = try node(transport)
        let name = try text(name, "protocol")
        try node.streams.accept(name, on: node.transport.node, node.acceptor(on_stream, argument))
    }
}

extension ForeignNode {
    /// Hands streams to a function of the program, or to the inbox.
    fileprivate func acceptor(
        _ function: PeerStreamFunction?,
        _ argument: UnsafeMutableRawPointer?
    ) throws(ParleyError) -> StreamAcceptor {
        guard let function else {
            guard transport.node.options.peerEventCapacity > 0 else {
                throw ParleyError(.invalidArgument, "on_stream is NULL, and peer_event_capacity is 0")
            }
            return { [self] stream in
                let number = streams.add(stream)
                if stream.connection?.tellAccepted(number, stream.protocolName) == true { return }
                try? streams.remove(number).stream.refuse()
            }
        }
        let call = Foreign((function, argument))
        return { [self] in call.value.0(handle(self), streams.add($0), call.value.1) }
    }
}

/// See parley.h.
@c @implementation
public func parley_accept(
    _ transport: OpaquePointer?,
    _ name: UnsafePointer<CChar>?,
    _ timeout_ms: Int32,
    _ stream: UnsafeMutablePointer<parley_peer_stream>?
) -> Int32 {
    give(stream, transport) { node in
        let limit = try WaitLimit(milliseconds: timeout_ms)
        return try node.streams.queue(try text(name, "protocol"), on: node.transport.node).next(limit)
    }
}

/// See parley.h.
@c @implementation
public func parley_stop_accepting(_ transport: OpaquePointer?, _ name: UnsafePointer<CChar>?) -> Int32 {
    status {
        let node = try node(transport)
        try node.streams.accept(try text(name, "protocol"), on: node.transport.node, nil)
    }
}

// MARK: - Properties

/// See parley.h.
@c @implementation
public func parley_peer_stream_peer(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream
) -> parley_peer {
    if ForkedChild.isThisProcess { return 0 }
    return (try? peerStream(transport, stream))?.stream.connection?.number ?? 0
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_protocol(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted { try fill(buffer, size, with: peerStream(transport, stream).stream.protocolName) }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_set_userdata(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ userdata: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        try peerStream(transport, stream).userdata.store(UInt(bitPattern: userdata), ordering: .relaxed)
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_userdata(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream
) -> UnsafeMutableRawPointer? {
    guard !ForkedChild.isThisProcess, let stream = try? peerStream(transport, stream) else { return nil }
    return UnsafeMutableRawPointer(bitPattern: stream.userdata.load(ordering: .relaxed))
}

// MARK: - Ending

/// See parley.h.
@c @implementation
public func parley_peer_stream_finish(_ transport: OpaquePointer?, _ stream: parley_peer_stream) -> Int32 {
    status { try peerStream(transport, stream).stream.finishNow() }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_close(_ transport: OpaquePointer?, _ stream: parley_peer_stream) -> Int32 {
    status { try node(transport).streams.remove(stream).stream.close() }
}

/// See parley.h.
@c @implementation
public func parley_peer_stream_abort(
    _ transport: OpaquePointer?,
    _ stream: parley_peer_stream,
    _ code: UInt32
) -> Int32 {
    status { try node(transport).streams.remove(stream).stream.abort(code: code) }
}
