import Parley

/// Answers `parley get` and `parley ls` out of one folder, for any number of peers at once. It only reads.
struct FileServer: Sendable {
    /// So many requests of one peer are answered at a time; further ones are reset.
    static let maxRequestsPerPeer = 16
    /// How long a request may take to arrive.
    private static let requestTimeout = Duration.seconds(30)

    let folder: OpenFolder
    let showsHidden: Bool
    let bar: ProgressBar
    let silentPeers: SilentPeers
    /// Whose turn it is to look into the folder. Whoever waits holds its request alone.
    let turns = RequestTurns()
    /// For looking into the folder.
    let walks = FileThreads(atMost: RequestTurns.mostInAll)

    /// Takes the streams of both kinds of requests.
    func serve(on transport: TCPTransport) throws {
        try transport.accept(FileRequest.Kind.get.rawValue) { stream in
            await deal(with: stream) { request in
                let tree = try await look(for: stream) { stop in found(request, until: stop) }
                let sender = TransferSender(
                    streams: RequestedStreams(stream: stream),
                    bar: bar,
                    keepsMetadata: true,
                    request: request
                )
                try await sender.send(tree, tree.totals)
            }
        }
        try transport.accept(FileRequest.Kind.list.rawValue) { stream in
            await deal(with: stream) { request in
                let listing = try await look(for: stream) { stop in Listing(of: request, self, until: stop) }
                try await listing.write(to: stream)
            }
        }
    }

    /// A failure has a line here, and ends the stream alone.
    private func deal(with stream: PeerStream, _ answer: (FileRequest) async throws -> Void) async {
        do {
            let request = try await withDeadline(
                Self.requestTimeout,
                failingWith: Failure("no request came within \(Self.requestTimeout)")
            ) {
                try await FileRequest(from: stream)
            }
            silentPeers.hasOffered(stream.peer)
            try await answer(request)
        } catch {
            stream.abort(code: 0)
            guard !Task.isCancelled else { return }
            let (peer, sentence) = ("\(stream.peer.remoteAddress)", Failure.sentence(of: error) ?? "\(error)")
            Console.error(sentence.contains(peer) ? sentence : "\(peer): \(sentence)")
        }
    }

    /// Looks into the folder when it is the peer's turn, on a thread that may block, and for as long as the
    /// stream is there.
    private func look<Found>(
        for stream: PeerStream,
        _ work: @escaping @Sendable (StopSign) -> Found
    ) async throws -> Found {
        let found: Handed<Found> = try await stream.whileOpen {
            try await turns.take(of: Self.owner(of: stream)) { () async throws -> Handed<Found> in
                // It may have ended while others had their turns.
                try await stream.checkOpen()
                return try await walks.run { stop in Handed(work(stop)) }
            }
        }
        return found.value
    }

    /// Who asks, on any of its connections: those of one host are one without ids.
    private static func owner(of stream: PeerStream) -> String {
        stream.peer.id.map { "\($0)" } ?? stream.peer.remoteAddress.host
    }

    /// Everything that a request asks for. Blocks.
    private func found(_ request: FileRequest, until stop: StopSign) -> SourceTree {
        var options = SourceTree.Options(leavesOutHidden: !showsHidden)
        options.isStopped = { stop.isSet }
        var tree = SourceTree(options)
        let cursor = FolderCursor(folder)
        let paths = paths(request, until: stop, problem: { tree.addProblem($0) })
        if let part = request.part {
            tree.add(part, of: paths, in: cursor)
        } else {
            for path in paths where !stop.isSet { tree.add(path, in: cursor) }
        }
        return tree
    }

    /// The paths that are asked for, with those of what lies in the folder itself in its place. Blocks.
    func paths(
        _ request: FileRequest,
        until stop: StopSign,
        problem: (String) -> Void
    ) -> [RelativePath] {
        var paths: [RelativePath] = []
        for path in request.paths where !stop.isSet {
            do {
                if path.isEmpty {
                    paths += try namesInside().map { name throws(Refusal) in
                        try RelativePath(checking: name)
                    }
                } else {
                    let path = try RelativePath(checking: path)
                    // A hidden name is answered as one that is not there.
                    guard showsHidden || !path.names.contains(where: \.isHidden) else {
                        throw Failure("cannot open \(path.shown): \(SystemError.missing.reason)")
                    }
                    paths.append(path)
                }
            } catch {
                problem(Failure.sentence(of: error) ?? "\(error)")
            }
        }
        return paths
    }

    private func namesInside() throws(Failure) -> [[UInt8]] {
        do throws(SystemError) {
            // A removed folder reads as an empty one.
            if folder.isRemoved { throw .missing }
            return try folder.namesInside().filter { showsHidden || !$0.isHidden }
        } catch {
            throw Failure("cannot read the folder that is served: \(error.reason)")
        }
    }
}
