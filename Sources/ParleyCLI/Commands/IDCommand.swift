import ArgumentParser
import Parley

struct IDCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "id",
        abstract: "Print the id of this node.",
        discussion: """
            Others let this node in with --allow ID, and dial it with ID@host:port. The identity is made \
            when there is none.
            """
    )

    @OptionGroup var identity: IdentityOption

    func run() throws { Console.line("\(try identity.load().id)") }
}
