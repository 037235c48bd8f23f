import ArgumentParser
import Parley

struct GetCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Get files and folders from a parley serve.",
        discussion: """
            Gets each PATH, a folder with everything in it, and stores it under its last name in the \
            directory of --into. The path . is everything that is served. It ends with exit code 0 when all \
            of it is stored. What cannot be given or stored has a line on standard error; the rest is stored \
            all the same, and the exit code is 1. A file that changes while it is sent is not stored.

            Files and folders keep their names, modes and modification times. Nothing leaves the directory: \
            paths and links that lead out of it are refused, and links in it are not followed. Folders that \
            exist already are filled. No other file is replaced unless --overwrite says so. A file appears \
            when all of it has arrived; until then it is called .parley-*.part.

            With --resume, what breaks off is gone on with when the same is got again: parts of files of at \
            least 1 MiB stay, and what of them is still right is not sent again. A file that has changed at \
            the server meanwhile begins anew. Files that are there already and are the same count as stored.

            --range gets a part of one file: 0-499 is its first 500 bytes, 500- what follows, -500 its last \
            500. With --if-tag the file is given only while its tag, which parley ls --json shows, is still \
            that one: it changes with the time and the size of the file.

            Without --into it stores in the current directory. --into - writes the one file to standard \
            output, and lines to standard error.
            """
    )

    @Argument(help: "Where the server listens; ID@host:port for that node alone.")
    var address: String

    @Argument(help: ArgumentHelp("What to get; . is everything.", valueName: "path"))
    var paths: [String]

    @Option(
        // -500 is no option of its own.
        parsing: .unconditional,
        help: ArgumentHelp("Of one file these bytes alone: FIRST-LAST, FIRST- or -COUNT.", valueName: "bytes")
    )
    var range: ByteRange?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Get one file if it has this tag; see parley ls --json.", valueName: "tag")
    )
    var ifTag: String?

    @OptionGroup var storing: StoringOptions

    @OptionGroup var json: JSONOption

    @OptionGroup var node: NodeOptions

    func validate() throws {
        try node.security.validate(dialing: address)
        try EmptyArgument.refuse(paths, "a path", RequestedPath.hint)
        try storing.check(with: json)
        if range != nil || ifTag != nil {
            guard paths.count == 1 else { throw ValidationError("--range and --if-tag are about one file") }
        }
        if range != nil, storing.resume {
            throw ValidationError(
                "--range and --resume cannot go together: what is there is taken for all of it"
            )
        }
    }

    func work() async throws {
        json.apply()
        if storing.writesOut { Console.sendResultsToStandardError() }
        let request = FileRequest(paths: try requestedPaths(), hasParts: storing.resume, part: part)
        try request.checkBounds()
        let target = try storing.target(verb: "store")
        let outcome = try await withServer(at: address, node) { dialed, watch in
            let stream = try await dialed.openStream(for: .get)
            let transfer = IncomingTransfer(
                requested: request,
                on: stream,
                watchedBy: watch,
                into: target(dialed.peer.id),
                maxBytes: storing.maxBytes?.bytes,
                bar: ProgressBar(isShown: node.showsProgressBar)
            )
            let outcome = await transfer.run()
            if let failure = transfer.failureBeforeBeginning {
                throw Failure.unanswered(by: dialed, failure, hasHeard: transfer.hasHeard)
            }
            return outcome
        }
        // The reason was printed already.
        if outcome != .stored { throw ExitCode.failure }
    }

    /// What is wanted of the only path; nil for all.
    private var part: FilePart? {
        guard range != nil || ifTag != nil else { return nil }
        return FilePart(range: range, tag: ifTag.map { FileTag(text: $0) })
    }

    /// - Throws: when two of them would have the same name here.
    private func requestedPaths() throws -> [[UInt8]] {
        var names: [[UInt8]: String] = [:]
        var arguments = ArgumentPaths()
        return try paths.map { text in
            let path = RequestedPath.bytes(of: arguments.next(text))
            let name = path.split(separator: slash).last.map { Array($0) } ?? []
            if let other = names.updateValue(text, forKey: name) {
                throw Failure(
                    "\(other.printable) and \(text.printable) would both be called "
                        + "\"\(String(printable: name))\" here"
                )
            }
            return path
        }
    }
}

/// How the command line names what a server has.
enum RequestedPath {
    /// What an error about an empty path proposes.
    static let hint = "; . is everything"

    /// The path without empty parts and `.`, which shells, scripts and people leave in it. Empty for
    /// everything.
    static func bytes(of argument: LocalPath) -> [UInt8] {
        // The server refuses an absolute path, and says why.
        guard argument.bytes.first != slash else { return argument.bytes }
        let parts = argument.bytes.split(separator: slash).filter { !$0.elementsEqual(".".utf8) }
        return Array(parts.joined(separator: [slash]))
    }
}

/// Dials a node that serves files, and fails when it stays silent for too long.
func withServer<Result: Sendable>(
    at address: String,
    _ node: NodeOptions,
    _ body: @escaping @Sendable (DialedPeer, StallWatch) async throws -> Result
) async throws -> Result {
    var options = node.transportOptions(.multiplexed, try node.security.whenDialing())
    // A node that many silent ones have come to needs some time for this one.
    options.timeouts.handshake = .seconds(60)
    let limit = TransferSender.stallTimeout
    options.timeouts.write = limit
    // A reader of standard output may pause. The server has a limit of its own for that.
    options.timeouts.streamIdle = nil
    return try await withPeer(at: address, options) { dialed in
        let watch = StallWatch(limit: limit)
        let failure = Failure("\(dialed.peer.remoteAddress) has sent nothing for \(limit)")
        return try await watch.run(failingWith: failure) { try await body(dialed, watch) }
    }
}
