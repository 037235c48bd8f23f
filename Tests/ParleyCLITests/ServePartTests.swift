import Foundation
import Testing

@testable import ParleyCLI

@Suite("Parts of files")
struct FilePartTests {
    @Test(
        "A range is written as in HTTP",
        arguments: [
            ("0-499", .from(0, count: 500)), ("500-", .from(500, count: nil)), ("-500", .last(500)),
            ("7-7", .from(7, count: 1)), ("5-4", nil), ("-0", nil), ("-", nil), ("", nil), ("5", nil),
            ("1-2-3", nil), ("a-", nil), ("+1-", nil), ("bytes=0-4", nil),
            // A number of any length is one.
            ("0-9223372036854775807", .from(0, count: nil)), ("0-99999999999999999999", .from(0, count: nil)),
            ("5-99999999999999999999", .from(5, count: .max - 4)), ("-99999999999999999999", .last(.max)),
            ("99999999999999999999-", .from(.max, count: nil)),
        ] as [(String, ByteRange?)]
    )
    func ranges(text: String, range: ByteRange?) { #expect(ByteRange(argument: text) == range) }

    @Test(
        "A range ends where the file ends",
        arguments: [
            (.from(0, count: 4), 10, 0..<4), (.from(4, count: nil), 10, 4..<10),
            (.from(8, count: 9), 10, 8..<10),
            (.from(9, count: .max), 10, 9..<10), (.last(4), 10, 6..<10), (.last(11), 10, 0..<10),
            (.last(.max), 0, 0..<0), (.from(0, count: nil), 0, 0..<0),
        ] as [(ByteRange, Int, Range<Int>)]
    )
    func bytes(range: ByteRange, byteCount: Int, bytes: Range<Int>) throws {
        #expect(try range.bytes(of: byteCount) == bytes)
    }

    @Test("What begins behind the end of a file is refused", arguments: [(10, 10), (.max, 10), (1, 0)])
    func behind(first: Int, byteCount: Int) {
        #expect(throws: Failure.self) { try ByteRange.from(first, count: nil).bytes(of: byteCount) }
        #expect(throws: Failure.self) { try ByteRange.from(first, count: .max).bytes(of: byteCount) }
    }

    #if os(Linux)
        @Test("A part of a file is found out with one look into the file, as all of it is")
        func opens() throws {
            let source = try TemporaryDirectory()
            try source.makeFile("file", byteCount: 100)
            let cursor = FolderCursor(try OpenFolder(LocalPath(bytes: Array(source.url.path.utf8))))
            let path = try RelativePath(checking: "file".utf8)
            let notices = inotify_init1(Int32(IN_CLOEXEC))
            defer { close(notices) }
            let watch = inotify_add_watch(notices, source.path(of: "file"), UInt32(IN_OPEN | IN_CLOSE))
            try #require(watch >= 0)
            let range = FilePart(range: .from(10, count: 20))
            for (part, byteCount) in [(nil, 100), (range, 20)] as [(FilePart?, Int)] {
                var tree = SourceTree()
                if let part { tree.add(part, of: [path], in: cursor) } else { tree.add(path, in: cursor) }
                #expect(tree.problems == [])
                #expect(tree.entries.map(\.kind) == [.file(byteCount: byteCount)])
                // It was opened and closed: an event each.
                #expect(try readSome(4_096, from: notices).count == 2 * MemoryLayout<inotify_event>.size)
            }
        }
    #endif

    @Test("The tag of a file changes with its time and its size")
    func tags() {
        func tag(_ byteCount: Int, _ seconds: Int64, _ nanoseconds: UInt32) -> FileTag {
            FileTag(byteCount: byteCount, modified: Timestamp(seconds: seconds, nanoseconds: nanoseconds))
        }
        let tags = [tag(1, 2, 3), tag(2, 2, 3), tag(1, 3, 3), tag(1, 2, 4), tag(1, -2, 3), tag(2, 1, 3)]
        #expect(Set(tags.map(\.text)).count == tags.count)
        #expect(tags[0].text == "2.3.1")
        #expect(tag(.max, .min, 999_999_999).text == "-8000000000000000.3b9ac9ff.7fffffffffffffff")
    }
}

@Suite("get of a part", .timeLimit(.minutes(5)))
struct ServePartTests {
    private let source: TemporaryDirectory
    private let target: TemporaryDirectory

    init() throws {
        source = try TemporaryDirectory()
        target = try TemporaryDirectory()
    }

    private func serve() throws -> ToolProcess {
        try ToolProcess("serve", source.url.path, "--listen", "127.0.0.1:0")
    }

    @Test("A folder that is gone is not served as an empty one, nor is another one of its name")
    func removed() async throws {
        let folder = source.url.appendingPathComponent("folder")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        let server = try ToolProcess("serve", folder.path, "--listen", "127.0.0.1:0")
        let address = try await server.listeningAddress()
        try FileManager.default.removeItem(at: folder)
        for isThereAgain in [false, true] {
            if isThereAgain {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
            }
            let lister = try ToolProcess("ls", address)
            #expect(try await lister.errors.rest().joined().contains("no such file or directory"))
            #expect(try await lister.exit() == 1)
        }
    }

