import ArgumentParser
import Parley

struct ReceiveCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Store the files that parley send brings.",
        discussion: """
            Serves any number of senders at once. The first line of the output is "listening on ADDRESS", with the \
            real port; each file has a line when it begins and one when it is stored.

            A file keeps its name, never replaces another one, and never leaves the directory: other names are \
            refused. It appears there when all of it has arrived.

            It runs until Ctrl-C or, with --once, until the first offer is dealt with; the exit code is then 0 if \
            the file was stored.
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
            into: try ReceivingDirectory(path: into),
            once: once,
            codec: common.codec,
            bar: ProgressBar(isShown: common.showsProgressBar)
        )
        var options = common.transportOptions(listenAddress: listen)
        options.onPeer = { receiver.mailboxes.open(for: $0) }
        options.onDisconnect = { peer, _ in receiver.mailboxes.close(for: peer) }
        try await withTransport(options) { transport in
            try await transport.listenAndAccept()
            Console.line("listening on \(transport.address)")
            try await serve(transport.consume(), with: receiver)
        }
    }

    private func serve(_ rpcs: RPCSequence, with receiver: FileReceiver) async throws {
        guard once else { return await receiver.serve(rpcs) }
        let outcome = await withDiscardingTaskGroup { group in
            group.addTask { await receiver.serve(rpcs) }
            defer { group.cancelAll() }
            return await receiver.firstOutcome
        }
        // Why it was not stored is told already.
        if outcome != .stored { throw ExitCode.failure }
    }
}
