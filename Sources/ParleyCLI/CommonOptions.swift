import ArgumentParser
import Logging
import Parley

/// The options that every node has, whatever its wire form.
struct NodeOptions: ParsableArguments, Sendable {
    @Flag(name: .shortAndLong, help: "Log what the transport does to standard error.")
    var verbose = false

    @OptionGroup var security: SecurityOptions

    /// False with `--verbose`: log lines would break up the progress bar.
    var showsProgressBar: Bool { !verbose && Console.hasStatusLine }

    /// The options of a transport with this logging and this security.
    func transportOptions(
        _ wireForm: WireForm,
        listenAddress: String = ":0",
        _ security: Security
    ) -> TransportOptions {
        var options = TransportOptions(listenAddress: listenAddress, decoder: wireForm)
        options.security = security
        if verbose {
            options.logger = Logger(label: "parley") { _ in StandardErrorLog() }
            options.logger.logLevel = .trace
        }
        return options
    }
}

/// The options of the subcommands that also talk to nodes of other programs.
struct CommonOptions: ParsableArguments, Sendable {
    @Option(
        help: ArgumentHelp(
            """
            The wire form, the same at both ends: framed for Parley nodes; unframed or gob for Go nodes, \
            with --plain.
            """,
            valueName: "form"
        )
    )
    var codec = Codec.framed

    @OptionGroup var node: NodeOptions

    var security: SecurityOptions { node.security }

    var showsProgressBar: Bool { node.showsProgressBar }

    /// The options of a transport with this wire form, this logging and this security.
    func transportOptions(listenAddress: String = ":0", _ security: Security) -> TransportOptions {
        node.transportOptions(codec.wireForm, listenAddress: listenAddress, security)
    }
}
