import ArgumentParser
import Parley

struct ReceiveCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Receive files from parley send, and store them.",
        discussion: """
            Serves any number of senders at once. The first line of the output is "listening on ADDRESS", \
            with the real port. Each file has one line when it begins and one when it is stored.

            A file keeps its name. It never replaces another file and never leaves the directory: other \
            names are refused. It appears in the directory when all of it has arrived.

            It runs until Ctrl-C. With --once it ends after the first offer, with exit code 0 if the file \
            was stored.
            """
    )

    @Option(help: ArgumentHelp("Where to listen.", valueName: "address"))
    var listen = ":3000"

    @Option(help: ArgumentHelp("The directory to store files in.", valueName: "dir"))
    var into: String

    @Flag(help: "End after one file.")
    var once = false

    @OptionGroup var common: CommonOptions

    func work() async throws {
        let receiver = FileReceiver(
            into: try directory(),
            once: once,
            codec: common.codec,
            bar: ProgressBar(isShown: common.showsProgressBar)
        )
        try await withTransport(common.transportOptions(listenAddress: listen)) { transport in
            try await transport.listenAndAccept()
            Console.line("listening on \(transport.address)")
            try await serve(transport.consume(), with: receiver)
        }
    }

    private func directory() throws -> Directory {
        do { return try Directory(into) } catch {
            throw Failure("cannot receive into \(into): \(error.systemReason)")
        }
    }

    private func serve(_ rpcs: RPCSequence, with receiver: FileReceiver) async throws {
        guard once else { return try await receiver.serve(rpcs) }
        let outcome = try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await receiver.serve(rpcs) }
            defer { group.cancelAll() }
            return await receiver.firstOutcome
        }
        // The reason was printed already.
        if outcome != .stored { throw ExitCode.failure }
    }
}
