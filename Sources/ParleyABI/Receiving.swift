import CParley
import Parley

// The consumer's side: RPCs out of the inbox. parley.h says what each function does.

/// What the owners of RPCs that were consumed together refer to: it holds their bytes and their peers, and is retained
/// once for each.
final class RPCBatch {
    let rpcs: [RPC]
    init(_ rpcs: [RPC]) { self.rpcs = rpcs }
}

/// Takes up to `capacity` RPCs into `out`.
private func consume(
    _ transport: OpaquePointer?,
    _ out: UnsafeMutablePointer<parley_rpc>?,
    _ capacity: Int,
    _ timeout_ms: Int32
) throws -> Int {
    let node = try node(transport)
    let out = try place(out)
    guard !node.takesRPCs else {
        throw ParleyError(.invalidArgument, "this transport hands its RPCs to on_rpcs")
    }
    guard capacity > 0 else { throw ParleyError(.invalidArgument, "room for \(capacity) RPCs") }
    let patience = try Patience(milliseconds: timeout_ms)
    if case .until = patience { try checkMayBlock("waiting for a message") }
    guard let rpcs = try node.transport.inbox.next(atMost: capacity, patience) else {
        throw ParleyError(.closed, "the transport is closed, and everything was consumed")
    }
    let batch = RPCBatch(rpcs)
    for (index, rpc) in rpcs.enumerated() {
        out[index] = parley_rpc(rpc, owner: Unmanaged.passRetained(batch).toOpaque())
    }
    return rpcs.count
}

/// See parley.h.
@c @implementation
public func parley_consume(
    _ transport: OpaquePointer?,
    _ rpc: UnsafeMutablePointer<parley_rpc>?,
    _ timeout_ms: Int32
) -> Int32 {
    status { _ = try consume(transport, rpc, 1, timeout_ms) }
}

/// See parley.h.
@c @implementation
public func parley_consume_batch(
    _ transport: OpaquePointer?,
    _ rpcs: UnsafeMutablePointer<parley_rpc>?,
    _ capacity: Int,
    _ timeout_ms: Int32
) -> Int32 {
    counted { Int32(try consume(transport, rpcs, min(capacity, Int(Int32.max)), timeout_ms)) }
}

/// See parley.h.
@c @implementation
public func parley_try_consume(_ transport: OpaquePointer?, _ rpc: UnsafeMutablePointer<parley_rpc>?) -> Int32
{
    status { _ = try consume(transport, rpc, 1, 0) }
}

/// See parley.h.
@c @implementation
public func parley_rpc_release(_ rpc: UnsafeMutablePointer<parley_rpc>?) {
    guard let rpc, let owner = rpc.pointee.owner else { return }
    rpc.pointee = parley_rpc()
    Unmanaged<RPCBatch>.fromOpaque(owner).release()
}

/// See parley.h.
@c @implementation
public func parley_rpc_from(
    _ rpc: UnsafePointer<parley_rpc>?,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted {
        guard let rpc, let owner = rpc.pointee.owner else {
            throw ParleyError(.invalidArgument, "an RPC that was not consumed, or is released")
        }
        let batch = Unmanaged<RPCBatch>.fromOpaque(owner).takeUnretainedValue()
        let peer = batch.rpcs.lazy.map(\.peer).first { ($0 as? Connection)?.number == rpc.pointee.peer }
        return fill(buffer, size, with: peer?.remoteAddress.description ?? "")
    }
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