    private func get(_ path: String, from address: String, _ options: String...) throws -> ToolProcess {
        try ToolProcess(
            executable: ToolProcess.executable,
            ["get", address, path, "--into", target.url.path, "--overwrite"] + options
        )
    }

    @Test(
        "gives these bytes alone",
        arguments: [
            ("0-0", 0..<1), ("1000000-2000000", 1_000_000..<2_000_001), ("2999999-", 2_999_999..<3_000_000),
            ("-70000", 2_930_000..<3_000_000), ("0-", 0..<3_000_000), ("-4000000", 0..<3_000_000),
        ]
    )
    func ranges(range: String, bytes: Range<Int>) async throws {
        let data = try source.makeFile("file", byteCount: 3_000_000)
        let server = try serve()
        let getter = try get("file", from: try await server.listeningAddress(), "--range", range)
        #expect(try await getter.errors.rest() == [])
        #expect(try await getter.exit() == 0)
        #expect(try target.contents(of: "file") == data[bytes])
    }

    @Test("goes through the holes of a file")
    func holes() async throws {
        try source.makeFile("sparse", byteCount: 10)
        #expect(truncate(source.path(of: "sparse"), 50 << 20) == 0)
        let server = try serve()
        let getter = try get("sparse", from: try await server.listeningAddress(), "--range", "5-9999999")
        #expect(try await getter.exit() == 0)
        let expected = try source.contents(of: "sparse")[5..<10_000_000]
        #expect(try target.contents(of: "sparse") == expected)
    }

    @Test("of what has none of these bytes, or is no file, says so")
    func refused() async throws {
        try source.makeFile("file", byteCount: 10)
        try FileManager.default.createDirectory(
            at: source.url.appending(path: "folder"),
            withIntermediateDirectories: true
        )
        let server = try serve()
        let address = try await server.listeningAddress()
        for (path, range, reason) in [
            ("file", "10-", "file: it has 10 bytes, and byte 10 was asked for"),
            ("folder", "0-", "--range and --if-tag are about one file, and folder is none"),
            (".", "0-", "--range and --if-tag are about one file, and here are 2 entries"),
        ] {
            let getter = try get(path, from: address, "--range", range)
            #expect(try await getter.errors.rest() == ["parley: \(address.withoutID): \(reason)"])
            #expect(try await getter.exit() == 1)
        }
        #expect(try target.names == [])
    }

    @Test("of nothing is refused")
    func nothing() async throws {
        let server = try serve()
        let address = try await server.listeningAddress()
        let getter = try get(".", from: address, "--if-tag", "1")
        let reason = "--range and --if-tag are about one file, and there is none"
        #expect(try await getter.errors.rest() == ["parley: \(address.withoutID): \(reason)"])
        #expect(try await getter.exit() == 1)
    }

    @Test("takes the tag of a file from before 1970")
    func ancient() async throws {
        let data = try source.makeFile("file", byteCount: 100)
        utimes(source.path(of: "file"), [timeval(), timeval(tv_sec: -5, tv_usec: 0)])
        let server = try serve()
        let getter = try get("file", from: try await server.listeningAddress(), "--if-tag", "-5.0.64")
        #expect(try await getter.errors.rest() == [])
        #expect(try await getter.exit() == 0)
        #expect(try target.contents(of: "file") == data)
    }

    @Test("is given while the file has the tag that ls shows")
    func tags() async throws {
        let data = try source.makeFile("file", byteCount: 100)
        let server = try serve()
        let address = try await server.listeningAddress()
        let listing = try ToolProcess("ls", address, "file", "--json")
        let line = try #require(try await listing.output.rest().first)
        let entry = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        let tag = try #require(entry["tag"] as? String)
        #expect(try await get("file", from: address, "--if-tag", tag).exit() == 0)
        #expect(try target.contents(of: "file") == data)
        #expect(try await get("file", from: address, "--if-tag", tag, "--range", "90-").exit() == 0)
        #expect(try target.contents(of: "file") == data[90...])

        try source.makeFile("file", byteCount: 101)
        let late = try get("file", from: address, "--if-tag", tag)
        let reason = try #require(try await late.errors.rest().first)
        #expect(reason.hasPrefix("parley: \(address.withoutID): file: it has changed: its tag is "))
        #expect(!reason.hasSuffix(tag))
        #expect(try await late.exit() == 1)
        #expect(try target.contents(of: "file") == data[90...])
    }

    @Test(
        "is a usage error where it can mean nothing",
        arguments: [
            (["a", "b", "--range", "0-"], "--range and --if-tag are about one file"),
            (["a", "b", "--if-tag", "x"], "--range and --if-tag are about one file"),
            (["a", "--range", "0-", "--resume"], "--range and --resume cannot go together"),
            (["a", "--range", "9-1"], "the value '9-1' is invalid for '--range <bytes>'"),
        ]
    )
    func usage(arguments: [String], reason: String) async throws {
        let tool = try ToolProcess(executable: ToolProcess.executable, ["get", "127.0.0.1:1"] + arguments)
        #expect(try await tool.errors.rest().first?.contains(reason) == true)
        #expect(try await tool.exit() == 64)
    }
}
