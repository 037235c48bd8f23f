import CParley

// The names that functions had in version 0.1.0. parley.h names their successors.

/// See parley.h.
@c @implementation
public func parley_set_deadline(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ from_now_ms: Int32
) -> Int32 { parley_peer_set_deadline(transport, peer, from_now_ms) }

/// See parley.h.
@c @implementation
public func parley_set_read_deadline(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ from_now_ms: Int32
) -> Int32 { parley_peer_set_read_deadline(transport, peer, from_now_ms) }

/// See parley.h.
@c @implementation
public func parley_set_write_deadline(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ from_now_ms: Int32
) -> Int32 { parley_peer_set_write_deadline(transport, peer, from_now_ms) }

/// See parley.h.
@c @implementation
public func parley_disconnect(_ transport: OpaquePointer?, _ address: UnsafePointer<CChar>?) -> Int32 {
    parley_stop_keeping_connected(transport, address)
}

/// See parley.h.
@c @implementation
public func parley_get_peer_statistics(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ place: UnsafeMutablePointer<parley_peer_statistics>?,
    _ size: Int
) -> Int32 { parley_peer_get_statistics(transport, peer, place, size) }

/// See parley.h.
@c @implementation
public func parley_close_stream(_ transport: OpaquePointer?, _ peer: parley_peer) -> Int32 {
    parley_peer_close_stream(transport, peer)
}
