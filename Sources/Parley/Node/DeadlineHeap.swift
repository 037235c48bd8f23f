/// The deadlines of one loop's connections, in a heap by time.
///
/// Entries refer to connections by number, so that a time-out does not keep a connection alive.
struct DeadlineHeap {
    struct Entry: Equatable {
        /// Milliseconds of the loop's clock.
        let due: UInt64
        let number: UInt64
    }

    private var heap: [Entry] = []

    var first: UInt64? { heap.first?.due }
    var count: Int { heap.count }

    mutating func push(_ entry: Entry) {
        heap.append(entry)
        siftUp(heap.count - 1)
    }

    /// Removes and returns the first entry if it is due.
    mutating func pop(at now: UInt64) -> Entry? {
        guard let first = heap.first, first.due <= now else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        siftDown(0)
        return first
    }

    /// Removes all entries. Keeps the memory for as many as there usually are.
    mutating func clear() { heap.empty(keeping: 64) }

    /// Removes the entries that are not live, and all but one of each connection, once they are the majority
    /// of more than 64. So each entry is visited a bounded number of times.
    ///
    /// - Parameters:
    ///   - live: the number of connections.
    ///   - isLive: whether an entry is live.
    mutating func compact(live: Int, _ isLive: (Entry) -> Bool) {
        guard heap.count > 64, heap.count > 2 * live else { return }
        // A connection whose deadline was set to the same time twice has two live entries.
        var kept = Set<UInt64>()
        heap.removeAll { !isLive($0) || !kept.insert($0.number).inserted }
        if heap.capacity > 4 * heap.count { heap = heap.duplicate }
        for index in heap.indices.prefix(heap.count / 2).reversed() { siftDown(index) }
    }

    private mutating func siftUp(_ index: Int) {
        var child = index
        while child > 0, heap[(child - 1) / 2].due > heap[child].due {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func siftDown(_ index: Int) {
        var parent = index
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].due < heap[least].due {
                least = child
            }
            guard least != parent else { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
