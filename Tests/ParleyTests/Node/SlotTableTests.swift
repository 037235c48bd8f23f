import Testing

@testable import Parley

/// Numbers of connections: never zero, and never used twice.
@Suite struct SlotTableTests {
    @Test func `a number finds its element until it is removed, and nothing after`() {
        var table = SlotTable<String>()
        #expect(table.isEmpty && table[0] == nil && table[1] == nil)
        let first = table.insert("first")
        let second = table.insert("second")
        #expect(first != 0 && second != 0 && first != second)
        #expect(table[first] == "first" && table[second] == "second")
        #expect(table.with(second) { $0 } == "second")
        #expect(table.remove(first) == "first")
        #expect(table[first] == nil && table.remove(first) == nil && table.with(first) { $0 } == nil)
        #expect(table.count == 1 && Array(table.elements) == ["second"])

        let third = table.insert("third")
        #expect(third != first, "a place is used again, a number is not")
        #expect(table[first] == nil && table[third] == "third")
        table.change(first) { $0 = "nobody's" }
        #expect(table[third] == "third")
        table.change(third) { $0 = "changed" }
        #expect(table[third] == "changed")
        #expect(table.count == 2)
    }

    @Test func `a place that is used again and again gives a new number each time`() {
        var table = SlotTable<Int>()
        var numbers = Set<UInt64>()
        for element in 0..<1_000 {
            let number = table.insert(element)
            #expect(numbers.insert(number).inserted)
            #expect(table.remove(number) == element)
        }
        #expect(table.isEmpty)
        #expect(numbers.allSatisfy { table[$0] == nil })
    }
}
