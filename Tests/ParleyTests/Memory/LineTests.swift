import Testing

@testable import Parley

/// Elements that wait in a line.
struct LineTests {
    @Test func `the first comes first, whatever is added meanwhile`() {
        var line = Line<Int>(keeping: 8)
        #expect(line.popFirst() == nil)
        var (added, taken) = (0, 0)
        for step in 0..<1_000 {
            for _ in 0..<step % 7 {
                line.append(added)
                added += 1
            }
            for _ in 0..<min(step % 5, added - taken) {
                #expect(line.popFirst() == taken)
                taken += 1
            }
            #expect(line.count == added - taken && line.isEmpty == (added == taken))
        }
        while let next = line.popFirst() {
            #expect(next == taken)
            taken += 1
        }
        #expect(taken == added && line.isEmpty && line.placesHeld == 0)
    }

    @Test func `one that is never empty does not grow`() {
        var line = Line<Int>(keeping: 1_024)
        line.append(0)
        for number in 1...100_000 {
            line.append(number)
            _ = line.popFirst()
        }
        #expect(line.count == 1)
        #expect(line.placesHeld <= 256)
        #expect(line.popFirst() != nil && line.popFirst() == nil && line.isEmpty)
    }

    @Test func `what was taken is not kept alive`() {
        final class Object {}
        var line = Line<Object>(keeping: 8)
        weak var first: Object?
        do {
            let object = Object()
            first = object
            line.append(object)
        }
        line.append(Object())
        _ = line.popFirst()
        #expect(first == nil && line.count == 1)
    }
}
