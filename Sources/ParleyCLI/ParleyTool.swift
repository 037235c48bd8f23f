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

            A node has an identity, which is made when it is first needed and stays in \
            $XDG_CONFIG_HOME/parley/identity (~/.config by default). Connections are encrypted, and each \
            side proves its id. An address ID@host:port reaches that node or none; listen, receive and serve \
            print it. Also /ip4/192.168.1.5/tcp/3000/p2p/ID.

            Nodes with the same identity may come in. About others a person is asked at the terminal, \
            within 60 seconds; where there is none, they are refused. With --allow and --allow-file those \
            ids may come in and no others; with --allow-all every node may, as scripts may want. Whom a \
            command dials may be anybody, unless the address has an id or ids are allowed. With --plain \
            there are no identities and nothing is encrypted: for nodes that have none, such as Go nodes.

            Results go to standard output, errors to standard error, one line each. The exit code is 0 on \
            success, 1 on failure, 64 for a wrong command line, 130 after Ctrl-C, 129 after SIGHUP and 143 \
            after SIGTERM. A signal that is ignored when the command starts stays ignored, as nohup wants it.
            """,
        version: "\(PARLEY_VERSION_MAJOR).\(PARLEY_VERSION_MINOR).\(PARLEY_VERSION_PATCH)",
        subcommands: [
            ListenCommand.self, DialCommand.self, ReceiveCommand.self, SendCommand.self,
            ServeCommand.self, GetCommand.self, LsCommand.self, IDCommand.self,
        ]
    )

    static func main() async {
        reserveStandardDescriptors()
        do {
            var command = try await asyncParseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            leave(EXIT_SUCCESS)
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
        if code.isSuccess {
            let subcommands = configuration.subcommands.compactMap { $0.configuration.commandName } + ["help"]
            let arguments = Array(CommandLine.arguments.dropFirst())
            if let mistake = HelpRequest.mistake(in: arguments, subcommands: subcommands) {
                Console.error(mistake)
                leave(ExitCode.validationFailure.rawValue)
            }
            Console.text(fullMessage(for: error))
            leave(EXIT_SUCCESS)
        }
        Console.error(usageError(message(for: error)))
        leave(code.rawValue)
    }

    /// The parser's message in the form of the tool's other errors: one line, with a small first letter.
    private static func usageError(_ message: String) -> String {
        message.split(whereSeparator: \.isNewline).joined(separator: " ").withSmallInitial
    }
}

/// Calls exit(3), after what was printed is written; it is no success when that fails. In a command the name
/// `exit` refers to a method of ArgumentParser.
private func leave(_ status: Int32) -> Never {
    Console.flush()
    exit(status == EXIT_SUCCESS ? Interruption.exitCode ?? status : status)
}
