import ArgumentParser
import Parley

struct ServeCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Let peers list and get what is in a folder.",
        discussion: """
            Answers parley ls and parley get, from any number of peers at once, eight from one address, \
            and never writes. The first line of the output is "listening on ID@ADDRESS", with the real \
            port: what the other side dials. Each transfer has one line when it begins and one when it has \
            arrived.

            Nothing outside of DIR is given: names with .., absolute ones and those that lead through a \
            symbolic link are refused. Links are given as links. Names that begin with a dot are not there \
            for others, unless --hidden shows them.

            It runs until Ctrl-C.
            """
    )

    @Argument(help: ArgumentHelp("The folder to serve.", valueName: "dir"), completion: .directory)
    var folder: String

    @Option(help: ArgumentHelp("Where to listen.", valueName: "address"))
    var listen = ":3000"

    @Flag(help: "Show and give names that begin with a dot, too.")
    var hidden = false

    @OptionGroup var json: JSONOption

    @OptionGroup var node: NodeOptions

    func validate() throws {
        try EmptyArgument.refuse([folder], "the path of the folder")
        try node.security.validate(listeningAt: listen)
    }

    /// Who asks for nothing for so long has gone.
    private static let idleTimeout = Duration.seconds(300)

    func work() async throws {
        json.apply()
        let root: OpenFolder
        do throws(SystemError) { root = try OpenFolder(LocalPath(argument: folder)) } catch {
            throw Failure("cannot serve \(folder.printable): \(error.reason)")
        }
        let (security, newcomers) = try node.security.whenListening()
        var options = node.transportOptions(.multiplexed, listenAddress: listen, security)
        options.timeouts.idle = Self.idleTimeout
        options.timeouts.write = TransferSender.stallTimeout
        options.limits.maxStreamsPerPeer = FileServer.maxRequestsPerPeer
        let silentPeers = SilentPeers(capacity: SilentPeers.makeRoom(in: &options))
        options.onPeer = { silentPeers.hasCome($0) }
        let strangeForms = StrangeForms()
        options.onDisconnect = { peer, reason in
            silentPeers.hasGone(peer)
            newcomers?.reportFailure(of: peer, reason)
            strangeForms.reportEnd(of: peer, reason, isProven: newcomers == nil || peer.id != nil)
        }
        let server = FileServer(
            folder: root,
            showsHidden: hidden,
            bar: ProgressBar(isShown: node.showsProgressBar),
            silentPeers: silentPeers
        )
        try await withTransport(options) { transport in
            try server.serve(on: transport)
            try await transport.listenAndAccept()
            try ListeningText.show(for: transport, id: security.id)
            await withDiscardingTaskGroup { group in
                if let newcomers, newcomers.mayAsk { group.addTask { await newcomers.readAnswers() } }
                defer { group.cancelAll() }
                // Messages mean nothing here.
                for await rpc in transport.consume() {
                    rpc.body?.close()
                    if rpc.request != nil { group.addTask { await rpc.refuseRequest() } }
                }
            }
        }
    }
}
