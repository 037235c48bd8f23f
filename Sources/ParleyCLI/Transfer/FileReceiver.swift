import Parley
import Synchronization

/// The receiver's side of transfers, for any number of senders at once; see `FileOffer.swift` for the
/// conversation.
final class FileReceiver: Sendable {
    /// What became of an offer.
    enum Outcome { case stored, refused, failed }

    /// How long a sender may take to begin the stream that it has offered.
    private static let streamTimeout = Duration.seconds(60)

    private let directory: Directory
    private let bar: ProgressBar
    private let once: Bool
    private let codec: Codec
    private let hasOffer = Mutex(false)
    private let outcomes: AsyncStream<Outcome>
    private let conclude: AsyncStream<Outcome>.Continuation

    /// - Parameter once: whether to deal with one offer only.
    init(into directory: Directory, once: Bool, codec: Codec, bar: ProgressBar) {
        self.codec = codec
        self.directory = directory
        self.bar = bar
        self.once = once
        (outcomes, conclude) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    /// What became of the first offer; waits for it. Nil when the task is cancelled.
    var firstOutcome: Outcome? { get async { await outcomes.first { _ in true } } }

    /// Serves senders until the task is cancelled, each in a task of its own.
    func serve(_ rpcs: RPCSequence) async throws {
        try await rpcs.consumeEachPeer { [self] peer, rpcs in
            try await converse(Sender(peer: peer, rpcs: rpcs))
        }
    }

    /// A peer, and what it sends.
    private struct Sender {
        let peer: any Peer
        let rpcs: RPCSequence

        /// The next thing that it sent; nil when it has gone or the task is cancelled.
        func next() async -> RPC? { await rpcs.first { _ in true } }
    }

    /// Deals with one offer after the other, until the peer goes.
    ///
    /// - Throws: when the peer is out of step. That ends its connection.
    private func converse(_ sender: Sender) async throws {
        while let rpc = await sender.next() {
            guard !rpc.stream || codec.delimitsStreams else {
                // Its length is unknown, so nothing behind it can be understood.
                Console.error("\(rpc.from) opened a stream without offering a file")
                throw Failure("a stream without an offer")
            }
            let outcome = await deal(with: rpc, sender)
            // What is left of a stream with an end is skipped.
            if codec.delimitsStreams { sender.peer.closeStream() }
            guard outcome != .failed else { throw Failure("a transfer has failed") }
        }
    }

    private func deal(with rpc: RPC, _ sender: Sender) async -> Outcome {
        let offer: FileOffer
        do throws(Refusal) {
            guard rpc.stream || !codec.delimitsStreams else { throw Refusal("expected the stream of a file") }
            offer = try FileOffer(decoding: rpc.payload, as: rpc.stream ? .header : .message)
            try claim()
        } catch {
            return await refuse(sender.peer, error)
        }
        let outcome = await deal(with: offer, sender)
        conclude.yield(outcome)
        return outcome
    }

    /// Makes sure that there is only one offer where only one is wanted.
    private func claim() throws(Refusal) {
        let isFirst = hasOffer.withLock { hasOffer in
            defer { hasOffer = true }
            return !hasOffer
        }
        guard isFirst || !once else {
            throw Refusal("only one file is received here, and another one came first")
        }
    }

    private func deal(with offer: FileOffer, _ sender: Sender) async -> Outcome {
        let file: IncomingFile
        do {
            file = try IncomingFile(FileName(checking: offer.name), in: directory)
        } catch {
            return await refuse(sender.peer, error)
        }
        let report = TransferReport(
            .receiving,
            file.name,
            byteCount: offer.size,
            peer: sender.peer,
            bar: bar
        )
        do {
            switch offer.version {
            case .message: try await receiveAgreed(file, sender, report)
            case .header: try await receiveWhole(file, sender, report)
            }
        } catch {
            file.remove()
            return await fail(sender.peer, file, report, error)
        }
        report.complete()
        // The file is there, whether or not the sender is still there to hear it.
        try? await sender.peer.send(message: TransferAnswer.stored(byteCount: report.doneBytes).encoded)
        // Behind the answer: a sender that has closed its side already is gone when its stream is done.
        sender.peer.closeStream()
        return .stored
    }

    /// Stores what comes until the stream's end.
    private func receiveWhole(_ file: IncomingFile, _ sender: Sender, _ report: TransferReport) async throws {
        for try await piece in sender.peer.chunks(chunkBytes: filePieceBytes) {
            try file.write(piece)
            report.advance(by: piece.count)
        }
        try file.keep()
    }

    /// Lets the sender begin, and stores exactly what it has offered.
    private func receiveAgreed(_ file: IncomingFile, _ sender: Sender, _ report: TransferReport)
        async throws
    {
        try await sender.peer.send(message: TransferAnswer.ready.encoded)
        let silence = Failure("no stream has begun for \(Self.streamTimeout)")
        let rpc = try await withDeadline(Self.streamTimeout, failingWith: silence) { await sender.next() }
        guard let rpc else { throw Failure("the sender went away") }
        guard rpc.stream else { throw Failure("the sender sent a message instead of the file") }
        for try await piece in sender.peer.chunks(byteCount: report.totalBytes, chunkBytes: filePieceBytes) {
            try file.write(piece)
            report.advance(by: piece.count)
        }
        try file.keep()
    }

    // MARK: What goes wrong

    private func refuse(_ peer: any Peer, _ refusal: Refusal) async -> Outcome {
        Console.error("refused \(peer.remoteAddress): \(refusal.reason)")
        try? await peer.send(message: TransferAnswer.refused(refusal.reason).encoded)
        return .refused
    }

    private func fail(
        _ peer: any Peer,
        _ file: IncomingFile,
        _ report: TransferReport,
        _ error: any Error
    ) async -> Outcome {
        let reason = Task.isCancelled ? "the receiver was stopped" : Failure.sentence(of: error) ?? "\(error)"
        Console.error(
            "\(file.name.text) from \(peer.remoteAddress) broke off after \(report.doneBytes) of "
                + "\(report.totalBytes) bytes: \(reason)"
        )
        try? await peer.send(message: TransferAnswer.failed(reason).encoded)
        return .failed
    }
}
