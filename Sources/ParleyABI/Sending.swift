import CParley
import Parley

// Sending messages and raw bytes. parley.h documents each function.

/// See parley.h.
@c @implementation
public func parley_send_message(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ message: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let limit = try WaitLimit(milliseconds: timeout_ms)
        // A small message is encoded from the caller's memory. A large one is copied once and kept until it
        // is written.
        guard let message, (1..<WireBuffer.keptSliceBytes).contains(length) else {
            let connection = try connection(transport, peer)
            let message = try checkedMessage(connection.node, message, length, "message")
            return try connection.send(message: message, limit)
        }
        let bytes = UnsafeRawBufferPointer(start: message, count: length).bindMemory(to: UInt8.self)
        let isFound = try withNode(transport) { try $0.send(message: bytes.span, to: peer, limit) }
        guard isFound else { throw noSuchPeer(peer) }
    }
}

/// Copies a message, or a stream's header, when its length is within the limit.
func checkedMessage(
    _ node: Node,
    _ message: UnsafeRawPointer?,
    _ length: Int,
    _ name: StaticString,
    _ lengthName: StaticString = "length"
) throws(ParleyError) -> ArraySlice<UInt8> {
    try checkSize(length, lengthName)
    try node.checkLength(ofMessage: length)
    return try bytes(message, length, name, lengthName)
}

/// See parley.h.
@c @implementation
public func parley_send(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ data: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32
) -> Int32 {
    status {
        let connection = try connection(transport, peer)
        try checkSize(length, "length")
        try connection.node.checkLength(ofRawBytes: length)
        try connection.send(try bytes(data, length, "bytes"), try WaitLimit(milliseconds: timeout_ms))
    }
}

/// See parley.h.
@c @implementation
public func parley_write(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ data: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32
) -> Int32 { parley_send(transport, peer, data, length, timeout_ms) }

/// See parley.h.
@c @implementation
public func parley_broadcast(
    _ transport: OpaquePointer?,
    _ message: UnsafeRawPointer?,
    _ length: Int
) -> Int32 {
    counted {
        let transport = try openNode(transport).transport!
        let message = try checkedMessage(transport.node, message, length, "message")
        return Int32(clamping: transport.broadcast(message: message).accepted)
    }
}

/// See parley.h.
@c @implementation
public func parley_broadcast_wait(
    _ transport: OpaquePointer?,
    _ message: UnsafeRawPointer?,
    _ length: Int,
    _ timeout_ms: Int32
) -> Int32 {
    counted {
        let transport = try openNode(transport).transport!
        let message = try checkedMessage(transport.node, message, length, "message")
        if timeout_ms == 0 { return Int32(clamping: transport.broadcast(message: message).accepted) }
        // The longest that a broadcast waits.
        let limit = try duration(timeout_ms, "timeout_ms") ?? .seconds(1 << 32)
        return try blocking("a broadcast") {
            Int32(clamping: await transport.broadcast(message: message, within: limit).accepted)
        }
    }
}

/// A callback of the program that concerns one peer.
public typealias PeerFunction = @convention(c) (OpaquePointer?, parley_peer, UnsafeMutableRawPointer?) -> Void

/// Binds the arguments of a callback that concerns one peer. Without a function, `event` goes to the inbox.
func bound(
    _ function: PeerFunction?,
    _ argument: UnsafeMutableRawPointer?,
    _ transport: OpaquePointer?,
    _ connection: Connection,
    else event: PeerEvent
) throws(ParleyError) -> @Sendable () -> Void {
    let node = try node(transport)
    guard let function else {
        guard node.transport.node.options.peerEventCapacity > 0 else {
            throw ParleyError(.invalidArgument, "function is NULL, and peer_event_capacity is 0")
        }
        return { connection.tell(event) }
    }
    let call = Foreign((function, argument))
    return { call.value.0(handle(node), connection.number, call.value.1) }
}

/// See parley.h.
@c @implementation
public func parley_when_writable(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ function: PeerFunction?,
    _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    status {
        let connection = try connection(transport, peer)
        let call = try bound(function, argument, transport, connection, else: .writable)
        try connection.whenWritable(call)
    }
}
