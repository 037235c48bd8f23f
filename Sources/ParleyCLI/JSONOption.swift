import ArgumentParser

/// `--json`, for programs that run the tool.
struct JSONOption: ParsableArguments, Sendable {
    @Flag(help: "Say what happens in JSON objects on standard output, one a line.")
    var json = false

    /// From now on standard output carries events alone, if that is wanted.
    func apply() { if json { Console.showEvents() } }
}
