/// Items of several sources that wait in one line, the oldest first. When it is full, the source that has
/// most of them gives way: one alone cannot keep the others out.
struct SharedLine<Item, Source: Hashable> {
    private var items: [(item: Item, source: Source)] = []
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    var isEmpty: Bool { items.isEmpty }

    /// Adds an item at the end.
    ///
    /// - Returns: the item that has no room: the newest of the source with most of them, which may be this
    ///   one. Nil when there is room for all.
    mutating func append(_ item: Item, from source: Source) -> Item? {
        items.append((item, source))
        guard items.count > capacity else { return nil }
        // Of several sources with equally many, the one that comes now: what waits already stays.
        var counts: [Source: Int] = [:]
        for item in items { counts[item.source, default: 0] += 1 }
        let most = counts.values.max() ?? 0
        let last = items.lastIndex { counts[$0.source] == most } ?? items.endIndex - 1
        return items.remove(at: last).item
    }

    mutating func popFirst() -> Item? { items.isEmpty ? nil : items.removeFirst().item }

    /// Removes all. Returns them, the oldest first.
    mutating func removeAll() -> [Item] {
        defer { items = [] }
        return items.map(\.item)
    }
}
