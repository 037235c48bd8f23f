import Synchronization

/// Messages that arrived together, which the consumers of an ``InboxQueue`` take one at a time without its
/// lock. They are the oldest of the queue, and the queue counts them as waiting until it closes the run.
///
/// The last message of a delivery is never in a run. So a queue with an open run is not empty.
@usableFromInline
final class OpenRun: Sendable {
    /// The least number of messages. Fewer are not worth an object.
    static let shortest = 8

    @usableFromInline let delivery: RPCBatch.Delivery
    @usableFromInline let end: Int
    /// The index of the first message that nobody has taken.
    ///
    /// Relaxed access is enough. The messages do not change, and a consumer gets the run under the lock.
    @usableFromInline let next: Atomic<Int>

    /// Opens the first `count` messages of a delivery, which has more.
    init(_ count: Int, of delivery: RPCBatch.Delivery) {
        assert(count < delivery.count)
        self.delivery = delivery
        end = delivery.lower &+ count
        next = Atomic(delivery.lower)
    }

    /// Who sent the messages.
    @inlinable var peer: any Peer { @inline(__always) get { delivery.peer } }

    /// Takes the oldest message. Nil when all are taken or the run is closed. Any thread.
    @inlinable @inline(__always)
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

    /// Ends the run: from now on ``take()`` returns nil.
    ///
    /// - Returns: the index of the first message that nobody has taken.
    func close() -> Int { next.exchange(.max, ordering: .relaxed) }
}
