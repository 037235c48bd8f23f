import ArgumentParser
import CParley
import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The `parley` command: messages and files between peers, from a terminal or a script.
@main
struct ParleyTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parley",
        abstract: "Exchange messages and files with peers over TCP.",
        discussion: """
            Addresses are host:port, as in 192.168.1.5:3000, [::1]:3000 or localhost:3000. Listening at \
            :3000 means on every interface; port 0 lets the system choose one. Dialing :3000 means this host.

            Results go to standard output, errors to standard error, one line each. The exit code is 0 on \
            success, 1 on failure, 64 for a wrong command line, 130 after Ctrl-C and 143 after SIGTERM.
            """,
        version: "\(PARLEY_VERSION_MAJOR).\(PARLEY_VERSION_MINOR).\(PARLEY_VERSION_PATCH)",
        subcommands: [ListenCommand.self, DialCommand.self, ReceiveCommand.self, SendCommand.self]
    )

    static func main() async {
        do {
            var command = try await asyncParseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            end(with: error)
        }
    }

    /// Ends the process, after help on standard output if that was requested, or after one line about
    /// `error`.
    private static func end(with error: any Error) -> Never {
        if let code = error as? ExitCode { leave(code.rawValue) }
        if let sentence = Failure.sentence(of: error) {
            Console.error(sentence)
            leave(EXIT_FAILURE)
        }
        let code = exitCode(for: error)
        if code.isSuccess { exit(withError: error) }
        Console.error(usageError(message(for: error)))
        leave(code.rawValue)
    }

    /// The parser's message in the form of the tool's other errors: one line, with a small first letter.
    private static func usageError(_ message: String) -> String {
        let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
        return line.prefix(1).lowercased() + line.dropFirst()
    }
}

/// Calls exit(3). In a command the name `exit` refers to a method of ArgumentParser.
private func leave(_ status: Int32) -> Never { exit(status) }
