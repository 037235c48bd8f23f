import FaultProxy
import Testing

@testable import Parley

/// The order of the deadlines, and what of them is kept.
@Suite struct DeadlineHeapTests {
    private typealias Entry = DeadlineHeap.Entry

    private func drain(_ heap: inout DeadlineHeap) -> [DeadlineHeap.Entry] {
        var entries: [Entry] = []
        while let entry = heap.pop(at: .max) { entries.append(entry) }
        return entries
    }

    @Test func `what is not due stays`() {
        var heap = DeadlineHeap()
        #expect(heap.pop(at: .max) == nil && heap.first == nil && heap.count == 0)
        heap.push(.init(due: 20, number: 2))
        heap.push(.init(due: 10, number: 1))
        #expect(heap.first == 10 && heap.count == 2)
        #expect(heap.pop(at: 9) == nil && heap.count == 2)
        #expect(heap.pop(at: 10) == Entry(due: 10, number: 1))
        #expect(heap.first == 20 && heap.pop(at: 19) == nil)
        #expect(heap.pop(at: 21) == Entry(due: 20, number: 2))
        #expect(heap.first == nil && heap.count == 0)
    }

    @Test(arguments: 0..<UInt64(100)) func `deadlines come in the order of their times`(seed: UInt64) {
        var numbers = SeededGenerator(seed: seed)
        var heap = DeadlineHeap()
        let count = Int.random(in: 1...200, using: &numbers)
        let entries = (0..<count).map { Entry(due: .random(in: 0...50, using: &numbers), number: UInt64($0)) }
        for entry in entries {
            heap.push(entry)
            if numbers.oneIn(3) { heap.compact(live: 0) { _ in true } }
        }
        let drained = drain(&heap)
        #expect(drained.map(\.due) == entries.map(\.due).sorted())
        #expect(drained.map(\.number).sorted() == entries.map(\.number))
    }

    @Test func `deadlines that are pushed while others are popped come in order too`() {
        var numbers = SeededGenerator(seed: 1)
        var heap = DeadlineHeap()
        var last: UInt64 = 0
        for number in 0..<UInt64(2_000) {
            heap.push(.init(due: last + .random(in: 0...100, using: &numbers), number: number))
            guard number.isMultiple(of: 3), let entry = heap.pop(at: .max) else { continue }
            #expect(entry.due >= last)
            last = entry.due
        }
    }

    // MARK: Compaction

    @Test(arguments: [
        (entries: 64, live: 0, isCompacted: false),
        (entries: 65, live: 0, isCompacted: true),
        (entries: 100, live: 50, isCompacted: false),
        (entries: 101, live: 50, isCompacted: true),
        (entries: 1_000, live: 500, isCompacted: false),
        (entries: 1_001, live: 500, isCompacted: true),
    ]) func `many entries are compacted once most are of no use`(entries: Int, live: Int, isCompacted: Bool) {
        var heap = DeadlineHeap()
        for number in 0..<entries { heap.push(.init(due: UInt64(entries - number), number: UInt64(number))) }
        var looks = 0
        heap.compact(live: live) { entry in
            looks += 1
            return entry.number < live
        }
        #expect(heap.count == (isCompacted ? live : entries))
        #expect(looks == (isCompacted ? entries : 0), "each is looked at once, or none is")
        let drained = drain(&heap)
        #expect(drained.map(\.due) == drained.map(\.due).sorted())
        if isCompacted { #expect(Set(drained.map(\.number)) == Set(0..<UInt64(live))) }
    }

    @Test func `200,000 connections that came and went leave a small heap`() {
        var numbers = SeededGenerator(seed: 7)
        var heap = DeadlineHeap()
        // The time-outs of the ten that are there; the rest is gone.
        var deadlines: [UInt64: UInt64] = [:]
        var looks = 0
        var most = 0
        for number in 0..<UInt64(200_000) {
            let due = UInt64.random(in: 0...1_000_000, using: &numbers)
            deadlines[number] = due
            heap.push(.init(due: due, number: number))
            if number >= 10 { deadlines[number - 10] = nil }
            heap.compact(live: deadlines.count) { entry in
                looks += 1
                return deadlines[entry.number] == entry.due
            }
            most = max(most, heap.count)
        }
        #expect(most <= 65)
        #expect(looks <= 3 * 200_000, "each entry is looked at a bounded number of times")
        let drained = drain(&heap)
        #expect(drained.map(\.due) == drained.map(\.due).sorted())
        let live = drained.filter { deadlines[$0.number] == $0.due }.map(\.number)
        #expect(
            Set(live) == Set(deadlines.keys) && live.count == deadlines.count,
            "nobody's time-out is lost"
        )
    }

    @Test func `many connections that stay and go later cost a bounded number of looks`() {
        var heap = DeadlineHeap()
        for number in 0..<UInt64(100_000) { heap.push(.init(due: number ^ 0x5555, number: number)) }
        var looks = 0
        for gone in UInt64(1)...100_000 {
            heap.compact(live: Int(100_000 - gone)) { entry in
                looks += 1
                return entry.number >= gone
            }
        }
        #expect(heap.count <= 64)
        #expect(looks <= 300_000)
    }

    @Test func `a connection that returns to the same time has one entry after all`() {
        var heap = DeadlineHeap()
        var looks = 0
        // A deadline in an hour, and earlier ones that come and go: the far one is pushed again behind each.
        for round in 0..<UInt64(10_000) {
            for number in 0..<UInt64(10) {
                heap.push(.init(due: round, number: number))
                #expect(heap.pop(at: round)?.due == round)
                heap.push(.init(due: 3_600_000, number: number))
                heap.compact(live: 10) { entry in
                    looks += 1
                    return entry.due == 3_600_000
                }
            }
        }
        #expect(heap.count <= 65)
        #expect(looks <= 3 * 100_000)
        #expect(Set(drain(&heap).map(\.number)) == Set(0..<10))
    }
}
