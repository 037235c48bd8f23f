/// A peer that hears when consumers are done with what it sent.
protocol RPCSender: AnyObject {
    /// A consumer is done with so many of its RPCs. Any thread.
    func consumed(_ count: Int)
}

/// The RPCs that one consumer has taken and is not done with. It is done when it asks for more.
///
/// Consecutive RPCs of one peer are counted together: the peer hears of them when the consumer turns to
/// another peer, waits, or ends.
///
/// `@unchecked Sendable`: one consumer uses it, as it does its iterator.
@usableFromInline
final class ConsumerHand: @unchecked Sendable {
    private struct Held {
        var sender: (any Peer)?
        var count = 0
        var batch: RPCBatch?
    }

    private let held = PointerBox(Held())

    deinit {
        putDown()
        held.deallocate()
    }

    @inline(__always)
    func take(_ rpc: RPC) {
        if held.value.sender !== rpc.peer {
            putDown()
            held.value.sender = rpc.peer
        }
        held.value.count &+= 1
    }

    func take(_ batch: RPCBatch) {
        putDown()
        held.value.batch = batch
    }

    /// Tells the senders that the consumer is done.
    func putDown() {
        if let sender = held.value.sender {
            let count = held.value.count
            held.value.sender = nil
            held.value.count = 0
            (sender as? any RPCSender)?.consumed(count)
        }
        if let batch = held.value.batch {
            held.value.batch = nil
            for delivery in batch.deliveries { (delivery.peer as? any RPCSender)?.consumed(delivery.count) }
        }
    }
}
