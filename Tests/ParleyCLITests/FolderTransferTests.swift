import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("Folders, pipes and odd names", .timeLimit(.minutes(5)))
struct FolderTransferTests {
    private let source: TemporaryDirectory
    private let target: TemporaryDirectory

    init() throws {
        source = try TemporaryDirectory()
        target = try TemporaryDirectory()
    }

    /// Receives one transfer.
    private func receive(_ more: [String] = []) throws -> ToolProcess {
        try ToolProcess(
            executable: ToolProcess.executable,
            ["receive", "--listen", "127.0.0.1:0", "--into", target.url.path, "--once"] + more
        )
    }

    /// Sends with the arguments, and expects the exit code of both ends.
    private func transfer(
        _ arguments: [String],
        input: String = "",
        receiving more: [String] = [],
        codec: Codec = .framed,
        exitCode: Int32 = 0,
        receiverExitCode: Int32? = nil
    ) async throws -> (sender: ToolProcess, receiver: ToolProcess) {
        let form = ["--codec", codec.rawValue]
        let receiver = try receive(more + form)
        let address = try await receiver.listeningAddress()
        let sender = try ToolProcess(
            executable: ToolProcess.executable,
            ["send", "--to", address] + form + arguments
        )
        try sender.endInput(after: input)
        #expect(try await sender.exit() == exitCode)
        #expect(try await receiver.exit() == receiverExitCode ?? exitCode)
        return (sender, receiver)
    }

    /// Every entry below a folder, with what is kept of it.
    private func listing(_ folder: URL) throws -> [String] {
        let root = LocalPath(bytes: Array(folder.path.utf8))
        var tree = SourceTree()
        try tree.add(root, as: Array("root".utf8))
        #expect(tree.problems == [])
        return try tree.entries.dropFirst().map { entry in
            let metadata = entry.metadata.map { "\($0.mode) \($0.modified)" } ?? ""
            var content = ""
            if case .file = entry.kind {
                content = try Data(
                    contentsOf: folder.appending(path: entry.path.shown.dropFirst(5).description)
                )
                .base64EncodedString()
            }
            return "\(entry.path.shown) \(entry.kind) \(metadata) \(content)"
        }
    }

    private func makeFolder() throws {
        let manager = FileManager.default
        for folder in ["empty", "a/b/c", "-dash", ".dot"] {
            try manager.createDirectory(
                at: source.url.appending(path: folder),
                withIntermediateDirectories: true
            )
        }
        for (index, name) in ["a/file", "a/b/c/deep", "-dash/-rf", ".dot/.file", "empty.bin", "grüße"]
            .enumerated()
        {
            try source.makeFile(name, byteCount: index * 700)
        }
        try manager.createSymbolicLink(atPath: source.path(of: "a/up"), withDestinationPath: "../empty.bin")
        try manager.createSymbolicLink(atPath: source.path(of: "dangling"), withDestinationPath: "nothing")
        chmod(source.path(of: "a/file"), 0o751)
        chmod(source.path(of: "empty.bin"), 0o400)
        for name in ["a/file", "a/b", "empty"] {
            let times = [timeval(tv_sec: 1, tv_usec: 2), timeval(tv_sec: 981_173_106, tv_usec: 123_456)]
            utimes(source.path(of: name), times)
        }
        // A folder that may not be written to still gets what is in it.
        chmod(source.path(of: "a/b"), 0o555)
    }

    @Test("A folder arrives with everything in it", arguments: Codec.allCases)
    func folder(codec: Codec) async throws {
        try makeFolder()
        defer {
            for root in [source.url, target.url.appending(path: "copy")] {
                chmod(root.appending(path: "a/b").path, 0o755)
            }
        }
        let tools = try await transfer([source.url.path, "--name", "copy"], codec: codec)
        #expect(try listing(target.url.appending(path: "copy")) == listing(source.url))
        for tool in [tools.sender, tools.receiver] { #expect(try await tool.errors.rest() == []) }
        let sent = try await tools.sender.output.rest()
        #expect(
            sent.first?.hasPrefix("sending copy (6 files, 7 folders and 2 links), 10500 bytes, to ") == true
        )
        #expect(sent.last?.hasPrefix("sent copy (6 files, 7 folders and 2 links): 10500 bytes in ") == true)
    }

    @Test("Two files and standard input go together; the exit code is 1 when one is refused")
    func several() async throws {
        for name in ["one", "two"] { try source.makeFile(name, byteCount: 10) }
        let paths = [source.path(of: "one"), source.path(of: "two"), "-"]
        let first = try await transfer(paths, input: "typed")
        #expect(try target.names == ["one", "stdin", "two"])
        #expect(try target.contents(of: "stdin") == Data("typed".utf8))
        #expect(try await first.sender.output.rest().first?.hasPrefix("sending 3 files, to ") == true)

        try FileManager.default.removeItem(atPath: target.path(of: "two"))
        let second = try await transfer(Array(paths.prefix(2)), exitCode: 1)
        #expect(try target.names == ["one", "stdin", "two"])
        let lines = try await second.sender.errors.rest()
        #expect(lines.count == 2)
        #expect(lines.first?.hasSuffix(" refused one: \"one\" exists already, as a file") == true)
        #expect(lines.last?.hasPrefix("parley: 1 of 2 entries were not stored at 127.0.0.1:") == true)
        let replaced = try await transfer(Array(paths.prefix(2)), receiving: ["--overwrite"])
        #expect(try await replaced.sender.errors.rest() == [])
    }

