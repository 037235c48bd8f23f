import ArgumentParser
import Logging
import Parley

/// What every subcommand understands.
struct CommonOptions: ParsableArguments, Sendable {
    @Flag(name: .shortAndLong, help: "Log what the transport does to standard error.")
    var verbose = false

    @Option(
        help: ArgumentHelp(
            "The wire form, the same at both ends: framed between Parley nodes, default or gob with Go nodes.",
            valueName: "form"
        )
    )
    var codec = Codec.framed

    /// A progress bar would only be torn apart by a log.
    var showsProgressBar: Bool { !verbose && Console.hasStatusLine }

    /// The options of a transport that logs as the command line says.
    func transportOptions(listenAddress: String = ":0") -> TransportOptions {
        var options = TransportOptions(listenAddress: listenAddress, decoder: codec.wireForm)
        if verbose {
            options.logger = Logger(label: "parley") { StreamLogHandler.standardError(label: $0) }
            options.logger.logLevel = .trace
        }
        return options
    }
}
