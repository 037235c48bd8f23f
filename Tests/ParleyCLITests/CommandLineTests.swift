import Foundation
import Testing

@testable import ParleyCLI

@Suite("The command line", .timeLimit(.minutes(5)))
struct CommandLineTests {
    @Test("--version and --help answer on standard output")
    func informs() async throws {
        let version = try ToolProcess("--version")
        #expect(try await version.output.rest() == ["0.1.0"])
        #expect(try await version.exit() == 0)
        for command in [[], ["listen"], ["dial"], ["receive"], ["send"], ["id"]] {
            let help = try ToolProcess(executable: ToolProcess.executable, command + ["--help"])
            #expect(try await help.output.rest().contains { $0.hasPrefix("USAGE: parley") })
            #expect(try await help.exit() == 0)
        }
    }

    @Test(
        "Help is shown to whoever asks for it",
        arguments: [
            (["help"], nil), (["help", "send"], nil), (["help", "help"], nil), (["help", "send", "-h"], nil),
            (["help", "nosuch"], "unexpected argument 'nosuch'"),
            (["help", "send", "file"], "unexpected argument 'file'"),
            (["-h"], nil), (["--help"], nil), (["send", "a", "-h"], nil), (["send", "-help"], nil),
            (["send", "-photo.jpg", "--help"], nil), (["--version"], nil), (["-photo", "--version"], nil),
            (["send", "-photo.jpg", "--to", "A"], "unknown option '-photo.jpg'"),
            (["ls", "A", "-dash"], "unknown option '-dash'"), (["listen", "-vh"], "unknown option '-vh'"),
            (["ls", "-dash", "--", "-h"], "unknown option '-dash'"),
        ] as [([String], String?)]
    )
    func help(arguments: [String], mistake: String?) {
        let subcommands = ["send", "ls", "listen", "help"]
        #expect(HelpRequest.mistake(in: arguments, subcommands: subcommands) == mistake)
    }

