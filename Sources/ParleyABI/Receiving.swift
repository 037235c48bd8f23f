import CParley
import Parley

// Consuming RPCs from the inbox. parley.h documents each function.

/// Owns the bytes and the peers of RPCs that were consumed together.
final class ConsumedRPCs: RPCOwner {
    private let taken: RPCBatch.Taken

    init(_ taken: consuming RPCBatch.Taken) { self.taken = taken }

    deinit { taken.finish() }

    /// Writes the RPCs as C structs, each with a retained owner. The payloads stay valid while one owner is
    /// retained, because the storage of an array does not move.
    func fill(_ rpcs: UnsafeMutablePointer<parley_rpc>) {
        var next = rpcs
        fill(&next, taken.first)
        for delivery in taken.others { fill(&next, delivery) }
    }

    private func fill(_ next: inout UnsafeMutablePointer<parley_rpc>, _ delivery: RPCBatch.Delivery) {
        let owner = Unmanaged<RPCOwner>.passUnretained(self)
        let peer = number(delivery.peer)
        delivery.run.block.withUnsafeBufferPointer { bytes in
            for index in delivery.lower..<delivery.upper {
                next.pointee = parley_rpc(
                    bytes,
                    delivery.run.bounds(at: index),
                    peer,
                    delivery.run.kind,
                    owner: owner.retain().toOpaque()
                )
                if let event = delivery.run.event { next.pointee.tell(event) }
                next += 1
            }
        }
    }

    override func peer(_ number: parley_peer) -> (any Peer)? {
        if self.number(taken.first.peer) == number { return taken.first.peer }
        return taken.others.first { self.number($0.peer) == number }?.peer
    }

    private func number(_ peer: any Peer) -> parley_peer { (peer as? Connection)?.number ?? 0 }
}

/// Takes up to `capacity` RPCs into `out`.
private func consume(
    _ transport: OpaquePointer?,
    _ out: UnsafeMutablePointer<parley_rpc>?,
    _ name: StaticString,
    _ capacity: Int,
    _ timeout_ms: Int32
) throws -> Int {
    let node = try node(transport)
    let out = try output(out, name)
    guard !node.takesRPCs else {
        throw ParleyError(.invalidArgument, "this transport hands its RPCs to on_rpcs")
    }
    try checkSize(capacity, "capacity")
    guard capacity > 0 else { throw ParleyError(.invalidArgument, "capacity is 0") }
    let limit = try WaitLimit(milliseconds: timeout_ms)
    guard let taken = try node.transport.inbox.next(atMost: capacity, limit) else {
        throw ParleyError(.closed, "the transport is closed, and every RPC was consumed")
    }
    let count = taken.count
    ConsumedRPCs(taken).fill(out)
    return count
}

/// See parley.h.
@c @implementation
public func parley_consume(
    _ transport: OpaquePointer?,
    _ rpc: UnsafeMutablePointer<parley_rpc>?,
    _ timeout_ms: Int32
) -> Int32 {
    consumeOne(transport, rpc, timeout_ms)
}

/// See parley.h.
@c @implementation
public func parley_consume_batch(
    _ transport: OpaquePointer?,
    _ rpcs: UnsafeMutablePointer<parley_rpc>?,
    _ capacity: Int,
    _ timeout_ms: Int32
) -> Int32 {
    counted { Int32(try consume(transport, rpcs, "rpcs", min(capacity, Int(Int32.max)), timeout_ms)) }
}

/// See parley.h.
@c @implementation
public func parley_try_consume(_ transport: OpaquePointer?, _ rpc: UnsafeMutablePointer<parley_rpc>?) -> Int32
{
    consumeOne(transport, rpc, 0)
}

/// The RPC is all zero on an error: releasing it then does nothing.
private func consumeOne(
    _ transport: OpaquePointer?,
    _ rpc: UnsafeMutablePointer<parley_rpc>?,
    _ timeout_ms: Int32
) -> Int32 {
    let code = status { _ = try consume(transport, rpc, "rpc", 1, timeout_ms) }
    if code < 0 { rpc?.pointee = parley_rpc() }
    return code
}

/// See parley.h.
@c @implementation
public func parley_fd(_ transport: OpaquePointer?) -> Int32 {
    counted {
        let node = try node(transport)
        guard !node.takesRPCs else {
            throw ParleyError(.invalidArgument, "this transport hands its RPCs to on_rpcs")
        }
        return try node.transport.inbox.pollableDescriptor()
    }
}
