import ArgumentParser
import Parley

struct DialCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "dial",
        abstract: "Connect to a peer and exchange messages with it.",
        discussion: """
            Shows what the peer sends, and sends it each line of standard input. At the end of the input it \
            writes out what was sent, closes the connection and ends. It also ends when the peer closes the \
            connection: with exit code 0 if that was in order.

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

    /// Returns when the transport is closed: at the end of the input here, or when the connection ends.
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

/// The part of the help that `listen` and `dial` share.
enum ChatHelp {
    static let text = """
        A message is shown as "127.0.0.1:51514> text". Control characters in it are escaped, and bytes \
        that are not UTF-8 are shown as \\xff. A stream is read to its end, and its length is shown.

        With --codec unframed a message has at most \(DefaultDecoder.maxMessageBytes) bytes, and nothing \
        marks its end: lines that are sent at the same moment can arrive as one message.
        """
}
