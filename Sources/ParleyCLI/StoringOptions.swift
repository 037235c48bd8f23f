import ArgumentParser
import Parley

/// The options of `receive` and `get` about where and how things are stored.
struct StoringOptions: ParsableArguments, Sendable {
    @Option(
        help: ArgumentHelp("The directory to store in; - is standard output.", valueName: "dir"),
        completion: .directory
    )
    var into: String?

    @Flag(help: "Replace files and links that exist already.")
    var overwrite = false

    @Flag(help: "Go on with what has broken off, and keep parts for that.")
    var resume = false

    @Option(
        help: ArgumentHelp(
            "The most bytes that one transfer may bring: 1500, 20k, 4.5M, 2G or 1T.",
            valueName: "count"
        )
    )
    var maxBytes: ByteCount?

    var writesOut: Bool { into == "-" }

    /// - Throws: a usage error when standard output would carry two things, or the directory has no name.
    func check(with json: JSONOption) throws {
        try EmptyArgument.refuse([into], "--into")
        if writesOut, json.json {
            throw ValidationError("--json and --into - cannot go together: both need standard output")
        }
    }

    /// Makes what each transfer goes into.
    ///
    /// - Parameter verb: `receive`, in the sentence about a directory that cannot be opened.
    func target(verb: String) throws -> @Sendable (PeerID?) -> any IncomingTarget {
        let into = into ?? "."
        if writesOut { return { _ in StandardOutputTarget() } }
        let folder: OpenFolder
        do throws(SystemError) { folder = try OpenFolder(LocalPath(argument: into, of: "--into")) } catch {
            throw Failure("cannot \(verb) into \(into.printable): \(error.reason)")
        }
        return { [overwrite, resume] sender in
            let resumption = resume ? Resumption(sender: sender?.description) : nil
            return TargetFolder(folder, overwrites: overwrite, resumption: resumption)
        }
    }
}
