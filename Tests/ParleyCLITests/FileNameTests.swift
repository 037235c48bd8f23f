import Testing

@testable import ParleyCLI

@Suite("A received file's name")
struct FileNameTests {
    @Test(
        "may be any plain one",
        arguments: ["a", "photo.jpg", ".hidden", "...", "with space", "grüße 你好 👩‍👩‍👧", "back\\slash", "-rf"]
    )
    func accepted(name: String) throws {
        #expect(try FileName(checking: name.utf8).text == name)
    }

    @Test(
        "must not lead elsewhere or hide what it is",
        arguments: [
            ("", "the name \"\" is empty"),
            (".", "the name \".\" means a directory"),
            ("..", "the name \"..\" means a directory"),
            ("../x", "the name \"../x\" has a path separator"),
            ("/etc/x", "the name \"/etc/x\" has a path separator"),
            ("a/b", "the name \"a/b\" has a path separator"),
            ("/\u{301}", "the name \"/\u{301}\" has a path separator"),
            ("a\0", "the name \"a\\x00\" has a control character"),
            ("a\nb", "the name \"a\\nb\" has a control character"),
            ("a\u{202E}b", "the name \"a\\u{202e}b\" has a control character"),
        ]
    )
    func refused(name: String, reason: String) {
        #expect(throws: Refusal(reason)) { try FileName(checking: name.utf8) }
    }

    @Test("is UTF-8")
    func notUTF8() {
        #expect(throws: Refusal("the name \"\\xff\" is not UTF-8")) {
            try FileName(checking: [0xFF] as [UInt8])
        }
    }

    @Test("has at most 255 bytes")
    func length() throws {
        #expect(try FileName(checking: String(repeating: "n", count: 255).utf8).text.count == 255)
        #expect(throws: Refusal.self) { try FileName(checking: String(repeating: "n", count: 256).utf8) }
    }
}
