import Synchronization

/// Messages at the head of an ``InboxQueue`` that its consumers take one at a time without the queue's lock.
///
/// The queue still counts them as waiting. Under its lock it closes the run before it looks at its head or at
/// what it holds, and learns how many were taken. The run's last message is never among them, so a queue with
/// an open run is never empty.
final class OpenRun: Sendable {
    /// Fewer messages are taken under the lock for less.
    static let shortest = 8

    private let delivery: RPCBatch.Delivery
    private let end: Int
    /// The index of the first message that nobody has taken. Orders nothing: the messages do not change, and
    /// whoever has the run got it under the lock.
    private let next: Atomic<Int>

    /// Opens the first `count` messages of a delivery, which has more.
    init(_ count: Int, of delivery: RPCBatch.Delivery) {
        assert(count < delivery.count)
        self.delivery = delivery
        end = delivery.lower &+ count
        next = Atomic(delivery.lower)
    }

    /// Who sent the messages.
    var peer: any Peer { @inline(__always) get { delivery.peer } }

    /// Takes the oldest message. Nil when all are taken, and once the run is closed. Any thread.
    @inline(__always)
    func take() -> RPC? {
        var index = next.load(ordering: .relaxed)
        while index < end {
            let (isTaken, now) = next.weakCompareExchange(
                expected: index,
                desired: index &+ 1,
                ordering: .relaxed
            )
            if isTaken { return delivery.rpc(at: index) }
            index = now
        }
        return nil
    }

    /// Lets nobody take more. Returns the index of the first message that nobody has taken.
    func close() -> Int { next.exchange(.max, ordering: .relaxed) }
}
