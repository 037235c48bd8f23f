import Foundation
import Testing

@testable import ParleyCLI

@Suite("A request for files", .timeLimit(.minutes(5)))
struct ServeRequestTests {
    @Test("is read as it was written")
    func encoding() throws {
        let requests = [
            FileRequest(paths: [[]]), FileRequest(paths: [[0x66, 0xFF], []], hasParts: true),
            FileRequest(paths: [Array("a/b".utf8)]),
            FileRequest(paths: [[0x61]], part: FilePart(range: .from(0, count: 1))),
            FileRequest(paths: [[0x61]], part: FilePart(range: .from(.max, count: nil))),
            FileRequest(paths: [[0x61]], part: FilePart(range: .last(.max), tag: FileTag(text: "1.2"))),
            FileRequest(paths: [[0x61]], hasParts: true, part: FilePart(tag: FileTag(text: ""))),
        ]
        for request in requests {
            #expect(try FileRequest(decoding: request.encoded.dropFirst(4)) == request)
        }
    }

    @Test(
        "that makes no sense is refused",
        arguments: [
            [], [0], [8, 0, 0, 0, 0], [0, 0, 0, 0, 2, 1], [0, 0, 0],
            // A tag with two paths, one longer than the request; a range that is cut, one without numbers,
            // one beyond every file, one of what is partly there, one of no bytes.
            [4, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [4, 9, 1], [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [2] + [UInt8](repeating: 255, count: 16) + [0, 0, 0, 0],
            [2, 128] + [UInt8](repeating: 0, count: 15) + [0, 0, 0, 0],
            [3] + [UInt8](repeating: 0, count: 15) + [1, 0, 0, 0, 0],
            [2] + [UInt8](repeating: 0, count: 16) + [0, 0, 0, 0],
            // The folder twice, and a path twice.
            [0] + [UInt8](repeating: 0, count: 8), [0, 0, 0, 0, 1, 0x61, 0, 0, 0, 1, 0x61],
        ] as [[UInt8]]
    )
    func malformed(body: [UInt8]) {
        #expect(throws: Refusal.self) { try FileRequest(decoding: body[...]) }
    }

    private static func request(ofPaths count: Int, bytesEach: Int = 4) -> FileRequest {
        FileRequest(
            paths: (0..<count).map { number in
                let name = Array(String(number).utf8)
                return [UInt8](repeating: 0x61, count: bytesEach - name.count) + name
            }
        )
    }

    @Test("has at most 1,024 paths, which both sides see to")
    func paths() throws {
        let most = Self.request(ofPaths: FileRequest.maxPaths)
        try most.checkBounds()
        #expect(try FileRequest(decoding: most.encoded.dropFirst(4)) == most)
        let tooMany = Self.request(ofPaths: FileRequest.maxPaths + 1)
        #expect {
            try tooMany.checkBounds()
        } throws: {
            ($0 as? Failure)?.sentence == "1025 paths are too many: a request has at most 1024"
        }
        #expect {
            _ = try FileRequest(decoding: tooMany.encoded.dropFirst(4))
        } throws: {
            ($0 as? Refusal)?.reason == "a request has at most 1024 paths, and more came"
        }
    }

    @Test("that is too long for a server is not sent, and get names the bound")
    func tooManyArguments() async throws {
        let target = try TemporaryDirectory()
        let paths = (0...FileRequest.maxPaths).map { "f\($0)" }
        // Nobody listens there.
        let tool = try ToolProcess(
            executable: ToolProcess.executable,
            ["get", "127.0.0.1:1", "--plain", "--into", target.url.path] + paths
        )
        let line = "parley: 1025 paths are too many: a request has at most 1024"
        #expect(try await tool.errors.rest() == [line])
        #expect(try await tool.exit() == 1)
    }

    @Test("has at most 256 KiB, which the asker sees to as well")
    func bytes() throws {
        // A byte of flags, and four of the length of each path.
        let each = FileRequest.maxBytes / 16 - 4
        var request = Self.request(ofPaths: 16, bytesEach: each)
        request.paths[0].removeLast()
        try request.checkBounds()
        request.paths[0].append(0x61)
        #expect(throws: Failure.self) { try request.checkBounds() }
    }

    @Test(
        "is for a path without what shells leave around it",
        arguments: [
            (".", ""), ("./", ""), ("./a", "a"), ("a/", "a"), ("a//", "a"), ("/", "/"), ("/a", "/a"),
            ("..", ".."), (".a", ".a"), ("././a/b", "a/b"), (".//a", "a"), ("a//b", "a/b"),
            ("a/./b/.", "a/b"), ("a/../b", "a/../b"),
        ]
    )
    func shellPaths(text: String, path: String) {
        #expect(RequestedPath.bytes(of: LocalPath(bytes: Array(text.utf8))) == Array(path.utf8))
    }

    @Test(
        "is answered with entries of the last names of its paths, or of any when it is for everything",
        arguments: [
            (["a"], ["a"]), (["a/b", "c"], ["b", "c"]), (["/"], []), (["a", ""], nil), ([""], nil),
        ] as [([String], [String]?)]
    )
    func names(paths: [String], names: [String]?) {
        let request = FileRequest(paths: paths.map { Array($0.utf8) })
        #expect(request.names == names.map { names in Set(names.map { Array($0.utf8) }) })
    }

    @Test(
        "is answered with times in the calendar",
        arguments: [
            (0, "1970-01-01 00:00:00"), (-1, "1969-12-31 23:59:59"), (951_868_799, "2000-02-29 23:59:59"),
            (951_868_800, "2000-03-01 00:00:00"), (4_107_542_400, "2100-03-01 00:00:00"),
            (Int64.min, "0001-01-01 00:00:00"), (Int64.max, "9999-12-31 23:59:59"),
        ] as [(Int64, String)]
    )
    func times(seconds: Int64, text: String) {
        #expect(UTCTime(Timestamp(seconds: seconds, nanoseconds: 0)).text == text)
    }
}
