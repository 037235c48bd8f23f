import ArgumentParser
import Parley
import Synchronization

struct ListenCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen",
        abstract: "Wait for peers and exchange messages with them.",
        discussion: """
            Shows what peers send, and sends each line of standard input to all of them. The first line of \
            the output is "listening on ID@ADDRESS", with the real port: what the other side dials. At the \
            end of the input it goes on listening; Ctrl-C ends it.

            \(ChatHelp.text)
            """
    )

    @Argument(help: "Where to listen.")
    var address = ":3000"

    @Flag(help: "Show peers, traffic and queues on standard error.")
    var stats = false

    @Option(help: ArgumentHelp("How many threads share the peers.", valueName: "count"))
    var loops = 1

    @OptionGroup var common: CommonOptions

    func validate() throws {
        try common.security.validate(listeningAt: address)
        guard TransportOptions.loopCounts.contains(loops) else {
            throw ValidationError("--loops takes 1 to \(TransportOptions.loopCounts.upperBound)")
        }
    }

    func work() async throws {
        let (security, newcomers) = try common.security.whenListening()
        var options = common.transportOptions(listenAddress: address, security)
        options.loops = loops
        let connected = Mutex<Set<ConnectionID>>([])
        options.onPeer = { peer in
            connected.withLock { _ = $0.insert(peer.connectionID) }
            Console.line("\(peer.remoteAddress) connected\(peer.id.map { " as \($0)" } ?? "")")
        }
        options.onDisconnect = { peer, reason in
            guard connected.withLock({ $0.remove(peer.connectionID) }) != nil else {
                newcomers?.reportFailure(of: peer, reason)
                return
            }
            // Peers that this side closed are not reported: the session is ending.
            if reason.code != .closed {
                Console.line("\(peer.remoteAddress) disconnected: \(reason.message)")
            }
        }
        try await withTransport(options) { transport in
            try await transport.listenAndAccept()
            try ListeningText.show(for: transport, id: security.id)
            let session = ChatSession(transport: transport, options: common, newcomers: newcomers)
            await withDiscardingTaskGroup { group in
                group.addTask {
                    _ = await session.sendLines(to: { transport.peers })
                    if !Task.isCancelled { newcomers?.endInput() }
                }
                if stats { group.addTask { await StatisticsLine(transport: transport).run() } }
                await session.show()
                group.cancelAll()
            }
        }
    }
}
