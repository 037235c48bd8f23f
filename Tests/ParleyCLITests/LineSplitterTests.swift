import Testing

@testable import ParleyCLI

@Suite("Input is cut into lines")
struct LineSplitterTests {
    private func lines(_ blocks: String..., maxBytes: Int = 8) -> [InputLine] {
        var splitter = LineSplitter(maxBytes: maxBytes)
        let whole = blocks.flatMap { splitter.feed(Array($0.utf8)) }
        return whole + [splitter.finish()].compactMap { $0 }
    }

    private func text(_ text: String) -> InputLine { .text(Array(text.utf8)) }

    @Test("wherever the blocks end")
    func blocks() {
        #expect(lines("one\ntwo\n") == [text("one"), text("two")])
        #expect(lines("o", "ne\nt", "wo", "\n") == [text("one"), text("two")])
    }

    @Test("empty ones too, and the last without its newline")
    func emptyAndLast() {
        #expect(lines("\n\nend") == [text(""), text(""), text("end")])
        #expect(lines() == [])
    }

    @Test("of a bounded length; longer ones are only counted")
    func tooLong() {
        #expect(lines("12345678\n") == [text("12345678")])
        #expect(lines("12345", "6789\nok\n") == [.tooLong(byteCount: 9), text("ok")])
        #expect(lines("1234567890") == [.tooLong(byteCount: 10)])
    }
}