    @Test("A path that cannot be sent has a line, and the others are sent")
    func missing() async throws {
        try source.makeFile("small", byteCount: 10)
        let paths = [source.path(of: "nothing"), source.path(of: "small"), source.path(of: "none/..")]
        let tools = try await transfer(paths, exitCode: 1, receiverExitCode: 0)
        #expect(try target.names == ["small"])
        let lines = try await tools.sender.errors.rest()
        #expect(lines.count == 3)
        #expect(lines.first?.hasPrefix("parley: cannot open \(paths[0]): ") == true)
        #expect(lines.dropFirst().first?.hasPrefix("parley: cannot open \(paths[2]): ") == true)
        #expect(lines.last?.hasPrefix("parley: 2 of 3 entries were not stored at 127.0.0.1:") == true)

        // When nothing is left, nobody is dialed.
        let sender = try ToolProcess("send", paths[0], paths[2], "--to", "127.0.0.1:1")
        #expect(try await sender.exit() == 1)
        #expect(try await sender.errors.rest() == Array(lines.prefix(2)))
    }

    @Test("Standard input is named, and --into - writes to standard output", arguments: Codec.allCases)
    func pipes(codec: Codec) async throws {
        let receiver = try ToolProcess("receive", "--listen", "127.0.0.1:0", "--into", "-", codec: codec)
        let line = try await receiver.errors.next()
        let address = try #require(line).dropFirst("listening on ".count)
        let sender = try ToolProcess("send", "-", "--name", "typed", "--to", String(address), codec: codec)
        try sender.endInput(after: "one\ntwo\n")
        #expect(try await sender.exit() == 0)
        #expect(try await receiver.exit() == 0)
        #expect(try await receiver.output.rest() == ["one", "two"])
        #expect(try await sender.output.rest().first == "sending typed, to \(address)")
        let lines = try await receiver.errors.rest()
        #expect(lines.last?.hasPrefix("received typed: 8 bytes in ") == true)
    }

