import CParley
import Parley

// Dialing, and the properties and deadlines of a peer. parley.h documents each function.

/// See parley.h.
@c @implementation
public func parley_dial(
    _ transport: OpaquePointer?,
    _ address: UnsafePointer<CChar>?,
    _ timeout_ms: Int32,
    _ peer: UnsafeMutablePointer<parley_peer>?
) -> Int32 {
    status {
        let node = try node(transport)
        let peer = try output(peer, "peer")
        peer.pointee = 0
        let address = try text(address, "address")
        try node.transport.node.checkOpen()
        guard case .until(let deadline) = try WaitLimit(milliseconds: timeout_ms) else {
            throw ParleyError(.wouldBlock, "dialing \(address) would have to wait")
        }
        try checkMayBlock("dialing \(address)")
        let outcome = Outcome<UInt64>()
        let cancel = try node.transport.dial(address) { outcome.finish($0.map(\.number)) }
        if !outcome.wait(until: deadline) {
            cancel(ParleyError(.timedOut, "dialing \(address) took longer than \(timeout_ms) ms"))
            _ = outcome.wait()
        }
        peer.pointee = try outcome.get()
    }
}

/// See parley.h.
@c @implementation
public func parley_dial_async(
    _ transport: OpaquePointer?,
    _ address: UnsafePointer<CChar>?,
    _ done: (@convention(c) (OpaquePointer?, parley_peer, Int32, UnsafeMutableRawPointer?) -> Void)?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        let node = try node(transport)
        guard let done else { throw null("done") }
        let call = Foreign((done, argument))
        _ = try node.transport.dial(try text(address, "address")) { result in
            let (done, argument) = call.value
            switch result {
            case .success(let connection): done(handle(node), connection.number, PARLEY_OK.rawValue, argument)
            case .failure(let error): done(handle(node), 0, record(error), argument)
            }
        }
    }
}

/// See parley.h.
@c @implementation
public func parley_peers(
    _ transport: OpaquePointer?,
    _ peers: UnsafeMutablePointer<parley_peer>?,
    _ capacity: Int
) -> Int {
    guard !ForkedChild.isThisProcess, let connections = try? node(transport).transport.node.connections
    else { return 0 }
    if let peers {
        for (index, connection) in connections.prefix(capacity < 0 ? .max : capacity).enumerated() {
            peers[index] = connection.number
        }
    }
    return connections.count
}

/// See parley.h.
@c @implementation
public func parley_peer_remote_address(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted { try fill(buffer, size, with: connection(transport, peer).remoteAddress.description) }
}

/// See parley.h.
@c @implementation
public func parley_peer_local_address(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted { try fill(buffer, size, with: connection(transport, peer).localAddress.description) }
}

/// See parley.h.
@c @implementation
public func parley_peer_id(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted { try fill(buffer, size, with: connection(transport, peer).id?.description ?? "") }
}

/// See parley.h.
@c @implementation
public func parley_peer_with_id(
    _ transport: OpaquePointer?,
    _ id: UnsafePointer<CChar>?,
    _ peer: UnsafeMutablePointer<parley_peer>?
) -> Int32 {
    status {
        let node = try node(transport)
        let peer = try output(peer, "peer")
        peer.pointee = 0
        let id = try peerID(id, "id")
        peer.pointee = (node.transport.peer(id) as? Connection)?.number ?? 0
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_is_outbound(_ transport: OpaquePointer?, _ peer: parley_peer) -> Int32 {
    counted { try connection(transport, peer).isOutbound ? 1 : 0 }
}

/// See parley.h.
@c @implementation
public func parley_peer_set_userdata(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ userdata: UnsafeMutableRawPointer?
) -> Int32 {
    status { try connection(transport, peer).tag = UInt(bitPattern: userdata) }
}

/// See parley.h.
@c @implementation
public func parley_peer_userdata(_ transport: OpaquePointer?, _ peer: parley_peer) -> UnsafeMutableRawPointer?
{
    if ForkedChild.isThisProcess { return nil }
    return (try? connection(transport, peer)).flatMap { UnsafeMutableRawPointer(bitPattern: $0.tag) }
}

/// See parley.h.
@c @implementation
public func parley_peer_post(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ function: (@convention(c) (UnsafeMutableRawPointer?) -> Void)?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        let connection = try connection(transport, peer)
        guard let function else { throw null("function") }
        let call = Foreign((function, argument))
        guard connection.loop.execute({ call.value.0(call.value.1) }) else {
            throw noSuchPeer(peer)
        }
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_close(_ transport: OpaquePointer?, _ peer: parley_peer, _ timeout_ms: Int32) -> Int32
{
    status {
        let connection = try connection(transport, peer)
        let limit = try WaitLimit(milliseconds: timeout_ms)
        if case .until = limit {
            let what = "closing peer \(peer)"
            try checkMayBlock(what)
            // It would wait for on_disconnect, which waits for the handshake.
            if connection.isInHandshakeCallback, HandshakeThreads.isCurrent {
                throw ParleyError(.wouldDeadlock, "\(what) would wait for its handshake")
            }
        }
        try connection.close(limit)
    }
}

// MARK: - Deadlines

/// Sets a deadline with `body`. Not inlined: its caller would ask the Swift runtime for a type before it
/// checks for a forked child.
@inline(never)
private func set(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ from_now_ms: Int32,
    _ body: (Connection, ContinuousClock.Instant?) -> Void
) throws(ParleyError) {
    body(try connection(transport, peer), try duration(from_now_ms, "from_now_ms").map { .now + $0 })
}

/// See parley.h.
@c @implementation
public func parley_peer_set_deadline(_ transport: OpaquePointer?, _ peer: parley_peer, _ from_now_ms: Int32)
    -> Int32
{
    status { try set(transport, peer, from_now_ms) { $0.setDeadline($1) } }
}

/// See parley.h.
@c @implementation
public func parley_peer_set_read_deadline(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ from_now_ms: Int32
) -> Int32 {
    status { try set(transport, peer, from_now_ms) { $0.setReadDeadline($1) } }
}

/// See parley.h.
@c @implementation
public func parley_peer_set_write_deadline(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ from_now_ms: Int32
) -> Int32 {
    status { try set(transport, peer, from_now_ms) { $0.setWriteDeadline($1) } }
}
