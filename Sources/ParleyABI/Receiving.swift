import CParley
import Parley

// Consuming RPCs from the inbox. parley.h documents each function.

/// Owns the bytes and the peers of RPCs that were consumed together.
final class ConsumedRPCs: RPCOwner {
    private let batch: RPCBatch
    init(_ batch: RPCBatch) { self.batch = batch }

    /// Writes the RPCs as C structs, each with a retained owner. The payloads stay valid while one owner is
    /// retained, because the storage of an array does not move.
    func fill(_ rpcs: UnsafeMutablePointer<parley_rpc>) {
        let owner = Unmanaged<RPCOwner>.passUnretained(self)
        var next = rpcs
        // By index: a loop over the elements copies each.
        let deliveries = batch.deliveries
        for place in deliveries.indices {
            let peer = number(deliveries[place].peer)
            deliveries[place].run.block.withUnsafeBufferPointer { bytes in
                for index in deliveries[place].lower..<deliveries[place].upper {
                    next.pointee = parley_rpc(
                        bytes,
                        deliveries[place].run.bounds(at: index),
                        peer,
                        deliveries[place].run.kind,
                        owner: owner.retain().toOpaque()
                    )
                    if let event = deliveries[place].run.event { next.pointee.tell(event) }
                    next += 1
                }
            }
        }
    }

    deinit { batch.finish() }

    override func peer(_ number: parley_peer) -> (any Peer)? {
        batch.deliveries.first { self.number($0.peer) == number }?.peer
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
    guard let rpcs = try node.transport.inbox.next(atMost: capacity, limit) else {
        throw ParleyError(.closed, "the transport is closed, and every RPC was consumed")
    }
    ConsumedRPCs(rpcs).fill(out)
    return rpcs.count
}

/// See parley.h.
@c @implementation
public func parley_consume(
    _ transport: OpaquePointer?,
    _ rpc: UnsafeMutablePointer<parley_rpc>?,
    _ timeout_ms: Int32
) -> Int32 {
    status { _ = try consume(transport, rpc, "rpc", 1, timeout_ms) }
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
    status { _ = try consume(transport, rpc, "rpc", 1, 0) }
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
