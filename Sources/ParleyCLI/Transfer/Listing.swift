import Parley

/// What a folder that is served has in it, one level deep: the answer to `parley ls`.
struct Listing {
    private var entries: [TransferEntry] = []
    private var problems: [String] = []
    private let server: FileServer
    private let stop: StopSign

    /// Looks at what a request names: a file or link is listed itself, a folder as what is in it. Blocks.
    ///
    /// - Parameter stop: ends it early.
    init(of request: FileRequest, _ server: FileServer, until stop: StopSign) {
        self.server = server
        self.stop = stop
        let cursor = FolderCursor(server.folder)
        for asked in request.paths where !stop.isSet {
            var problems: [String] = []
            let one = FileRequest(paths: [asked])
            for path in server.paths(one, until: stop, problem: { problems.append($0) }) where !stop.isSet {
                add(.served(path, cursor), path, isAsked: !asked.isEmpty)
            }
            self.problems += problems
        }
    }

    /// - Parameter isAsked: whether the request names it, so that a folder is looked into.
    private mutating func add(_ place: SourcePlace, _ path: RelativePath, isAsked: Bool) {
        do throws(SystemError) {
            let status = try place.status(following: false)
            let kind: TransferEntry.Kind
            switch FileKind(of: status) {
            case .regular: kind = .file(byteCount: Int(status.st_size))
            case .symbolicLink: kind = .link(target: try place.linkTarget())
            case .directory:
                kind = .folder
                guard isAsked else { break }
                for name in try place.namesInside() where server.showsHidden || !name.isHidden {
                    if stop.isSet { return }
                    add(place.appending(name), path.appending(name), isAsked: false)
                }
                return
            // It cannot be given. Whoever asks for it hears that, as from `get`.
            case .other:
                guard isAsked else { return }
                return problems.append("cannot send \(path.shown): it is \(FileKind(of: status))")
            }
            entries.append(TransferEntry(kind: kind, path: path.bytes, metadata: Metadata(status)))
        } catch {
            problems.append("cannot open \(path.shown): \(error.reason)")
        }
    }

    func write(to stream: PeerStream) async throws {
        let records = RecordWriter(stream)
        for problem in problems { try await records.write(.problem(problem)) }
        for entry in entries { try await records.write(.entry(entry)) }
        try await records.write(.end)
        try await records.flush()
        try await stream.finish()
    }
}
