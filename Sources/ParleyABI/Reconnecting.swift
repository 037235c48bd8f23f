import CParley
import Parley

// Staying connected, and bans. parley.h documents each function.

/// See parley.h.
@c @implementation
public func parley_keep_connected(_ transport: OpaquePointer?, _ address: UnsafePointer<CChar>?) -> Int32 {
    keepConnected(transport, address, Backoff())
}

/// See parley.h.
@c @implementation
public func parley_keep_connected_backoff(
    _ transport: OpaquePointer?,
    _ address: UnsafePointer<CChar>?,
    _ initial_ms: Int32,
    _ longest_ms: Int32,
    _ stable_ms: Int32
) -> Int32 {
    guard initial_ms >= 0, longest_ms >= 0, stable_ms >= 0 else {
        return status {
            throw ParleyError(.invalidArgument, "initial_ms, longest_ms or stable_ms is negative")
        }
    }
    var backoff = Backoff()
    if initial_ms > 0 { backoff.initial = .milliseconds(Int64(initial_ms)) }
    if longest_ms > 0 { backoff.longest = .milliseconds(Int64(longest_ms)) }
    if stable_ms > 0 { backoff.stable = .milliseconds(Int64(stable_ms)) }
    return keepConnected(transport, address, backoff)
}

private func keepConnected(
    _ transport: OpaquePointer?,
    _ address: UnsafePointer<CChar>?,
    _ backoff: Backoff
) -> Int32 {
    status {
        let node = try openNode(transport)
        let address = try text(address, "address")
        try node.kept.withLock { kept throws(ParleyError) in
            guard kept[address] == nil else {
                throw ParleyError(.alreadyListening, "the transport stays connected to \(address) already")
            }
            kept[address] = try node.transport.keepConnected(to: address, backoff: backoff)
        }
    }
}

/// See parley.h.
@c @implementation
public func parley_stop_keeping_connected(_ transport: OpaquePointer?, _ address: UnsafePointer<CChar>?)
    -> Int32
{
    status {
        let node = try node(transport)
        let address = try text(address, "address")
        guard let reconnection = node.kept.withLock({ $0.removeValue(forKey: address) }) else {
            throw ParleyError(.invalidArgument, "the transport does not stay connected to \(address)")
        }
        try (reconnection.end() as? Connection)?.close(.none)
    }
}

/// See parley.h.
@c @implementation
public func parley_ban(
    _ transport: OpaquePointer?,
    _ host: UnsafePointer<CChar>?,
    _ duration_ms: Int32
) -> Int32 {
    status {
        let node = try openNode(transport)
        let duration = try banDuration(duration_ms)
        try node.transport.ban(try text(host, "host"), for: duration)
    }
}

/// See parley.h.
@c @implementation
public func parley_unban(_ transport: OpaquePointer?, _ host: UnsafePointer<CChar>?) -> Int32 {
    status { try openNode(transport).transport.unban(try text(host, "host")) }
}

/// See parley.h.
@c @implementation
public func parley_ban_id(
    _ transport: OpaquePointer?,
    _ id: UnsafePointer<CChar>?,
    _ duration_ms: Int32
) -> Int32 {
    status {
        let node = try openNode(transport)
        let duration = try banDuration(duration_ms)
        node.transport.ban(try peerID(id, "id"), for: duration)
    }
}

/// See parley.h.
@c @implementation
public func parley_unban_id(_ transport: OpaquePointer?, _ id: UnsafePointer<CChar>?) -> Int32 {
    status { try openNode(transport).transport.unban(peerID(id, "id")) }
}

private func banDuration(_ duration_ms: Int32) throws(ParleyError) -> Duration {
    try duration(duration_ms, "duration_ms") ?? .century
}
