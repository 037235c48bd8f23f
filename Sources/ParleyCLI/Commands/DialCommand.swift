import ArgumentParser
import Parley

struct DialCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "dial",
        abstract: "Connect to a peer, and exchange messages with it.",
        discussion: """
            Shows what the peer sends, and sends it every line that is typed. At the end of its input it sends \
            what is left, closes the connection and ends. It also ends when the peer does: with exit code 0 when \
            that was in order.

            \(ChatHelp.text)
            """
    )

    @Argument(help: "Where the peer listens.")
    var address: String

    @OptionGroup var common: CommonOptions

    func work() async throws {
        try await withPeer(at: address, common.transportOptions()) { dialed in
            Console.line("connected to \(dialed.peer.remoteAddress)")
            await exchange(with: dialed)
            try Task.checkCancellation()
            let end = await dialed.end
            switch end.code {
            case .closed: break
            case .endOfStream: Console.line("\(dialed.peer.remoteAddress) disconnected: \(end.message)")
            default: throw end
            }
        }
    }

    /// Until the transport is closed: by the end of the input here, or together with the peer.
    private func exchange(with dialed: DialedPeer) async {
        let session = ChatSession(transport: dialed.transport, options: common)
        await withDiscardingTaskGroup { group in
            group.addTask {
                await session.sendLines(to: { [dialed.peer] })
                if !Task.isCancelled { await dialed.transport.close() }
            }
            await session.show()
            group.cancelAll()
        }
    }
}

/// What the help of both subcommands says.
enum ChatHelp {
    static let text = """
        A message is shown as "127.0.0.1:51514> text". Control characters in it are escaped, and bytes that are \
        not UTF-8 are shown as \\xff. A stream is read to its end, and its length is shown.

        With --codec default a message carries at most \(DefaultDecoder.maxMessageBytes) bytes, and nothing marks \
        its end: lines that are sent at the same moment can arrive as one message.
        """
}
