import ArgumentParser
import Parley

struct DialCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "dial",
        abstract: "Connect to a peer and exchange messages with it.",
        discussion: """
            Shows what the peer sends, and sends it each line of standard input. At the end of the input it \
            writes out what was sent, closes the connection and ends. It also ends when the peer closes the \
            connection: with exit code 0 if that was in order and no input was left. Code 0 does not say \
            that the peer has let this node in: whoever refuses closes the connection. A line that cannot \
            be sent has a line on standard error; the rest is sent all the same, and the exit code is 1. The \
            first line of the output is "connected to ID@ADDRESS", with the id of the node that has answered.

            \(ChatHelp.text)
            """
    )

    @Argument(help: "Where the peer listens; ID@host:port for that node alone.")
    var address: String

    @OptionGroup var common: CommonOptions

    func validate() throws { try common.security.validate(dialing: address) }

    func work() async throws {
        var options = common.transportOptions(try common.security.whenDialing())
        // A line waits for as long as the other side takes anything at all. `writeStall` ends it then.
        options.timeouts.write = nil
        try await withPeer(at: address, options) { dialed in
            Console.line("connected to \(dialed.peer.label)")
            let outcome = await exchange(with: dialed)
            try Task.checkCancellation()
            let end = await dialed.end
            let unsent = dialed.peer.statistics.unsentBytes
            let hasLeftovers = unsent > 0 || outcome == .cutShort
            switch end.code {
            case .closed where hasLeftovers, .endOfStream where hasLeftovers:
                let left = unsent > 0 ? ": \(unsent.inBytes) left" : ""
                let hint = end.code == .closed ? "" : dialed.hint(after: end.code)
                throw Failure("\(end.message) before all was sent\(left)\(hint)")
            case .closed: break
            case .endOfStream:
                let hint = dialed.hint(after: end.code)
                Console.line("\(dialed.peer.remoteAddress) disconnected: \(end.message)\(hint)")
            // A node that refuses an id may close before it has read what was sent.
            case .connectionReset where !dialed.hasHeard:
                throw Failure("\(end.message)\(dialed.hint(after: end.code))")
            default: throw end
            }
            // What was not sent has had its line.
            if outcome != .sent { throw ExitCode.failure }
        }
    }

    /// Returns when the transport is closed: at the end of the input here, or when the connection ends.
    ///
    /// - Returns: what has become of the input.
    private func exchange(with dialed: DialedPeer) async -> SendOutcome {
        let session = ChatSession(transport: dialed.transport, options: common)
        return await withTaskGroup(of: SendOutcome.self) { group in
            group.addTask {
                let outcome = await session.sendLines(to: { [dialed.peer] })
                await dialed.untilWritten()
                if !Task.isCancelled { await dialed.transport.close() }
                return outcome
            }
            await session.show()
            group.cancelAll()
            return await group.next() ?? .sent
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
