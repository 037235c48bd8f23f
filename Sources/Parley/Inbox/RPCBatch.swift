/// RPCs in order of arrival, as a collection. Iterating it is cheaper than iterating an array of RPCs.
///
/// Messages that arrived together share their memory here. An ``RPC`` is made when you reach it.
public struct RPCBatch: Sendable {
    /// The messages of one run from one peer, or a part of them.
    @usableFromInline
    package struct Delivery: Sendable {
        @usableFromInline package let peer: any Peer
        @usableFromInline package let run: MessageRun
        /// The first message of the run that is not taken yet.
        @usableFromInline package var lower: Int
        /// The end of the messages that belong to this delivery.
        @usableFromInline package var upper: Int

        init(_ peer: any Peer, _ run: consuming MessageRun) {
            lower = 0
            upper = run.count
            self.peer = peer
            self.run = run
        }

        @inlinable
        package var count: Int { upper &- lower }

        /// The message at `index` of the run.
        @inlinable @inline(__always)
        func rpc(at index: Int) -> RPC { RPC(peer: peer, payload: run[index], kind: run.kind) }

        /// The payload bytes of the messages that are not taken yet.
        var payloadBytes: Int {
            // Adds up the messages of this delivery, or the other ones of the run, whichever are fewer.
            guard count > run.count / 2 else { return bytes(of: lower..<upper) }
            return run.payloadBytes &- bytes(of: 0..<lower) &- bytes(of: upper..<run.count)
        }

        private func bytes(of messages: Range<Int>) -> Int {
            messages.reduce(0) { $0 &+ run.bounds(at: $1).count }
        }

        /// How many of the first messages that are not taken yet have at most `bytes` of payload together.
        func messages(within bytes: Int) -> Int {
            var left = bytes
            for index in lower..<upper {
                left &-= run.bounds(at: index).count
                if left < 0 { return index &- lower }
            }
            return count
        }
    }

    /// What a consumer has taken from a queue at once. Usually it is one delivery, which needs no array.
    ///
    /// It is moved from the queue to its owner. Copies of it would cost more than that array.
    package struct Taken: ~Copyable, Sendable {
        package let first: Delivery
        package let others: [Delivery]
        /// The number of RPCs in all of them.
        package let count: Int
    }

    @usableFromInline package let deliveries: [Delivery]
    /// The number of RPCs.
    public let count: Int

    init(_ taken: consuming Taken) {
        count = taken.count
        deliveries = taken.others.isEmpty ? [taken.first] : [taken.first] + taken.others
    }
}

extension RPCBatch {
    /// Tells the peers that a consumer is done with these RPCs. Once for each batch.
    package func finish() {
        // By index: a loop over the elements copies each.
        for index in deliveries.indices { deliveries[index].finish() }
    }
}

extension RPCBatch.Taken {
    /// Tells the peers that a consumer is done with these RPCs. Once.
    package func finish() {
        first.finish()
        for delivery in others { delivery.finish() }
    }
}

extension RPCBatch.Delivery {
    fileprivate func finish() { if run.event == nil { peer.consumed(count) } }
}

extension RPCBatch: Collection {
    /// A position in a batch.
    public struct Index: Comparable, Sendable {
        @usableFromInline let delivery: Int
        @usableFromInline let message: Int

        @inlinable
        init(_ delivery: Int, _ message: Int) {
            self.delivery = delivery
            self.message = message
        }

        /// Whether one position is before another.
        @inlinable
        public static func < (one: Index, other: Index) -> Bool {
            (one.delivery, one.message) < (other.delivery, other.message)
        }
    }

    /// The position of the oldest RPC.
    @inlinable
    public var startIndex: Index { Index(0, deliveries.first?.lower ?? 0) }

    /// The position after the newest RPC.
    @inlinable
    public var endIndex: Index { Index(deliveries.count, 0) }

    /// The position after `index`.
    @inlinable
    public func index(after index: Index) -> Index {
        if index.message &+ 1 < deliveries[index.delivery].upper {
            return Index(index.delivery, index.message &+ 1)
        }
        let next = index.delivery &+ 1
        return Index(next, next < deliveries.count ? deliveries[next].lower : 0)
    }

    /// The RPC at a position.
    @inlinable
    public subscript(index: Index) -> RPC { deliveries[index.delivery].rpc(at: index.message) }

    /// Makes an iterator over the RPCs.
    @inlinable
    public func makeIterator() -> Iterator { Iterator(self) }

    /// Makes one RPC at a time.
    public struct Iterator: IteratorProtocol {
        @usableFromInline let deliveries: [Delivery]
        /// What is left of the delivery that is being iterated.
        @usableFromInline var current: Delivery
        /// The index of the delivery after it.
        @usableFromInline var following = 1

        @inlinable
        init(_ batch: RPCBatch) {
            deliveries = batch.deliveries
            current = batch.deliveries[0]
        }

        /// The next RPC; nil at the end.
        @inlinable
        public mutating func next() -> RPC? {
            if current.lower == current.upper {
                guard following < deliveries.count else { return nil }
                current = deliveries[following]
                following &+= 1
            }
            let rpc = current.rpc(at: current.lower)
            current.lower &+= 1
            return rpc
        }
    }
}
