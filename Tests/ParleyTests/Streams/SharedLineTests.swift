import Testing

@testable import Parley

/// Who waits, and who gives way when a line is full.
@Suite struct SharedLineTests {
    @Test(arguments: [
        // What arrives, as source and number; what has no room; what waits then. There is room for four.
        ("a1 a2 a3 a4", "", "a1 a2 a3 a4"),
        ("a1 a2 a3 a4 a5", "a5", "a1 a2 a3 a4"),
        ("a1 a2 a3 a4 b1", "a4", "a1 a2 a3 b1"),
        ("a1 a2 a3 a4 b1 b2", "a4 a3", "a1 a2 b1 b2"),
        // Nobody gives way to one that has as many.
        ("a1 a2 a3 a4 b1 b2 b3", "a4 a3 b3", "a1 a2 b1 b2"),
        ("a1 b1 c1 d1 e1", "e1", "a1 b1 c1 d1"),
        ("a1 b1 b2 c1 d1", "b2", "a1 b1 c1 d1"),
        ("b1 a1 a2 b2 c1", "b2", "b1 a1 a2 c1"),
    ])
    func `the source with most of them gives way`(arriving: String, refused: String, left: String) {
        var line = SharedLine<Substring, Character>(capacity: 4)
        let gone = arriving.split(separator: " ").compactMap { line.append($0, from: $0.first ?? " ") }
        #expect(gone.joined(separator: " ") == refused)
        #expect(line.removeAll().joined(separator: " ") == left)
        #expect(line.isEmpty && line.popFirst() == nil)
    }
}
