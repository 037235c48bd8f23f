import Parley
import Synchronization

/// The sender's side of a transfer; see `FileOffer.swift` for the conversation.
struct FileSender: Sendable {
    /// How long a receiver may think about an offer.
    static let answerTimeout = Duration.seconds(60)
    /// How long nothing may move. Long, because slow links hold megabytes on their way when the last byte is
    /// sent.
    static let stallTimeout = Duration.seconds(300)

    let dialed: DialedPeer
    let codec: Codec
    let bar: ProgressBar

    /// Sends `file`, and returns when the receiver has stored all of it.
    func send(_ file: OutgoingFile) async throws {
        let name = Array(file.name.text.utf8)
        let report: TransferReport
        let outcome: TransferAnswer
        if codec.delimitsStreams {
            report = TransferReport(.sending, file.name, byteCount: file.size, peer: dialed.peer, bar: bar)
            let offer = FileOffer(version: .header, size: file.size, name: name)
            outcome = try await sendWhole(file, offer, report)
        } else {
            try await agree(on: FileOffer(version: .message, size: file.size, name: name), file)
            report = TransferReport(.sending, file.name, byteCount: file.size, peer: dialed.peer, bar: bar)
            try await stream(file, header: [], report) { nil }
            outcome = try await nextAnswer(within: Self.stallTimeout)
        }
        switch outcome {
        case .stored(file.size): report.complete()
        case .failed(let reason): throw failed(file, reason)
        case .refused(let reason): throw refused(file, reason)
        default: throw unexpected(outcome)
        }
    }

    /// Offers the file, and waits until the receiver wants it.
    private func agree(on offer: FileOffer, _ file: OutgoingFile) async throws {
        try await dialed.peer.send(message: offer.encoded)
        let answer = try await nextAnswer(within: Self.answerTimeout)
        if case .refused(let reason) = answer { throw refused(file, reason) }
        guard answer == .ready else { throw unexpected(answer) }
    }

    /// Sends the file at once. The receiver may refuse it while it is on its way; the rest is not sent then.
    private func sendWhole(
        _ file: OutgoingFile,
        _ offer: FileOffer,
        _ report: TransferReport
    ) async throws -> TransferAnswer {
        let early = EarlyAnswer()
        return try await withThrowingTaskGroup(of: TransferAnswer.self) { group in
            group.addTask {
                let answer = try await nextAnswer()
                early.answer.withLock { $0 = answer }
                return answer
            }
            defer { group.cancelAll() }
            try await stream(file, header: offer.encoded[...], report) { early.answer.withLock { $0 } }
            group.addTask {
                try await Task.sleep(for: Self.stallTimeout)
                throw silence(Self.stallTimeout)
            }
            guard let answer = try await group.next() else { throw CancellationError() }
            return answer
        }
    }

    /// - Parameter answer: what the receiver has said meanwhile.
    private func stream(
        _ file: OutgoingFile,
        header: ArraySlice<UInt8>,
        _ report: TransferReport,
        unless answer: () -> TransferAnswer?
    ) async throws {
        do {
            try await write(file, header: header, report, unless: answer)
        } catch let error as ParleyError where error.code != .timedOut && error.code != .cancelled {
            // A receiver that gives up says why before it hangs up.
            if let said = answer() { return try check(said, file) }
            if !codec.delimitsStreams,
                case .failed(let reason)? = try? await nextAnswer(within: Self.answerTimeout)
            {
                throw failed(file, reason)
            }
            throw Failure(
                "\(file.name.text) to \(receiver) broke off after \(report.doneBytes) of \(file.size) bytes: "
                    + error.message
            )
        }
    }

    private func write(
        _ file: OutgoingFile,
        header: ArraySlice<UInt8>,
        _ report: TransferReport,
        unless answer: () -> TransferAnswer?
    ) async throws {
        try file.checkUnchanged()
        let writer = try await dialed.peer.openStream(header: header)
        do {
            while report.doneBytes < file.size {
                try Task.checkCancellation()
                if let said = answer() { try check(said, file) }
                let piece = try file.read(after: report.doneBytes)
                dialed.peer.setWriteDeadline(.now + Self.stallTimeout)
                try await writer.write(piece)
                report.advance(by: piece.count)
            }
        } catch {
            if codec.delimitsStreams { await writer.abort(reason: Failure.sentence(of: error) ?? "\(error)") }
            throw error
        }
        try await writer.finish()
    }

    /// Throws what the receiver has against the file.
    private func check(_ answer: TransferAnswer, _ file: OutgoingFile) throws {
        switch answer {
        case .refused(let reason): throw refused(file, reason)
        case .failed(let reason): throw failed(file, reason)
        default: throw unexpected(answer)
        }
    }

    // MARK: Answers

    private var receiver: String { dialed.peer.remoteAddress.description }

    /// Waits for the receiver's next message.
    private func nextAnswer(within limit: Duration) async throws -> TransferAnswer {
        try await withDeadline(limit, failingWith: silence(limit)) { [self] in try await nextAnswer() }
    }

    /// Waits for the receiver's next message for as long as the connection lasts.
    private func nextAnswer() async throws -> TransferAnswer {
        let rpc = await dialed.transport.consume().first { _ in true }
        try Task.checkCancellation()
        guard let rpc else {
            throw Failure("\(receiver) went away without an answer: \(await dialed.end.message)")
        }
        guard !rpc.stream, let answer = TransferAnswer(decoding: rpc.payload) else {
            let what = rpc.stream ? "with a stream" : "\"\(String(printable: rpc.payload.prefix(80)))\""
            throw Failure("\(receiver) answered \(what); is it parley receive?")
        }
        return answer
    }

    private func silence(_ limit: Duration) -> Failure {
        Failure("\(receiver) has not answered for \(limit); is it parley receive?")
    }

    private func refused(_ file: OutgoingFile, _ reason: String) -> Failure {
        Failure("\(receiver) refused \(file.name.text): \(reason)")
    }

    private func failed(_ file: OutgoingFile, _ reason: String) -> Failure {
        Failure("\(receiver) could not store \(file.name.text): \(reason)")
    }

    private func unexpected(_ answer: TransferAnswer) -> Failure {
        Failure("\(receiver) answered \"\(String(printable: answer.encoded))\" at the wrong time")
    }
}

/// What a receiver has said before the file was sent.
private final class EarlyAnswer: Sendable {
    let answer = Mutex<TransferAnswer?>(nil)
}
