import Testing

@testable import ParleyCLI

@Suite("A received path")
struct RelativePathTests {
    @Test(
        "may be any that stays below the folder",
        arguments: [
            "a", "photo.jpg", ".hidden", "...", "with space", "grüße 你好 👩‍👩‍👧", "back\\slash", "-rf", "a/b/c",
            "a\nb", "\u{1B}c", "a\u{202E}b", "a\u{200F}b",
        ]
    )
    func accepted(path: String) throws {
        #expect(try RelativePath(checking: path.utf8).bytes == Array(path.utf8))
    }

    @Test(
        "must not lead elsewhere",
        arguments: [
            ("", "the name \"\" is empty"),
            (".", "the name \".\" leads out of its folder, or to it"),
            ("..", "the name \"..\" leads out of its folder, or to it"),
            ("../x", "the name \"../x\" leads out of its folder, or to it"),
            ("a/../b", "the name \"a/../b\" leads out of its folder, or to it"),
            ("a/./b", "the name \"a/./b\" leads out of its folder, or to it"),
            ("a/..", "the name \"a/..\" leads out of its folder, or to it"),
            ("/etc/x", "the name \"/etc/x\" is absolute"),
            ("/", "the name \"/\" is absolute"),
            ("a//b", "the name \"a//b\" has an empty part"),
            ("a/", "the name \"a/\" has an empty part"),
            ("a\0", "the name \"a\\x00\" has a NUL byte"),
            ("a\nb/..", "the name \"a\\nb/..\" leads out of its folder, or to it"),
        ]
    )
    func refused(path: String, reason: String) {
        #expect(throws: Refusal(reason)) { try RelativePath(checking: path.utf8) }
    }

    @Test("is bytes, which need not be UTF-8")
    func notUTF8() throws {
        let path = try RelativePath(checking: [0xFF, slash, 0xC3] as [UInt8])
        #expect(path.names == [[0xFF], [0xC3]])
        #expect(path.shown == "\\xff/\\xc3")
    }

    @Test("is shown without what moves a cursor or reorders text")
    func shown() throws {
        #expect(try RelativePath(checking: "a\u{1B}[2J\u{202E}b".utf8).shown == "a\\x1b[2J\\u{202e}b")
    }

    @Test("has names of at most 255 bytes, and an end")
    func length() throws {
        let longest = String(repeating: "n", count: 255)
        #expect(try RelativePath(checking: "\(longest)/\(longest)".utf8).names.count == 2)
        #expect(throws: Refusal.self) { try RelativePath(checking: "a/\(longest)n".utf8) }
        #expect(throws: Refusal.self) {
            try RelativePath(checking: String(repeating: "a/", count: RelativePath.maxBytes).utf8)
        }
    }

    @Test(
        "of a link may not lead out",
        arguments: [
            ("l", "a", true), ("l", "a/b", true), ("l", "./a", true), ("l", ".", true), ("d/l", "../a", true),
            ("d/e/l", "../../a", true), ("d/l", "..", true), ("d/l", ".././a", true),
            ("l", "..", false), ("l", "../a", false), ("d/l", "../../a", false), ("l", "/etc/passwd", false),
            ("l", "", false), ("l", "a\0b", false),
            // Where a name leads is not known before the link is used.
            ("l", "a/..", false), ("d/l", "../e/../../x", false),
        ]
    )
    func link(path: String, target: String, isTaken: Bool) throws {
        let path = try RelativePath(checking: path.utf8)
        if isTaken {
            try LinkTarget.check(Array(target.utf8), at: path)
        } else {
            #expect(throws: Refusal.self) { try LinkTarget.check(Array(target.utf8), at: path) }
        }
    }

    @Test("on the command line keeps bytes that are not UTF-8")
    func arguments() {
        let raw: [[UInt8]] = [Array("send".utf8), [0x61, 0xFF], [0x62, 0xFE]]
        var paths = ArgumentPaths(among: raw)
        #expect(paths.next(String(decoding: raw[2], as: UTF8.self)).bytes == raw[2])
        #expect(paths.next("send").bytes == raw[0])
        // It is a character like others.
        #expect(paths.next("c\u{FFFD}").bytes == Array("c\u{FFFD}".utf8))
    }

    @Test("on the command line is each of several that are read as the same text")
    func sameText() {
        let (one, two, other): ([UInt8], [UInt8], [UInt8]) = ([0x61, 0xFF], [0x61, 0xFE], [0x62, 0xFF])
        var paths = ArgumentPaths(among: [Array("send".utf8), one, other, two])
        let named = [one, other, two].map { paths.next(String(decoding: $0, as: UTF8.self)).bytes }
        #expect(named == [one, other, two])
        // Texts that look the same and are other bytes are not mistaken for each other.
        let (composed, decomposed) = (Array("\u{E9}\u{FFFD}".utf8), Array("e\u{301}\u{FFFD}".utf8))
        paths = ArgumentPaths(among: [decomposed, composed])
        #expect(paths.next("\u{E9}\u{FFFD}").bytes == composed)
        #expect(paths.next("e\u{301}\u{FFFD}").bytes == decomposed)
    }

    @Test("on the command line is told from values of options that are read as the same text")
    func optionValues() {
        let (path, name, into, last): ([UInt8], [UInt8], [UInt8], [UInt8]) = (
            [0x61, 0xFF], [0x61, 0xFE], [0x61, 0xFD], [0x61, 0xFC]
        )
        let assigned: [UInt8] = Array("--into=".utf8) + into
        let raw: [[UInt8]] = [
            Array("send".utf8), Array("--name".utf8), name, assigned, path, Array("--".utf8), last,
        ]
        let text = String(decoding: path, as: UTF8.self)
        var paths = ArgumentPaths(among: raw)
        #expect(paths.next(text).bytes == path)
        #expect(paths.next(text).bytes == last)
        paths = ArgumentPaths(of: "--name", among: raw)
        #expect(paths.next(text).bytes == name)
        paths = ArgumentPaths(of: "--into", among: raw)
        #expect(paths.next(text).bytes == into)
    }
}
