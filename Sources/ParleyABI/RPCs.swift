import CParley
import Parley

// Who owns the memory of an RPC. parley.h documents each function.
//
// The `owner` of an RPC is one of
// - NULL: the struct is zeroed, or released;
// - a reference to an ``RPCOwner`` that the RPC holds;
// - a number with the lowest bit set, which no reference has: an RPC of on_rpcs, valid during the call. The
//   number is that of the call.

/// Owns the bytes of RPCs, and their peers. Each RPC holds a reference.
class RPCOwner {
    /// The peer with that number, if it sent one of these RPCs.
    func peer(_ number: parley_peer) -> (any Peer)? { nil }
}

/// What an on_rpcs is called with. It is on the loop's stack during the call.
struct LentRPCs {
    let peer: Unmanaged<Connection>
    /// The run whose block holds the payloads; nil when they lie in memory that is read into again.
    let run: UnsafePointer<MessageRun>?

    private static let mark: UInt = 1

    /// Lends them for the length of `body`, on the loop's thread.
    @inline(__always)
    func lend(_ body: (_ owner: UnsafeMutableRawPointer?) -> Void) {
        let place = peer._withUnsafeGuaranteedRef { $0.context.loop.lent }
        place.pointee.calls &+= 1
        withUnsafePointer(to: self) { lent in
            place.pointee.current = UnsafeRawPointer(lent)
            body(UnsafeMutableRawPointer(bitPattern: Self.owner(ofCall: place.pointee.calls)))
            place.pointee.current = nil
        }
    }

    private static func owner(ofCall number: UInt) -> UInt { number &<< 1 | mark }

    /// Those that `rpc` is one of; nil when they are not lent to this thread now.
    static func of(_ rpc: parley_rpc) -> LentRPCs? {
        guard let lent = EventLoop.lentOnThisThread, let current = lent.current,
            UInt(bitPattern: rpc.owner) == owner(ofCall: lent.calls)
        else { return nil }
        return current.load(as: LentRPCs.self)
    }

    /// Whether an RPC with this owner is one of on_rpcs.
    static func isOwner(_ owner: UnsafeMutableRawPointer) -> Bool { UInt(bitPattern: owner) & mark != 0 }
}

/// Owns the payload of one RPC of on_rpcs that the program keeps.
private final class KeptRPC: RPCOwner {
    private enum Memory {
        case run(MessageRun)
        case slab(ReadSlab)
        case copy(UnsafeMutableRawBufferPointer)
    }

    private let memory: Memory
    private let sender: Connection
    /// Where the payload is now.
    let payload: UnsafePointer<UInt8>?

    /// - Parameter payload: where it is during the call of on_rpcs.
    init(_ lent: LentRPCs, _ payload: UnsafeRawBufferPointer) {
        sender = lent.peer.takeUnretainedValue()
        var start = payload.baseAddress
        if let run = lent.run?.pointee {
            memory = .run(run)
        } else if let slab = sender.loop.slab(with: payload) {
            memory = .slab(slab)
        } else {
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 1)
            copy.copyMemory(from: payload)
            memory = .copy(copy)
            if start != nil { start = UnsafeRawPointer(copy.baseAddress) }
        }
        self.payload = start?.assumingMemoryBound(to: UInt8.self)
    }

    deinit { if case .copy(let copy) = memory { copy.deallocate() } }

    override func peer(_ number: parley_peer) -> (any Peer)? { sender.number == number ? sender : nil }
}

/// An RPC that is not released, and its owner.
private func unreleased(
    _ rpc: UnsafePointer<parley_rpc>?
) throws(ParleyError) -> (rpc: parley_rpc, owner: UnsafeMutableRawPointer) {
    guard let rpc else { throw null("rpc") }
    guard let owner = rpc.pointee.owner else {
        throw ParleyError(.invalidArgument, "rpc is released, or was never filled")
    }
    return (rpc.pointee, owner)
}

/// The sender of an RPC that is not released.
func sender(of rpc: UnsafePointer<parley_rpc>?) throws(ParleyError) -> (any Peer)? {
    let found = try unreleased(rpc)
    if LentRPCs.isOwner(found.owner) { return LentRPCs.of(found.rpc)?.peer.takeUnretainedValue() }
    return Unmanaged<RPCOwner>.fromOpaque(found.owner).takeUnretainedValue().peer(found.rpc.peer)
}

/// See parley.h.
@c @implementation
public func parley_rpc_retain(
    _ rpc: UnsafePointer<parley_rpc>?,
    _ out: UnsafeMutablePointer<parley_rpc>?
) -> Int32 {
    let code = status {
        let out = try output(out, "out")
        let found = try unreleased(rpc)
        var kept = found.rpc
        if LentRPCs.isOwner(found.owner) {
            guard let lent = LentRPCs.of(found.rpc) else {
                throw ParleyError(.invalidArgument, "rpc is of an on_rpcs that has returned")
            }
            let keeper = KeptRPC(lent, UnsafeRawBufferPointer(start: kept.payload, count: kept.length))
            kept.payload = keeper.payload
            kept.owner = Unmanaged<RPCOwner>.passRetained(keeper).toOpaque()
        } else {
            _ = Unmanaged<RPCOwner>.fromOpaque(found.owner).retain()
        }
        out.pointee = kept
    }
    // Releasing it then does nothing.
    if code < 0, let out, UnsafePointer(out) != rpc { out.pointee = parley_rpc() }
    return code
}

/// See parley.h.
@c @implementation
public func parley_rpc_release(_ rpc: UnsafeMutablePointer<parley_rpc>?) {
    guard let rpc, let owner = rpc.pointee.owner, !LentRPCs.isOwner(owner) else { return }
    rpc.pointee = parley_rpc()
    // In a forked child the memory is given up: freeing it could take locks.
    if ForkedChild.isThisProcess { return }
    Unmanaged<RPCOwner>.fromOpaque(owner).release()
}

/// See parley.h.
@c @implementation
public func parley_rpc_from(
    _ rpc: UnsafePointer<parley_rpc>?,
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: Int
) -> Int32 {
    counted { try fill(buffer, size, with: sender(of: rpc)?.remoteAddress.description ?? "") }
}

/// See parley.h.
@c @implementation
public func parley_rpc_userdata(_ rpc: UnsafePointer<parley_rpc>?) -> UnsafeMutableRawPointer? {
    guard !ForkedChild.isThisProcess, let sender = try? sender(of: rpc) as? Connection else { return nil }
    return UnsafeMutableRawPointer(bitPattern: sender.tag)
}
