import ArgumentParser
import Parley

struct ReceiveCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Receive files and folders from parley send, and store them.",
        // The parser takes --into for an option that may be left out, as it may be of `get`.
        usage: "parley receive --into <dir> [<options>]",
        discussion: """
            Serves any number of senders at once, eight from one address. The first line of the output is \
            "listening on ID@ADDRESS", with the real port: what the other side sends to. Each transfer has \
            one line when it begins and one when it is stored. What is refused has a line on standard error, \
            and the sender hears why.

            Files and folders keep their names, modes and modification times. Nothing leaves the directory: \
            paths and links that lead out of it are refused, and links in it are not followed. Folders that \
            exist already are filled. No other file is replaced unless --overwrite says so. A file appears \
            when all of it has arrived; until then it is called .parley-*.part. Control characters in names \
            are kept, and escaped when a name is shown.

            With --resume a transfer goes on that has broken off, also on a full disk, when the same sender \
            sends the same again: parts of files of at least 1 MiB stay, and what of them is still right is \
            not sent again. Files that are there already and are the same count as stored. Parts are removed \
            with their file, or after a week.

            About senders that are not known here it asks at the terminal. With --yes it takes from them, \
            and the limits of --max-bytes and of --allow still hold.

            --into - writes the one file that it receives to standard output, and its lines to standard \
            error. What was written before a failure stays written: look at the exit code.

            It runs until Ctrl-C. With --once, and with --into -, it ends after the first transfer, with \
            exit code 0 if all of it was stored.

            Senders of other versions are refused, and hear which version this is.
            """
    )

    @Option(help: ArgumentHelp("Where to listen.", valueName: "address"))
    var listen = ":3000"

    @Flag(help: "End after one transfer.")
    var once = false

    @Flag(help: "Take from nodes that are not known here without asking.")
    var yes = false

    @OptionGroup var storing: StoringOptions

    @OptionGroup var json: JSONOption

    @OptionGroup var common: CommonOptions

    func validate() throws {
        // Strangers' files go where somebody says.
        if storing.into == nil { throw ValidationError("missing expected argument '--into <dir>'") }
        try storing.check(with: json)
        try common.security.validate(listeningAt: listen)
    }

    /// Who is silent for longer has gone.
    private static let idleTimeout = Duration.seconds(300)

    private var endsAfterOne: Bool { once || storing.writesOut }

    func work() async throws {
        json.apply()
        if storing.writesOut { Console.sendResultsToStandardError() }
        let target = try storing.target(verb: "receive")
        let (security, newcomers) = try common.security.whenListening(lettingStrangersIn: yes)
        var options = common.transportOptions(listenAddress: listen, security)
        options.timeouts.idle = Self.idleTimeout
        // Nothing is read while this side hashes what it has of a large file, which may take longer. The
        // sender says something meanwhile.
        options.timeouts.streamIdle = nil
        let silentPeers = SilentPeers(capacity: SilentPeers.makeRoom(in: &options))
        let receiver = TransferReceiver(
            into: target,
            once: endsAfterOne,
            maxBytes: storing.maxBytes?.bytes,
            codec: common.codec,
            bar: ProgressBar(isShown: common.showsProgressBar),
            silentPeers: silentPeers
        )
        options.onPeer = { silentPeers.hasCome($0) }
        let strangeForms = StrangeForms()
        options.onDisconnect = { peer, reason in
            silentPeers.hasGone(peer)
            newcomers?.reportFailure(of: peer, reason)
            strangeForms.reportEnd(of: peer, reason, isProven: newcomers == nil || peer.id != nil)
        }
        try await withTransport(options) { transport in
            try await transport.listenAndAccept()
            try ListeningText.show(for: transport, id: security.id)
            try await withThrowingDiscardingTaskGroup { group in
                if let newcomers, newcomers.mayAsk { group.addTask { await newcomers.readAnswers() } }
                defer { group.cancelAll() }
                try await serve(transport.consume(), with: receiver)
            }
        }
    }

    private func serve(_ rpcs: RPCSequence, with receiver: TransferReceiver) async throws {
        guard endsAfterOne else { return try await receiver.serve(rpcs) }
        let outcome = try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await receiver.serve(rpcs) }
            defer { group.cancelAll() }
            return await receiver.firstOutcome
        }
        // The reason was printed already.
        if outcome != .stored { throw ExitCode.failure }
    }
}
