import ArgumentParser
import Logging
import Parley

/// The options that every subcommand has.
struct CommonOptions: ParsableArguments, Sendable {
    @Flag(name: .shortAndLong, help: "Log what the transport does to standard error.")
    var verbose = false

    @Option(
        help: ArgumentHelp(
            "The wire form, the same at both ends: framed for Parley nodes, unframed or gob for Go nodes.",
            valueName: "form"
        )
    )
    var codec = Codec.framed

    /// False with `--verbose`: log lines would break up the progress bar.
    var showsProgressBar: Bool { !verbose && Console.hasStatusLine }

    /// The options of a transport with this wire form and this logging.
    func transportOptions(listenAddress: String = ":0") -> TransportOptions {
        var options = TransportOptions(listenAddress: listenAddress, decoder: codec.wireForm)
        if verbose {
            options.logger = Logger(label: "parley") { StreamLogHandler.standardError(label: $0) }
            options.logger.logLevel = .trace
        }
        return options
    }
}
