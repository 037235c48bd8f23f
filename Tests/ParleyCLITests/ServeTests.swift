import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("serve and get", .timeLimit(.minutes(5)))
struct ServeTests {
    private let source: TemporaryDirectory
    private let target: TemporaryDirectory

    init() throws {
        source = try TemporaryDirectory(hasManyFiles: true)
        target = try TemporaryDirectory(hasManyFiles: true)
    }

    private func serve(_ more: String...) throws -> ToolProcess {
        try ToolProcess(
            executable: ToolProcess.executable,
            ["serve", source.url.path, "--listen", "127.0.0.1:0"] + more
        )
    }

    private func get(_ paths: String..., from address: String, _ options: [String] = []) throws
        -> ToolProcess
    {
        try ToolProcess(
            executable: ToolProcess.executable,
            ["get", address] + paths + ["--into", target.url.path] + options
        )
    }

    private func makeFolder(_ name: String) throws {
        try FileManager.default.createDirectory(
            at: source.url.appending(path: name),
            withIntermediateDirectories: true
        )
    }

    /// A command in a shell: `$0` is the tool.
    private func shell(_ command: String) throws -> ToolProcess {
        try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            ["-c", command, ToolProcess.executable.path]
        )
    }

    // MARK: What arrives

    @Test("A reader that has enough ends get without a word")
    func enough() async throws {
        try source.makeFile("big", byteCount: 20 << 20)
        let server = try serve()
        let address = try await server.listeningAddress()
        let tool = try shell("{ \"$0\" get \(address) big --into -; echo $? >&2; } | head -c 10 >/dev/null")
        let lines = try await tool.errors.rest()
        #expect(lines.count == 2 && lines[0].hasPrefix("receiving big, "), "\(lines)")
        #expect(lines.last == "\(128 + SIGPIPE)")
    }

    #if os(Linux)
        @Test("Results that cannot be written are an error")
        func fullOutput() async throws {
            try source.makeFile("file", byteCount: 1)
            let server = try serve()
            let address = try await server.listeningAddress()
            let tool = try shell("\"$0\" ls \(address) >/dev/full")
            let line = "parley: standard output cannot be written: no space left on device"
            let lines = try await tool.errors.rest()
            #expect(lines == [line])
            #expect(try await tool.exit() == 1)
            // What is written last, too.
            let id = try shell("\"$0\" id >/dev/full")
            let idLines = try await id.errors.rest()
            #expect(idLines.last == line)
            #expect(try await id.exit() == 1)
        }
    #endif

    @Test("A file arrives as it is", arguments: [0, 1, 5_000, 20 << 20])
    func file(byteCount: Int) async throws {
        let data = try source.makeFile("grüße.bin", byteCount: byteCount)
        chmod(source.path(of: "grüße.bin"), 0o640)
        let server = try serve()
        let address = try await server.listeningAddress()
        let getter = try get("grüße.bin", from: address)
        #expect(try await getter.errors.rest() == [])
        #expect(try await getter.exit() == 0)
        #expect(try target.names == ["grüße.bin"])
        #expect(try target.contents(of: "grüße.bin") == data)
        let status = try LocalPath(bytes: Array(target.path(of: "grüße.bin").utf8)).status(following: false)
        #expect(status.st_mode & 0o777 == 0o640)
        let received = try await getter.output.rest()
        #expect(received.first == "receiving grüße.bin, \(byteCount.inBytes), from \(address)")
        #expect(received.last?.hasPrefix("received grüße.bin: \(byteCount.inBytes) in ") == true)
        let sent = "sending grüße.bin, \(byteCount.inBytes), to \(ToolProcess.identity.id)@127.0.0.1:"
        #expect(try await server.output.next()?.hasPrefix(sent) == true)
        #expect(try await server.output.next()?.hasPrefix("sent grüße.bin: ") == true)
    }

    @Test("Folders arrive with everything in them; . is everything that is served")
    func folders() async throws {
        for name in ["a/b/c", "a/empty"] { try makeFolder(name) }
        for name in ["a/one", "a/b/c/deep", "top"] { try source.makeFile(name, byteCount: 700) }
        let link = source.path(of: "a/link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "b/c/deep")
        let server = try serve()
        let address = try await server.listeningAddress()
        for paths in [["a/b", "top"], ["."]] {
            let getter = try ToolProcess(
                executable: ToolProcess.executable,
                ["get", address] + paths + ["--into", target.url.path, "--overwrite"]
            )
            #expect(try await getter.errors.rest() == [])
            #expect(try await getter.exit() == 0)
        }
        #expect(try target.names == ["a", "b", "top"])
        #expect(try target.contents(of: "b/c/deep") == source.contents(of: "top"))
        #expect(try target.contents(of: "a/b/c/deep") == source.contents(of: "top"))
        #expect(FileManager.default.fileExists(atPath: target.path(of: "a/empty")))
        let copy = target.path(of: "a/link")
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: copy) == "b/c/deep")
    }

    @Test("Names need not be text")
    func bytes() async throws {
        let name: [UInt8] = [0x66, 0xFF, 0xFE]
        let path = Array(source.url.path.utf8) + [slash] + name
        let file = path.withCString { open($0, O_WRONLY | O_CREAT, 0o600) }
        guard file >= 0 else { return }
        close(file)
        let server = try serve()
        let getter = try get(".", from: try await server.listeningAddress())
        #expect(try await getter.exit() == 0)
        let target = LocalPath(bytes: Array(target.url.path.utf8))
        #expect(try target.namesInside() == [name])
    }

    @Test("Many files come over one stream, and many getters are served at once")
    func many() async throws {
        try makeFolder("many")
        for number in 0..<1_000 { try source.makeFile("many/\(number)", byteCount: 100) }
        let server = try serve()
        let address = try await server.listeningAddress()
        let targets = try (0..<4).map { _ in try TemporaryDirectory(hasManyFiles: true) }
        let getters = try targets.map { target in
            try ToolProcess("get", address, "many", "--into", target.url.path)
        }
        for getter in getters { #expect(try await getter.exit() == 0) }
        for target in targets {
            let names = try FileManager.default.contentsOfDirectory(atPath: target.path(of: "many"))
            #expect(names.count == 1_000)
        }
    }

    // MARK: What does not

    @Test(
        "Nothing outside of the folder is given",
        arguments: [
            ("../secret", "the name \"../secret\" leads out of its folder, or to it"),
            ("in/../../secret", "the name \"in/../../secret\" leads out of its folder, or to it"),
            ("/etc/passwd", "the name \"/etc/passwd\" is absolute"),
            ("out/secret", "cannot open out/secret: not a directory"),
            (".hidden", "cannot open .hidden: no such file or directory"),
            (".d/file", "cannot open .d/file: no such file or directory"),
            ("nothing", "cannot open nothing: no such file or directory"),
            ("pipe", "cannot send pipe: it is a device, pipe or socket"),
        ]
    )
    func outside(path: String, reason: String) async throws {
        let outside = try TemporaryDirectory()
        try outside.makeFile("secret", byteCount: 10)
        try source.makeFile(".hidden", byteCount: 10)
        try makeFolder(".d")
        try source.makeFile(".d/file", byteCount: 10)
        try FileManager.default.createSymbolicLink(
            atPath: source.path(of: "out"),
            withDestinationPath: outside.url.path
        )
        #expect(mkfifo(source.path(of: "pipe"), 0o600) == 0)
        let server = try serve()
        let address = try await server.listeningAddress()
        for command in ["get", "ls"] {
            let into = command == "get" ? ["--into", target.url.path] : []
            let tool = try ToolProcess(executable: ToolProcess.executable, [command, address, path] + into)
            #expect(try await tool.errors.rest() == ["parley: \(address.withoutID): \(reason)"])
            #expect(try await tool.output.rest() == [])
            #expect(try await tool.exit() == 1)
        }
        #expect(try target.names == [])
        // A pipe that nobody has named is left out.
        let all = try ToolProcess("ls", address)
        let lines = try await all.output.rest()
        #expect(lines.count == 1 && lines.first?.contains("  out -> ") == true, "\(lines)")
        #expect(try await all.exit() == 0)
    }

    @Test("Hidden names are given with --hidden alone")
    func hidden() async throws {
        try makeFolder("d")
        for name in [".top", "d/.inner", "d/plain"] { try source.makeFile(name, byteCount: 1) }
        let server = try serve()
        let getter = try get(".", from: try await server.listeningAddress())
        #expect(try await getter.exit() == 0)
        #expect(try target.names == ["d"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: target.path(of: "d")) == ["plain"])

        let open = try serve("--hidden")
        let address = try await open.listeningAddress()
        #expect(try await get(".top", "d", from: address, ["--overwrite"]).exit() == 0)
        #expect(try target.names == [".top", "d"])
        #expect(FileManager.default.fileExists(atPath: target.path(of: "d/.inner")))
    }

    @Test("A file that is there stays, without --overwrite")
    func existing() async throws {
        try source.makeFile("file", byteCount: 3)
        try source.makeFile("other", byteCount: 3)
        let own = try target.makeFile("file", byteCount: 4)
        let server = try serve()
        let address = try await server.listeningAddress()
        let getter = try get("file", "other", "nothing", from: address)
        #expect(try await getter.exit() == 1)
        #expect(
            try await getter.errors.rest() == [
                "parley: \(address.withoutID): cannot open nothing: no such file or directory",
                "parley: file is not stored: \"file\" exists already, as a file",
                "parley: 2 of 3 entries from \(address.withoutID) were not stored",
            ]
        )
        #expect(try target.contents(of: "file") == own)
        #expect(try target.contents(of: "other") == source.contents(of: "other"))
        #expect(try await get("file", from: address, ["--overwrite"]).exit() == 0)
        #expect(try target.contents(of: "file") == source.contents(of: "file"))
    }

    @Test("What is too much for --max-bytes is not blamed on the server")
    func maxBytes() async throws {
        try source.makeFile("file", byteCount: 300)
        let server = try serve()
        let getter = try get("file", from: try await server.listeningAddress(), ["--max-bytes", "100"])
        let line = "parley: 300 bytes are too many: --max-bytes takes at most 100"
        #expect(try await getter.errors.rest() == [line])
        #expect(try await getter.exit() == 1)
        #expect(try target.names == [])
    }

    @Test("Who is not allowed gets nothing, and hears why that may be")
    func refused() async throws {
        try source.makeFile("file", byteCount: 3)
        let stranger = try TemporaryDirectory()
        let server = try serve()
        let address = try await server.listeningAddress()
        let getter = try ToolProcess(
            executable: ToolProcess.executable,
            ["get", address, "file", "--into", target.url.path],
            environment: ["XDG_CONFIG_HOME": stranger.url.path]
        )
        #expect(try await getter.exit() == 1)
        #expect(try await getter.errors.rest().last?.contains("--allow 12D3KooW") == true)
        #expect(try await server.errors.next()?.contains("there is no terminal to ask at") == true)
        #expect(try target.names == [])
    }

    @Test("A node that serves nothing is said to be one")
    func noServer() async throws {
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .multiplexed)
        options.security = .noise(ToolProcess.identity)
        let transport = TCPTransport(options)
        try await transport.listenAndAccept()
        for command in [["ls", transport.address], ["get", transport.address, "file"]] {
            let tool = try ToolProcess(executable: ToolProcess.executable, command)
            let line = "parley: \(transport.address) serves no files; is it parley serve?"
            #expect(try await tool.errors.rest() == [line])
            #expect(try await tool.exit() == 1)
        }
        await transport.close()
    }

    @Test("Two names that would be the same here are one line")
    func sameNames() async throws {
        let getter = try get("a/file", "b/file", from: "127.0.0.1:1")
        let line = "parley: a/file and b/file would both be called \"file\" here"
        #expect(try await getter.errors.rest() == [line])
        #expect(try await getter.exit() == 1)
    }

    // MARK: ls

    @Test("ls says who has answered, unless the command line names that node")
    func whoAnswers() async throws {
        let server = try serve()
        let address = try await server.listeningAddress()
        let notice = "parley: listing from \(address)"
        let id = "\(ToolProcess.identity.id)"
        for (arguments, lines) in [
            ([address], []), ([address.withoutID], [notice]), ([address.withoutID, "--json"], [notice]),
            ([address.withoutID, "--allow", id], []),
        ] as [([String], [String])] {
            let tool = try ToolProcess(["ls"] + arguments)
            #expect(try await tool.errors.rest() == lines)
            #expect(try await tool.exit() == 0)
        }
    }

    @Test("ls lists a folder, a file, a link, and what is served")
    func list() async throws {
        try makeFolder("d/e")
        for name in ["d/two", ".hidden"] { try source.makeFile(name, byteCount: 2) }
        let link = source.path(of: "link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "d")
        for name in ["d/e", "d/two", "d"] {
            chmod(source.path(of: name), 0o750)
            utimes(source.path(of: name), [timeval(), timeval(tv_sec: 951_786_123, tv_usec: 0)])
        }
        let server = try serve()
        let address = try await server.listeningAddress()
        func lines(_ path: String...) async throws -> [String] {
            let tool = try ToolProcess(executable: ToolProcess.executable, ["ls", address] + path)
            #expect(try await tool.errors.rest() == [])
            #expect(try await tool.exit() == 0)
            return try await tool.output.rest()
        }
        let time = "2000-02-29 01:02:03"
        #expect(
            try await lines("d/") == [
                "drwxr-x---              -  \(time)  d/e/", "-rwxr-x---              2  \(time)  d/two",
            ]
        )
        #expect(try await lines("./d/two") == ["-rwxr-x---              2  \(time)  d/two"])
        let all = try await lines()
        #expect(all.count == 2)
        #expect(all.first == "drwxr-x---              -  \(time)  d/")
        #expect(all.last?.hasSuffix("  link -> d") == true)
    }
}
