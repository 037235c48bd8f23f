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
        for command in [[], ["listen"], ["dial"], ["receive"], ["send"]] {
            let help = try ToolProcess(executable: ToolProcess.executable, command + ["--help"])
            #expect(try await help.output.rest().contains { $0.hasPrefix("USAGE: parley") })
            #expect(try await help.exit() == 0)
        }
    }

    @Test(
        "A wrong one is one line and exit code 64",
        arguments: [
            (["shout"], "parley: unexpected argument 'shout'"),
            (["dial"], "parley: missing expected argument '<address>'"),
            (["dial", ":1", "--loud"], "parley: unknown option '--loud'"),
            (["send", "file"], "parley: missing expected argument '--to <address>'"),
            (["listen", "--loops", "0"], "parley: --loops takes 1 to 256"),
            (["listen", "--loops", "257"], "parley: --loops takes 1 to 256"),
        ]
    )
    func usage(arguments: [String], line: String) async throws {
        try await expectFailure(arguments, line: line, exitCode: 64)
    }

    @Test(
        "What cannot be done is one line and exit code 1",
        arguments: [
            (
                ["dial", "a:b:c"],
                "parley: address \"a:b:c\" has too many colons; "
                    + "an IPv6 address goes in brackets, as in [::1]:3000"
            ),
            (["listen", "nowhere"], "parley: address \"nowhere\" has no port; expected host:port"),
            (["dial", "127.0.0.1:1"], "parley: cannot connect to 127.0.0.1:1: connection refused"),
            (
                ["send", "/no/such/file", "--to", ":1"],
                "parley: cannot open /no/such/file: No such file or directory"
            ),
            (["send", "/", "--to", ":1"], "parley: cannot send /: it is a directory"),
            (
                ["receive", "--into", "/no/such"],
                "parley: cannot receive into /no/such: No such file or directory"
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
        let address = try await first.listeningAddress()
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
