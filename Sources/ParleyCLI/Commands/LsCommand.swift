import ArgumentParser
import Parley

struct LsCommand: InterruptibleCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List what a parley serve has.",
        discussion: """
            Shows what is in the folder PATH, or the file PATH itself; without PATH what is in the folder \
            that is served. A line has mode, bytes, the time of the last change in UTC, and the path, with a \
            / behind that of a folder and the target behind that of a link. Control characters in names are \
            escaped.
            """
    )

    @Argument(help: "Where the server listens; ID@host:port for that node alone.")
    var address: String

    @Argument(help: ArgumentHelp("What to list.", valueName: "path"))
    var path = "."

    @OptionGroup var json: JSONOption

    @OptionGroup var node: NodeOptions

    func validate() throws {
        try node.security.validate(dialing: address)
        try EmptyArgument.refuse([path], "the path", RequestedPath.hint)
    }

    func work() async throws {
        json.apply()
        let request = FileRequest(paths: [RequestedPath.bytes(of: LocalPath(argument: path))])
        try request.checkBounds()
        let saysWhoAnswers = try saysWhoAnswers
        let isWhole = try await withServer(at: address, node) { dialed, watch in
            let stream = try await dialed.openStream(for: .list)
            var hasHeard = false
            do {
                try await stream.write(request.encoded)
                return try await Self.show(stream, watch, saysWhoAnswers: saysWhoAnswers, &hasHeard)
            } catch {
                throw Failure.unanswered(by: dialed, error, hasHeard: hasHeard)
            }
        }
        if !isWhole { throw ExitCode.failure }
    }

    /// Whether any node may answer. Where the command line names it, nothing is news.
    private var saysWhoAnswers: Bool {
        get throws {
            let security = node.security
            guard !security.plain, security.allow.isEmpty, security.allowFile == nil else { return false }
            return try DialTarget(address).id == nil
        }
    }

    /// - Parameter hasHeard: becomes true when something has come.
    /// - Returns: whether there was everything that was asked for.
    private static func show(
        _ stream: PeerStream,
        _ watch: StallWatch,
        saysWhoAnswers: Bool,
        _ hasHeard: inout Bool
    ) async throws -> Bool {
        var decoder = TransferRecordDecoder()
        var isWhole = true
        var hasEnded = false
        while !hasEnded {
            guard let bytes = try await stream.read(upTo: 65_536) else {
                throw Failure("the listing ended too early")
            }
            if saysWhoAnswers, !hasHeard { Console.notice("listing from \(stream.peer.label)") }
            hasHeard = true
            // A slow reader of the listing is not the server's fault.
            watch.pause()
            defer { watch.goOn() }
            try await decoder.feed(bytes) { item in
                switch item {
                case .record(.problem(let reason)):
                    Console.error("\(stream.peer.remoteAddress): \(reason)")
                    isWhole = false
                case .record(.entry(let entry)):
                    _ = try RelativePath(checking: entry.path)
                    Console.line(ListingLine.text(entry))
                    Console.event(.entry(entry))
                    await Console.waitForRoom()
                case .record(.end): hasEnded = true
                default: throw Refusal("what came is no listing")
                }
            }
        }
        return isWhole
    }
}

extension DialedPeer {
    /// Opens the stream of a request.
    func openStream(for kind: FileRequest.Kind) async throws -> PeerStream {
        do { return try await peer.openStream(protocol: kind.rawValue) } catch {
            throw Failure.unanswered(by: self, error, hasHeard: false)
        }
    }
}

extension Failure {
    /// A request has failed: says where, and what may help.
    ///
    /// - Parameter hasHeard: whether something has come on its stream. What came on others says nothing about
    ///   this one.
    static func unanswered(by dialed: DialedPeer, _ error: any Error, hasHeard: Bool) -> any Error {
        if Task.isCancelled || error is CancellationError { return error }
        // What this side takes nothing of is not the server's fault.
        if let refusal = error as? Refusal, refusal.scope == .transfer { return refusal }
        let reason = sentence(of: error) ?? "\(error)"
        let code = (error as? ParleyError)?.code
        let hint = code.map { dialed.hint(after: $0, hasHeard: hasHeard, wanting: .serve) }
        let what = code == .unsupported ? " serves no files" : ": \(reason)"
        return Failure("\(dialed.peer.remoteAddress)\(what)\(hint ?? "")")
    }
}
