/// When which connection is to be looked at: a heap by time. One for each loop.
///
/// Entries name connections by number, so that one that has ended is not kept by its own time-outs.
struct DeadlineHeap {
    struct Entry {
        let due: UInt64
        let number: UInt64
    }

    private var heap: [Entry] = []

    var first: UInt64? { heap.first?.due }

    mutating func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, heap[(child - 1) / 2].due > heap[child].due {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// The first entry, if it is due.
    mutating func pop(at now: UInt64) -> Entry? {
        guard let first = heap.first, first.due <= now else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].due < heap[least].due {
                least = child
            }
            guard least != parent else { return first }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
