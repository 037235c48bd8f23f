import Parley
import Synchronization

/// The receiver's side of transfers, for any number of senders at once; see `TransferRecord.swift` for the
/// conversation.
final class TransferReceiver: Sendable {
    /// What became of a transfer.
    enum Outcome { case stored, incomplete, refused, failed }

    private let makeTarget: @Sendable (_ sender: PeerID?) -> any IncomingTarget
    private let bar: ProgressBar
    private let once: Bool
    private let maxBytes: Int?
    private let codec: Codec
    private let silentPeers: SilentPeers
    private let hasTransfer = Mutex(false)
    private let outcomes: AsyncStream<Outcome>
    private let conclude: AsyncStream<Outcome>.Continuation

    /// - Parameters:
    ///   - target: called for each transfer.
    ///   - once: whether to deal with one transfer only.
    init(
        into target: @escaping @Sendable (_ sender: PeerID?) -> any IncomingTarget,
        once: Bool,
        maxBytes: Int?,
        codec: Codec,
        bar: ProgressBar,
        silentPeers: SilentPeers
    ) {
        makeTarget = target
        self.codec = codec
        self.bar = bar
        self.once = once
        self.maxBytes = maxBytes
        self.silentPeers = silentPeers
        (outcomes, conclude) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
    }

    /// What became of the first transfer; waits for it. Nil when the task is cancelled.
    var firstOutcome: Outcome? { get async { await outcomes.first { _ in true } } }

    /// Serves senders until the task is cancelled, each in a task of its own.
    func serve(_ rpcs: RPCSequence) async throws {
        try await rpcs.consumeEachPeer { [self] peer, rpcs in
            while let rpc = await rpcs.first(where: { _ in true }) {
                guard await deal(with: rpc) != .failed else { throw Failure("a transfer has failed") }
                // What is left of a stream with an end is skipped.
                peer.closeStream()
            }
        }
    }

    private func deal(with rpc: RPC) async -> Outcome {
        do {
            guard let stream = rpc.body else { throw Refusal("expected files from parley send") }
            try checkVersion(codec.delimitsStreams ? rpc.payload : try await stream.title())
            try claim()
            return await take(stream)
        } catch {
            let reason = Failure.sentence(of: error) ?? "\(error)"
            Console.error("refused \(rpc.from): \(reason)")
            if rpc.request != nil {
                await rpc.refuseRequest()
            } else {
                try? await rpc.peer.send(message: TransferAnswer.refusal(reason))
            }
            // Without its title nothing on a stream without an end can be understood.
            return rpc.stream && !codec.delimitsStreams ? .failed : .refused
        }
    }

    private func take(_ stream: PeerStream) async -> Outcome {
        silentPeers.hasOffered(stream.peer)
        let target = makeTarget(stream.peer.id)
        let transfer = IncomingTransfer(offeredOn: stream, into: target, maxBytes: maxBytes, bar: bar)
        let outcome = await transfer.run()
        conclude.yield(outcome)
        return outcome
    }

    private func checkVersion(_ title: ArraySlice<UInt8>) throws(Refusal) {
        guard !title.starts(with: TransferRecord.title) else { return }
        let name = TransferRecord.name
        guard title.starts(with: name) else { throw Refusal("expected files from parley send") }
        let version = title.dropFirst(name.count).prefix { $0 != UInt8(ascii: "\n") }.prefix(16)
        throw Refusal(
            "version \(String(printable: version)) of the file transfer is not known here, only 3; use the "
                + "same version of parley at both ends"
        )
    }

    /// Makes sure that there is only one transfer where only one is wanted.
    private func claim() throws(Refusal) {
        let isFirst = hasTransfer.withLock { hasTransfer in
            defer { hasTransfer = true }
            return !hasTransfer
        }
        guard isFirst || !once else {
            throw Refusal("only one transfer is received here, and another one came first")
        }
    }
}

extension PeerStream {
    /// The beginning of a stream without a header, as long as the title is.
    fileprivate func title() async throws -> ArraySlice<UInt8> {
        try await read(exactly: TransferRecord.title.count)
    }
}
