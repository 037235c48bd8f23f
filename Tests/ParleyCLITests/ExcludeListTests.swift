import Testing

@testable import ParleyCLI

@Suite("What --exclude leaves out")
struct ExcludeListTests {
    private func excludes(_ patterns: [String], _ path: String) -> Bool {
        let isFolder = path.last == "/"
        let names = path.split(separator: "/").map { Array($0.utf8) }
        return ExcludeList(patterns.map { Array($0.utf8) }).excludes(names, isFolder: isFolder)
    }

    @Test(
        "is what matches",
        arguments: [
            // Without a slash: a name at any depth.
            ("*.o", "a.o"), ("*.o", "d/e/a.o"), ("*.o", ".o"), ("cache", "cache"), ("cache", "d/cache/"),
            ("a?c", "abc"), ("a?c", "aüc"), ("[a-c]x", "bx"), ("[!a-c]x", "dx"), ("[^a]x", "éx"),
            ("[z-a]", "z"), ("[z-ab]x", "bx"), ("[!z-a]x", "bx"), ("[a-\\d]", "d"),
            ("[]]x", "]x"), ("[a-]x", "-x"), ("a\\*", "a*"), ("\\!a", "!a"), ("a[", "a["), ("*", "anything"),
            ("*a*b*c*", "xaxbxcx"), ("**.o", "a.o"),
            ("x[[:digit:]]", "x1"), ("[[:upper:]_]x", "_x"), ("[![:alpha:]]x", "1x"), ("[[:none:]", ":"),
            ("end ", "end"), ("end\\ ", "end "), ("\\#h", "#h"),
            // With one: a path from the folder on.
            ("/build", "build"), ("src/*.c", "src/a.c"), ("/a/b", "a/b"),
            // At its end: folders.
            ("cache/", "d/cache/"), ("/cache/", "cache/"),
            // Any number of names.
            ("**/x", "x"), ("**/x", "a/b/x"), ("a/**", "a/b"), ("a/**", "a/b/c"), ("a/**/x", "a/x"),
            ("a/**/x", "a/b/c/x"), ("**", "a/b"), ("a/**/**/b", "a/b"),
        ]
    )
    func matching(pattern: String, path: String) { #expect(excludes([pattern], path)) }

    @Test(
        "is not what does not match",
        arguments: [
            ("*.o", "a.oo"), ("*.o", "a.o/b"), ("a?c", "ac"), ("a*c", "a/c"), ("[a-c]x", "dx"),
            ("[z-a]", "a"), ("[z-a]", "b"), ("[z-a]", "-"), ("[!z-a]x", "zx"), ("[a-\\d]", "\\"),
            ("[!a]x", "ax"), ("x[[:digit:]]", "xa"), ("#h", "#h"), ("end\\ ", "end"),
            ("a\\*", "ab"), ("/build", "src/build"), ("src/*.c", "src/d/a.c"), ("src/*.c", "d/src/a.c"),
            ("cache/", "cache"), ("a/**", "a"), ("a/**/x", "b/x"), ("", "a"), ("/", "a/"), ("a", "A"),
        ]
    )
    func notMatching(pattern: String, path: String) { #expect(!excludes([pattern], path)) }

    @Test("The last pattern that matches counts")
    func takingBack() {
        #expect(!excludes(["*.o", "!keep.o"], "keep.o"))
        #expect(excludes(["!keep.o", "*.o"], "keep.o"))
        #expect(excludes(["*.o", "!keep.o"], "a.o"))
        #expect(!excludes([], "a"))
    }

    @Test("Patterns and names need not be text")
    func bytes() {
        let list = ExcludeList([[0x61, 0xFF], [0x62, 0xFE, UInt8(ascii: "*")]])
        #expect(list.excludes([[0x61, 0xFF]], isFolder: false))
        #expect(list.excludes([[0x64], [0x62, 0xFE, 0x2E, 0x6F]], isFolder: false))
        #expect(!list.excludes([[0x61, 0xFE]], isFolder: false))
        // The character in whose place the bytes are shown is another name.
        #expect(!list.excludes([Array("a\u{FFFD}".utf8)], isFolder: false))
    }

    @Test("A pattern of many stars is no trap")
    func manyStars() {
        let pattern = String(repeating: "*a", count: 60) + "b"
        #expect(!excludes([pattern], String(repeating: "a", count: 200)))
        let path = String(repeating: "a/", count: 200) + "b"
        #expect(!excludes([String(repeating: "**/a/", count: 60) + "c"], path))
    }
}