    @Test("Help that cannot be written is a failure", arguments: ["--help", "--version", "help send"])
    func unwritableHelp(command: String) async throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        let tool = try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            ["-c", "exec \"$0\" \(command) >/dev/full", ToolProcess.executable.path]
        )
        #expect(try await tool.exit() == 1)
        let lines = try await tool.errors.rest()
        #expect(lines.count == 1)
        #expect(lines.first?.hasPrefix("parley: standard output cannot be written: ") == true)
    }

    @Test("The usage of receive shows that it needs a directory")
    func usageOfReceive() async throws {
        let help = try ToolProcess("receive", "--help")
        #expect(try await help.output.rest().contains("USAGE: parley receive --into <dir> [<options>]"))
        let main = try ToolProcess("--help")
        let text = try await main.output.rest().joined(separator: " ")
        #expect(text.contains("listen, receive and serve print it"))
    }

    @Test("Shells complete subcommands and options", arguments: ["bash", "zsh", "fish"])
    func completions(shell: String) async throws {
        let tool = try ToolProcess("--generate-completion-script", shell)
        let script = try await tool.output.rest().joined(separator: "\n")
        #expect(try await tool.exit() == 0)
        for word in ["serve", "get", "receive", "allow-file", "unframed"] { #expect(script.contains(word)) }
        guard FileManager.default.isExecutableFile(atPath: "/bin/\(shell)") else { return }
        let check = try ToolProcess(executable: URL(filePath: "/bin/\(shell)"), ["-n"])
        try check.endInput(after: script)
        #expect(try await check.exit() == 0)
        #expect(try await check.errors.rest() == [])
    }

    @Test(
        "A wrong one is one line and exit code 64",
        arguments: [
            (["shout"], "parley: unexpected argument 'shout'"),
            (["help", "shout"], "parley: unexpected argument 'shout'"),
            (["send", "-photo.jpg", "--to", ":1"], "parley: unknown option '-photo.jpg'"),
            (["ls", ":1", "-dash"], "parley: unknown option '-dash'"),
            (["dial"], "parley: missing expected argument '<address>'"),
            (["dial", ":1", "--loud"], "parley: unknown option '--loud'"),
            (["send", "file"], "parley: missing expected argument '--to <address>'"),
            (
                ["send", "a", "b", "--name", "c", "--to", ":1"],
                "parley: --name names one path, and 2 are given"
            ),
            (["send", "-", "-", "--to", ":1"], "parley: - can be given once"),
            // What a shell makes of a variable that is not set.
            (["get", ":1", ""], "parley: a path is empty; . is everything"),
            (["get", ":1", "a", ""], "parley: a path is empty; . is everything"),
            (["ls", ":1", ""], "parley: the path is empty; . is everything"),
            (["send", "a", "", "--to", ":1"], "parley: a path is empty"),
            (["serve", ""], "parley: the path of the folder is empty"),
            (["get", ":1", "a", "--into", ""], "parley: --into is empty"),
            (["receive", "--into", ""], "parley: --into is empty"),
            (["listen", "--identity", ""], "parley: --identity is empty"),
            (["listen", "--allow-file", ""], "parley: --allow-file is empty"),
            (["listen", "--loops", "0"], "parley: --loops takes 1 to 256"),
            (["listen", "--loops", "257"], "parley: --loops takes 1 to 256"),
            (
                ["listen", "--plain", "--allow-all"],
                "parley: --plain goes without identities, so --allow-all cannot go with it"
            ),
            (
                ["receive", "--into", ".", "--plain", "--identity", "x"],
                "parley: --plain goes without identities, so --identity cannot go with it"
            ),
            (
                ["dial", "--plain", "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq@:1"],
                "parley: --plain goes without identities, so the address cannot have one"
            ),
            (
                [
                    "send", "file", "--plain", "--to",
                    "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
                ],
                "parley: --plain goes without identities, so the address cannot have one"
            ),
            (
                ["dial", "a:b:c"],
                "parley: address \"a:b:c\" has too many colons; "
                    + "an IPv6 address goes in brackets, as in [::1]:3000"
            ),
            (["listen", "nowhere"], "parley: address \"nowhere\" has no port; expected host:port"),
            (["ls", "localhost:x"], "parley: address \"localhost:x\" has no numeric port"),
            (["ls", ""], "parley: address \"\" is empty; expected host:port"),
            (["get", "here", "a"], "parley: address \"here\" has no port; expected host:port"),
            (["send", "file", "--to", "b"], "parley: address \"b\" has no port; expected host:port"),
            (["serve", ".", "--listen", "b"], "parley: address \"b\" has no port; expected host:port"),
            (
                ["receive", "--into", ".", "--listen", "b"],
                "parley: address \"b\" has no port; expected host:port"
            ),
            (
                ["listen", "--allow-all", "--allow-file", "x"],
                "parley: --allow-all lets every node in, so --allow-file cannot go with it"
            ),
            (
                ["listen", "--allow", "anna"],
                "parley: --allow: peer id \"anna\" begins neither with 12D3KooW nor with bafz"
            ),
        ]
    )
    func usage(arguments: [String], line: String) async throws {
        try await expectFailure(arguments, line: line, exitCode: 64)
    }

    @Test(
        "What cannot be done is one line and exit code 1",
        arguments: [
            (
                ["listen", "--allow-file", "/no/such"],
                "parley: cannot read /no/such: no such file or directory"
            ),
            (["dial", "127.0.0.1:1"], "parley: cannot connect to 127.0.0.1:1: connection refused"),
            (
                ["send", "/no/such/file", "--to", ":1"],
                "parley: cannot open /no/such/file: no such file or directory"
            ),
            (
                ["send", "/", "--to", ":1"],
                "parley: cannot send /: it has no name of its own; --name gives it one"
            ),
            (
                ["send", "/usr/bin", "/bin", "--to", ":1"],
                "parley: /usr/bin and /bin would both be called \"bin\" at the receiver"
            ),
            (
                ["send", "/bin", "--name", "a/..", "--to", ":1"],
                "parley: cannot send /bin: the name \"a/..\" leads out of its folder, or to it"
            ),
            (
                ["receive", "--into", "/no/such"],
                "parley: cannot receive into /no/such: no such file or directory"
            ),
        ]
    )
    func failures(arguments: [String], line: String) async throws {
        try await expectFailure(arguments, line: line, exitCode: 1)
    }

    @Test("A name that is not known is one line")
    func unknownName() async throws {
        let tool = try ToolProcess("dial", "no-such-host.invalid:3000")
        let lines = try await tool.errors.rest()
        #expect(lines.count == 1)
        #expect(lines.first?.hasPrefix("parley: cannot resolve \"no-such-host.invalid\"") == true)
        #expect(try await tool.exit() == 1)
    }

    @Test("A port that is taken is one line")
    func portTaken() async throws {
        let first = try ToolProcess("listen", "127.0.0.1:0")
        let address = try await first.listeningAddress().withoutID
        try await expectFailure(
            ["listen", address],
            line: "parley: cannot listen on \(address): address already in use",
            exitCode: 1
        )
    }

    @Test("A pipe is not waited for")
    func pipe() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path(of: "pipe")
        #expect(mkfifo(path, 0o600) == 0)
        try await expectFailure(
            ["send", path, "--to", ":1"],
            line: "parley: cannot send \(path): it is a device, pipe or socket",
            exitCode: 1
        )
    }

    private func expectFailure(_ arguments: [String], line: String, exitCode: Int32) async throws {
        let tool = try ToolProcess(executable: ToolProcess.executable, arguments)
        #expect(try await tool.errors.rest() == [line])
        #expect(try await tool.output.rest() == [])
        #expect(try await tool.exit() == exitCode)
    }
}