    @Test("A folder cannot go to standard output")
    func folderToPipe() async throws {
        let receiver = try ToolProcess("receive", "--listen", "127.0.0.1:0", "--into", "-")
        let address = try #require(try await receiver.errors.next()).dropFirst("listening on ".count)
        try source.makeFile("a", byteCount: 3)
        let sender = try ToolProcess("send", source.url.path, "--name", "d", "--to", String(address))
        #expect(try await sender.exit() == 1)
        #expect(try await receiver.exit() == 1)
        let lines = try await sender.errors.rest()
        #expect(
            lines.first?.hasSuffix(" refused d: one file is received here, and \"d\" is a folder") == true
        )
    }

    @Test("Names need not be text")
    func oddNames() async throws {
        let names: [[UInt8]] = [
            [0xFF, 0xFE], Array("a\u{202E}b".utf8), Array("new\nline".utf8), Array("\u{1B}[2J".utf8),
        ]
        let folder = LocalPath(bytes: Array(source.url.path.utf8))
        for name in names {
            let descriptor = folder.appending(name).withCString { open($0, O_CREAT | O_WRONLY, 0o600) }
            #expect(descriptor >= 0)
            close(descriptor)
        }
        // A receiver that has them already refuses them, which shows how they are shown.
        _ = try await transfer([source.url.path, "--name", "d"])
        let received = LocalPath(bytes: Array(target.path(of: "d").utf8))
        #expect(Set(try received.namesInside()) == Set(names))
        let again = try await transfer([source.url.path, "--name", "d"], exitCode: 1)
        let lines = try await again.sender.errors.rest()
        #expect(lines.count == 5)
        #expect(lines.allSatisfy { $0.unicodeScalars.allSatisfy(\.isPrintable) })
        #expect(lines.contains { $0.contains("\"d/a\\u{202e}b\" exists already") })
    }

    @Test("--follow sends what links lead to, and notices circles")
    func follow() async throws {
        try FileManager.default.createDirectory(
            at: source.url.appending(path: "d"),
            withIntermediateDirectories: false
        )
        try source.makeFile("file", byteCount: 9)
        for (link, target) in [("d/link", "../file"), ("d/circle", ".."), ("d/lost", "nowhere")] {
            try FileManager.default.createSymbolicLink(
                atPath: source.path(of: link),
                withDestinationPath: target
            )
        }
        let tools = try await transfer([source.path(of: "d"), "--follow"], exitCode: 1, receiverExitCode: 0)
        let lines = try await tools.sender.errors.rest()
        #expect(lines.contains { $0.hasSuffix("d/circle/d: it leads back to a folder around it") })
        #expect(try target.contents(of: "d/link") == source.contents(of: "file"))
        #expect(try target.contents(of: "d/circle/file") == source.contents(of: "file"))
        let kind = LocalPath(bytes: Array(target.path(of: "d/link").utf8))
        #expect(FileKind(of: try kind.status(following: false)) == .regular)
        #expect(
            try LocalPath(bytes: Array(target.path(of: "d/lost").utf8)).linkTarget() == Array("nowhere".utf8)
        )
    }

    @Test("--exclude leaves out, --no-metadata keeps modes and times back")
    func exclude() async throws {
        for name in ["keep.o", "a.o", "b.c"] { try source.makeFile(name, byteCount: 1) }
        chmod(source.path(of: "b.c"), 0o777)
        _ = try await transfer(
            [source.url.path, "--name", "d", "--exclude", "*.o", "--exclude", "!keep.o", "--no-metadata"]
        )
        let names = try FileManager.default.contentsOfDirectory(atPath: target.path(of: "d"))
        #expect(names.sorted() == ["b.c", "keep.o"])
        let mode = try LocalPath(bytes: Array(target.path(of: "d/b.c").utf8)).status(following: false).st_mode
        #expect(mode & 0o111 == 0)
    }

    @Test("A pattern of --exclude need not be text", arguments: ["--exclude ", "--exclude="])
    func excludedBytes(option: String) async throws {
        let folder = LocalPath(bytes: Array(source.url.path.utf8))
        for name in [[0x61, 0xFF], [0x61, 0xFE]] as [[UInt8]] {
            let descriptor = folder.appending(name).withCString { open($0, O_CREAT | O_WRONLY, 0o600) }
            try #require(descriptor >= 0)
            close(descriptor)
        }
        let receiver = try receive()
        let script = "exec \"$0\" send --to \"$1\" \"$2\" --name d \(option)\"$(printf 'a\\377')\""
        let sender = try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            [
                "-c", script, ToolProcess.executable.path, try await receiver.listeningAddress(),
                source.url.path,
            ]
        )
        #expect(try await sender.exit() == 0)
        #expect(try await receiver.exit() == 0)
        let received = LocalPath(bytes: Array(target.path(of: "d").utf8))
        #expect(try received.namesInside() == [[0x61, 0xFE]])
    }

    @Test("A file that changes before its turn arrives with its new mode and time")
    func changedBeforeItsTurn() async throws {
        try source.makeFile("file", byteCount: 9)
        chmod(source.path(of: "file"), 0o600)
        let receiver = try receive()
        let address = try await receiver.listeningAddress()
        let sender = try ToolProcess("send", "--to", address, "-", source.path(of: "file"))
        // Everything was looked at by then, and standard input comes first.
        #expect(try await sender.output.next()?.hasPrefix("sending 2 files, to ") == true)
        try Data("new bytes".utf8).write(to: source.url.appending(path: "file"))
        chmod(source.path(of: "file"), 0o751)
        let times = [timeval(tv_sec: 1, tv_usec: 2), timeval(tv_sec: 981_173_106, tv_usec: 123_456)]
        utimes(source.path(of: "file"), times)
        try sender.endInput(after: "typed")
        #expect(try await sender.exit() == 0)
        #expect(try await receiver.exit() == 0)
        #expect(try target.contents(of: "file") == Data("new bytes".utf8))
        let path = LocalPath(bytes: Array(target.path(of: "file").utf8))
        let metadata = Metadata(try path.status(following: false))
        #expect(metadata.mode == 0o751)
        #expect(metadata.modified == Timestamp(seconds: 981_173_106, nanoseconds: 123_456_000))
    }

    @Test("What is no file has a line, and the rest is sent")
    func special() async throws {
        try source.makeFile("file", byteCount: 4)
        #expect(mkfifo(source.path(of: "pipe"), 0o600) == 0)
        let tools = try await transfer([source.url.path, "--name", "d"], exitCode: 1, receiverExitCode: 0)
        #expect(try target.contents(of: "d/file") == source.contents(of: "file"))
        let lines = try await tools.sender.errors.rest()
        #expect(lines.count == 2)
        #expect(
            lines.first == "parley: cannot send \(source.path(of: "pipe")): it is a device, pipe or socket"
        )
    }

    @Test("A sparse file stays sparse")
    func sparse() async throws {
        let path = source.path(of: "sparse")
        #expect(FileManager.default.createFile(atPath: path, contents: Data([1, 2])))
        let handle = try FileHandle(forWritingTo: URL(filePath: path))
        try handle.seek(toOffset: 40 << 20)
        try handle.write(contentsOf: Data([3, 4]))
        try handle.truncate(atOffset: 100 << 20)
        _ = try await transfer([path])
        let received = LocalPath(bytes: Array(target.path(of: "sparse").utf8))
        let status = try received.status(following: false)
        #expect(status.st_size == 100 << 20)
        #expect(Int(status.st_blocks) * 512 < 10 << 20)
        #expect(try target.contents(of: "sparse") == source.contents(of: "sparse"))
    }
}
