import ArgumentParser
import Parley

struct SendCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "send",
        abstract: "Send files and folders to a parley receive.",
        discussion: """
            Sends each PATH, a folder with everything in it, and ends with exit code 0 when the receiver has \
            stored all of it. The receiver uses the last name of each path. A file that changes while it is \
            sent is not stored. What cannot be sent or stored has a line on standard error; the rest is sent \
            all the same, and the exit code is 1. Devices, pipes and sockets are such things; --exclude \
            leaves them out.

            - is standard input, which --name names. With a single path, --name replaces its name.

            Symbolic links in folders are sent as links, and a receiver takes those that stay inside what \
            it receives into. --follow sends what they lead to. A path that is itself a link is followed.

            A pattern of --exclude is one line of a .gitignore file: *.o leaves out at any depth, /build \
            only in the folder that is sent, cache/ only folders, and !keep.o takes back.

            Both ends need the same version of the transfer, 3. Others are refused, and the line says so; an \
            older tool with the unframed or gob wire form only ends the connection.
            """
    )

    @Argument(
        help: ArgumentHelp("What to send; - is standard input.", valueName: "path"),
        completion: .file()
    )
    var paths: [String]

    @Option(
        help: ArgumentHelp(
            "Where the receiver listens; ID@host:port for that node alone.",
            valueName: "address"
        )
    )
    var to: String

    @Option(help: ArgumentHelp("What the receiver calls it (- is \"stdin\" by default).", valueName: "name"))
    var name: String?

    @Option(
        help: ArgumentHelp(
            "Leave out what matches in folders, as in .gitignore; repeatable.",
            valueName: "pattern"
        )
    )
    var exclude: [String] = []

    @Flag(help: "Send what symbolic links lead to in their place.")
    var follow = false

    @Flag(help: "Do not keep modes and modification times.")
    var noMetadata = false

    @OptionGroup var json: JSONOption

    @OptionGroup var common: CommonOptions

    func validate() throws {
        try common.security.validate(dialing: to)
        try EmptyArgument.refuse(paths, "a path")
        if name != nil, paths.count > 1 {
            throw ValidationError("--name names one path, and \(paths.count) are given")
        }
        if paths.count(where: { $0 == "-" }) > 1 { throw ValidationError("- can be given once") }
    }

    func work() async throws {
        json.apply()
        let tree = try tree()
        var options = common.transportOptions(try common.security.whenDialing())
        // The receiver answers at the end of what may take days. The sender has a limit of its own.
        options.timeouts.streamIdle = nil
        // A receiver that many silent ones have come to needs some time for this one.
        options.timeouts.handshake = .seconds(60)
        options.timeouts.write = TransferSender.stallTimeout
        // Whoever reads what the receiver writes to its standard output may pause for as long.
        options.timeouts.writeStall = TransferSender.stallTimeout
        try await withPeer(at: to, options) { dialed in
            let waiting = Task { try await sayThatItWaits(for: dialed) }
            defer { waiting.cancel() }
            let sender = TransferSender(
                streams: DialedStreams(dialed: dialed, codec: common.codec),
                bar: ProgressBar(isShown: common.showsProgressBar),
                keepsMetadata: !noMetadata
            )
            try await sender.send(tree, tree.totals)
        }
    }

    /// A receiver that asks nobody answers within this time.
    private static let usualAnswerTime = Duration.seconds(3)

    /// The receiver says nothing while a person there is asked about this node. What is sent meanwhile looks
    /// busy, so a person here hears what it waits for.
    private func sayThatItWaits(for dialed: DialedPeer) async throws {
        // In other wire forms the receiver says nothing either before it has stored everything.
        guard Console.hasStatusLine, common.codec.delimitsStreams else { return }
        try await Task.sleep(for: Self.usualAnswerTime)
        guard !dialed.hasHeard else { return }
        Console.notice("waiting for an answer of \(dialed.peer.label); perhaps somebody is asked there")
    }

    /// What is to be sent. A path that cannot be sent is among its problems, and the others are sent.
    ///
    /// - Throws: when nothing is left to send, or the names at the receiver would not do.
    private func tree() throws -> SourceTree {
        var patterns = ArgumentPaths(of: "--exclude")
        let excludes = ExcludeList(exclude.map { patterns.next($0).bytes })
        var tree = SourceTree(SourceTree.Options(follow: follow, excludes: excludes))
        let own = name.map { LocalPath(argument: $0, of: "--name").bytes }
        var roots: [[UInt8]: String] = [:]
        var arguments = ArgumentPaths()
        for text in paths {
            let path = arguments.next(text)
            let name: [UInt8]
            do throws(Failure) { name = if let own { own } else { try Self.name(of: path, text) } } catch {
                tree.addProblem(error.sentence)
                continue
            }
            if let other = roots.updateValue(text, forKey: name) {
                throw Failure(
                    "\(other.printable) and \(text.printable) would both be called "
                        + "\"\(String(printable: name))\" at the receiver"
                )
            }
            do throws(Refusal) {
                _ = try RelativePath(checking: name)
            } catch { throw Failure("cannot send \(path.shown): \(error.reason)") }
            if text == "-" {
                try tree.addStandardInput(as: name)
            } else {
                do { try tree.add(path, as: name) } catch {
                    tree.addProblem(Failure.sentence(of: error) ?? "\(error)")
                }
            }
        }
        guard !tree.entries.isEmpty else {
            for problem in tree.problems { Console.error(problem) }
            throw ExitCode.failure
        }
        return tree
    }

    /// What the receiver calls a path without `--name`.
    private static func name(of path: LocalPath, _ text: String) throws(Failure) -> [UInt8] {
        if text == "-" { return Array("stdin".utf8) }
        if let name = path.name { return name }
        do throws(SystemError) { _ = try path.status(following: true) } catch {
            throw Failure("cannot open \(path.shown): \(error.reason)")
        }
        guard let name = path.resolved?.name else {
            throw Failure("cannot send \(path.shown): it has no name of its own; --name gives it one")
        }
        return name
    }
}
