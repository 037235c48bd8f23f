/// What the command line asks for when the argument parser takes it for a request for help.
enum HelpRequest {
    /// Arguments that ask for something to be shown. Behind them others do not matter.
    private static let explicit: Set = [
        "-h", "-help", "--help", "-help-hidden", "--help-hidden", "--version",
    ]

    /// The argument that makes it no such request.
    ///
    /// The parser finds the `h` of `-h` inside of `-photo.jpg`, too, and explains the tool when somebody asks
    /// about a subcommand that there is not.
    ///
    /// - Parameters:
    ///   - arguments: of the process, without its name.
    ///   - subcommands: the names of all of them.
    /// - Returns: a sentence; nil when help is wanted.
    static func mistake(in arguments: [String], subcommands: [String]) -> String? {
        let options = arguments.prefix { $0 != "--" }
        if arguments.first == "help" {
            let names = options.dropFirst().filter { $0.first != "-" }
            let unknown = names.first { !subcommands.contains($0) } ?? names.dropFirst().first
            return unknown.map { "unexpected argument '\($0)'" }
        }
        guard !options.contains(where: explicit.contains) else { return nil }
        let cluster = options.first { $0.first == "-" && $0.dropFirst().first != "-" && $0.contains("h") }
        return cluster.map { "unknown option '\($0)'" }
    }
}
