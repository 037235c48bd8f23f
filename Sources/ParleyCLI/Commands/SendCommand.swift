import ArgumentParser
import Parley

struct SendCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Send a file to a parley receive.",
        discussion: """
            Offers the file, sends it when the receiver is ready, and ends with exit code 0 when the \
            receiver has stored all of it. A file that changes while it is sent is not stored.
            """
    )

    @Argument(help: "The file to send.")
    var file: String

    @Option(help: ArgumentHelp("Where the receiver listens.", valueName: "address"))
    var to: String

    @OptionGroup var common: CommonOptions

    func work() async throws {
        let file = try OutgoingFile(path: file)
        try await withPeer(at: to, common.transportOptions()) { dialed in
            let bar = ProgressBar(isShown: common.showsProgressBar)
            try await FileSender(dialed: dialed, codec: common.codec, bar: bar).send(file)
        }
    }
}
