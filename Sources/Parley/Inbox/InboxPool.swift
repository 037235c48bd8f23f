import Synchronization

/// A capacity that several queues share, so that one whose consumer is slow leaves room for the others.
///
/// A queue may hold as much as is free now. So one full queue takes half of the capacity, two take a third
/// each, and any number leaves a part. An empty queue always has room for one RPC.
///
/// Source: A. K. Choudhury, E. L. Hahne, Dynamic Queue Length Thresholds for Shared-Memory Packet Switches,
/// IEEE/ACM Transactions on Networking 6 (1998).
final class InboxPool: Sendable {
    /// RPCs, and their bytes of payload.
    struct Amount: Equatable {
        var rpcs = 0
        var bytes = 0
    }

    let capacity: Amount
    /// The queue to tell when there is room again.
    private weak let owner: InboxQueue?
    private let heldRPCs = Atomic(0)
    private let heldBytes = Atomic(0)
    private let awaited = Atomic(false)

    init(of owner: InboxQueue) {
        capacity = Amount(rpcs: owner.capacity, bytes: owner.capacityBytes)
        self.owner = owner
    }

    /// What all its queues hold.
    var held: Amount {
        Amount(
            rpcs: heldRPCs.load(ordering: .sequentiallyConsistent),
            bytes: heldBytes.load(ordering: .sequentiallyConsistent)
        )
    }

    /// A queue holds another amount now. Any thread.
    func change(from old: Amount, to new: Amount) {
        heldRPCs.add(new.rpcs &- old.rpcs, ordering: .sequentiallyConsistent)
        heldBytes.add(new.bytes &- old.bytes, ordering: .sequentiallyConsistent)
    }

    /// The room of a queue.
    func room(holding own: Amount, turns: Int) -> InboxRoom {
        Self.room(holding: own, free: free, turns: turns)
    }

    /// Whether a queue has used at most half of what it may hold.
    func isHalfFree(holding own: Amount) -> Bool { Self.isHalfFree(holding: own, free: free) }

    private var free: Amount {
        let held = held
        return Amount(rpcs: capacity.rpcs &- held.rpcs, bytes: capacity.bytes &- held.bytes)
    }

    static func room(holding own: Amount, free: Amount, turns: Int) -> InboxRoom {
        let isEmpty = own.rpcs == 0
        return InboxRoom(
            rpcs: max(isEmpty ? 1 : 0, free.rpcs &- own.rpcs),
            bytes: max(isEmpty ? 1 : 0, free.bytes &- own.bytes),
            turns: turns,
            isOfOnePeer: true
        )
    }

    static func isHalfFree(holding own: Amount, free: Amount) -> Bool {
        own.rpcs == 0 || own.rpcs <= free.rpcs / 2 && own.bytes <= free.bytes / 2
    }

    /// Whether a producer waits for room of all queues together.
    var isAwaited: Bool {
        get { awaited.load(ordering: .sequentiallyConsistent) }
        set { awaited.store(newValue, ordering: .sequentiallyConsistent) }
    }

    /// Tells the owner, if somebody waits there, that a consumer has taken something.
    func tellOwner() { if isAwaited { owner?.laneMadeRoom() } }
}
