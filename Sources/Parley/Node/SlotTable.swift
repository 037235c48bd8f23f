/// Elements under numbers that are never reused: the number of a removed element finds nothing, even when its
/// slot has a new element.
///
/// A number is a slot (the lower half, from 1) and a generation. A lookup is an index and a comparison.
struct SlotTable<Element> {
    private struct Slot {
        // This order packs flag and generation into one word.
        var element: Element?
        var generation: UInt32 = 0
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []

    /// How many elements there are.
    var count: Int { slots.count - free.count }
    var isEmpty: Bool { count == 0 }

    /// Every element, in no particular order.
    var elements: some Sequence<Element> { slots.lazy.compactMap(\.element) }

    /// Inserts an element. Returns its number, which is never zero.
    mutating func insert(_ element: Element) -> UInt64 {
        if let place = free.popLast() {
            slots[Int(place)].element = element
            return Self.number(place, slots[Int(place)].generation)
        }
        slots.append(Slot(element: element))
        return Self.number(UInt32(slots.count - 1), 0)
    }

    /// The element under `number`.
    subscript(number: UInt64) -> Element? { place(of: number).flatMap { slots[$0].element } }

    /// Changes the element under `number` in place; does nothing when there is none.
    mutating func change(_ number: UInt64, _ body: (inout Element) -> Void) {
        if let place = place(of: number) { body(&slots[place].element!) }
    }

    /// Calls `body` with the element under `number` without copying the element.
    func with<Result>(_ number: UInt64, _ body: (borrowing Element) -> Result) -> Result? {
        guard let place = place(of: number) else { return nil }
        return slots[place].element.map(body)
    }

    /// Removes an element. Its number is invalid from then on.
    mutating func remove(_ number: UInt64) -> Element? {
        guard let place = place(of: number) else { return nil }
        slots[place].generation &+= 1
        free.append(UInt32(place))
        return slots[place].element.take()
    }

    private static func number(_ place: UInt32, _ generation: UInt32) -> UInt64 {
        UInt64(generation) << 32 | UInt64(place) + 1
    }

    private func place(of number: UInt64) -> Int? {
        let place = Int(UInt32(truncatingIfNeeded: number)) - 1
        guard slots.indices.contains(place), slots[place].element != nil,
            slots[place].generation == UInt32(truncatingIfNeeded: number >> 32)
        else { return nil }
        return place
    }
}
