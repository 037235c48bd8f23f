import Parley
import Testing

@Suite("Text that others chose")
struct PrintableTextTests {
    @Test(
        "is shown as it is when it is printable",
        arguments: ["plain", "grüße 你好", "👩‍👩‍👧", "back\\slash", "", " ", "~", "\u{200C}\u{200D}"]
    )
    func printable(text: String) {
        #expect(String(printable: text.utf8) == text)
    }

    @Test(
        "has its control characters escaped",
        arguments: [
            ("\u{1B}[31mred", "\\x1b[31mred"), ("a\nb\rc\td", "a\\nb\\rc\\td"), ("\0\u{7F}", "\\x00\\x7f"),
            ("\u{9B}31m", "\\u{9b}31m"), ("exe\u{202E}gpj", "exe\\u{202e}gpj"), ("a\u{2028}b", "a\\u{2028}b"),
            ("\r\n", "\\r\\n"), ("\u{1F}", "\\x1f"), ("\u{7F}", "\\x7f"), ("\u{80}", "\\u{80}"),
            ("\u{F}\u{10}", "\\x0f\\x10"), ("a\u{200B}b\u{200E}c", "a\\u{200b}b\\u{200e}c"),
        ]
    )
    func controls(text: String, shown: String) {
        #expect(String(printable: text.utf8) == shown)
        #expect(shown.printable == shown)
    }

    @Test("is shown byte by byte when it is not UTF-8")
    func notUTF8() {
        #expect(String(printable: [0x80, 0x7E, 0x7F, 0xFF] as [UInt8]) == "\\x80~\\x7f\\xff")
        #expect(String(printable: [0x63, 0x61, 0x66, 0xE9, 0x0A, 0x1B] as [UInt8]) == "caf\\xe9\\n\\x1b")
    }
}
