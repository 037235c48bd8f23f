import Foundation
import Parley
import ParleyNoise
import Testing

@testable import ParleyCLI

/// The tool's identity, through real processes; none of them sees the user's own configuration.
@Suite("The tool's identity", .timeLimit(.minutes(5)))
struct IdentityTests {
    private let home: TemporaryDirectory

    init() throws { home = try TemporaryDirectory() }

    /// Starts the tool with a configuration of its own, or another environment.
    private func start(_ arguments: String..., environment: [String: String] = [:]) throws -> ToolProcess {
        try ToolProcess(
            arguments,
            environment: ["XDG_CONFIG_HOME": "", "HOME": home.url.path].merging(environment) { _, new in new }
        )
    }

    private func mode(of name: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: home.path(of: name))
        return attributes[.posixPermissions] as? Int ?? -1
    }

    @Test("is not made under another name than that of --identity")
    func notText() async throws {
        let script = "exec \"$0\" id --identity \"$(printf '%s\\377' \"$1\")\""
        let tool = try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            ["-c", script, ToolProcess.executable.path, home.path(of: "key")]
        )
        let line = "parley: no identity: the path \(home.path(of: "key"))\\xff is not UTF-8; "
        #expect(try await tool.errors.next()?.hasPrefix(line) == true)
        #expect(try await tool.exit() == 1)
        #expect(try home.names == [])
    }

    @Test("is made on first use, for its owner alone, and said once")
    func firstUse() async throws {
        let path = home.path(of: ".config/parley/identity")
        let first = try start("id")
        let id = try #require(try await first.output.next())
        #expect(try await first.errors.rest() == ["parley: made a new identity in \(path): \(id)"])
        #expect(try await first.exit() == 0)
        #expect(try Identity.load(from: path).id.description == id)
        #expect(try mode(of: ".config/parley/identity") == 0o600)
        for directory in [".config/parley", ".config"] { #expect(try mode(of: directory) == 0o700) }

        let second = try start("id")
        #expect(try await second.output.rest() == [id])
        #expect(try await second.errors.rest() == [])
        let listener = try start("listen", "127.0.0.1:0")
        #expect(try await listener.listeningAddress().hasPrefix("\(id)@127.0.0.1:"))
    }

    @Test("is the same for all that begin at once, and one of them says that it is new")
    func atOnce() async throws {
        let tools = try (0..<8).map { _ in try start("id") }
        var (ids, said): (Set<String>, Int) = ([], 0)
        for tool in tools {
            ids.formUnion(try await tool.output.rest())
            said += try await tool.errors.rest().count
            #expect(try await tool.exit() == 0)
        }
        #expect(ids.count == 1)
        #expect(said == 1)
    }

    @Test("is in the file that --identity names")
    func option() async throws {
        let path = home.path(of: "key")
        let tool = try start("id", "--identity", path, environment: ["HOME": ""])
        let id = try #require(try await tool.output.next())
        #expect(try await tool.errors.rest() == ["parley: made a new identity in \(path): \(id)"])
        #expect(try home.names == ["key"])
        let listener = try start("listen", "127.0.0.1:0", "--identity", path, environment: ["HOME": ""])
        #expect(try await listener.listeningAddress().hasPrefix("\(id)@"))
    }

    @Test(
        "that cannot be had is one line, which names the path and what helps",
        arguments: ["id", "listen"]
    )
    func cannotBeHad(command: String) async throws {
        let path = home.path(of: ".config/parley/identity")
        let plain = command == "id" ? "" : ", --plain goes without an identity"
        let help = "; --identity FILE uses another file\(plain)"
        try await expectFailure(
            start(command, environment: ["HOME": ""]),
            "parley: cannot tell where the identity of this node lies, since neither HOME nor "
                + "XDG_CONFIG_HOME is set\(help)"
        )
        try await expectFailure(
            start(command, environment: ["HOME": "/no/such"]),
            "parley: no identity: cannot make /no/such/.config for /no/such/.config/parley/identity: "
                + "no such file or directory\(help)"
        )
        try Data("not a directory".utf8).write(to: home.url.appending(path: ".config"))
        try await expectFailure(
            start(command),
            "parley: no identity: cannot make \(home.path(of: ".config/parley")) for \(path): "
                + "not a directory\(help)"
        )
    }

    @Test("that others may read is not used")
    func openToOthers() async throws {
        let path = home.path(of: "key")
        try Identity().save(to: path)
        chmod(path, 0o644)
        try await expectFailure(
            start("id", "--identity", path),
            "parley: no identity: \(path) is open to others, so the identity in it is not used "
                + "(chmod 600 mends it); --identity FILE uses another file"
        )
    }

    @Test("is not needed, nor made, with --plain")
    func plain() async throws {
        let listener = try start("listen", "127.0.0.1:0", "--plain", environment: ["HOME": ""])
        #expect(try await listener.listeningAddress().hasPrefix("127.0.0.1:"))
        #expect(try home.names == [])
    }

    private func expectFailure(_ tool: ToolProcess, _ line: String) async throws {
        #expect(try await tool.errors.rest() == [line])
        #expect(try await tool.output.rest() == [])
        #expect(try await tool.exit() == 1)
    }
}
