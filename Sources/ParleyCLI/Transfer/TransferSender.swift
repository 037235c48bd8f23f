import Parley

/// The sender's side of a transfer; see `TransferRecord.swift` for the conversation.
struct TransferSender: Sendable {
    /// How long nothing may move. Longer than a person at the receiver may think about this node, and than
    /// slow links take for the megabytes that are on their way when the last byte is sent.
    static let stallTimeout = Duration.seconds(300)
    /// How often something is sent while there is nothing to send: while standard input is silent, or one of
    /// the two sides reads what the receiver has of a file.
    static let silenceInterval = Duration.seconds(20)
    /// In bytes a second: how slow the disk may be from which a receiver reads what it has of a file.
    private static let slowestDisk = 10_000_000

    /// How long a receiver may take to say what it has of a file of that size: it reads all of that.
    static func hashingTime(of byteCount: Int) -> Duration {
        stallTimeout + .seconds(byteCount / slowestDisk)
    }

    /// The largest piece in which files are read and sent.
    static let pieceBytes = 256 * 1024

    let streams: any TransferStreams
    let bar: ProgressBar
    let keepsMetadata: Bool
    /// Nil when this side offers the transfer. Otherwise the receiver has asked for it, and hears what cannot
    /// be sent; here each transfer has one line, however much of it fails.
    var request: FileRequest?

    /// Sends everything, and returns when the receiver has stored it.
    ///
    /// - Throws: when something is not stored, or could not be looked at before. Of several such things each
    ///   has its own line on standard error.
    func send(_ tree: SourceTree, _ totals: TransferTotals) async throws {
        let report = TransferReport(.sending, totals, peer: streams.peer, bar: bar)
        let answers = ReceivedAnswers()
        var failures = tree.problems
        let stored = try await withThrowingTaskGroup(of: (entries: Int, byteCount: Int).self) { group in
            group.addTask { try await read(into: answers, totals) }
            defer { group.cancelAll() }
            failures += try await write(tree, report, answers)
            group.addTask {
                try await Task.sleep(for: Self.stallTimeout)
                throw Failure("\(receiver) has not answered for \(Self.stallTimeout); is it parley receive?")
            }
            guard let stored = try await group.next() else { throw CancellationError() }
            return stored
        }
        failures += answers.unwanted.map { index, answer in sentence(about: tree.entries[index], answer) }
        try conclude(failures, of: tree, stored, report)
    }

    private func conclude(
        _ failures: [String],
        of tree: SourceTree,
        _ stored: (entries: Int, byteCount: Int),
        _ report: TransferReport
    ) throws {
        let count = tree.entries.count + tree.problems.count
        guard !failures.isEmpty else {
            guard stored == (count, report.doneBytes) else {
                throw Failure("\(receiver) has stored \(stored.byteCount) of \(report.doneBytes.inBytes)")
            }
            return report.complete()
        }
        report.isIncomplete()
        if count == 1, failures.count == 1 { throw Failure(failures[0]) }
        if request == nil { for failure in failures { Console.error(failure) } }
        let missing = count - min(count, stored.entries)
        throw Failure("\(missing) of \(count) entries were not stored at \(receiver)")
    }

    private var receiver: String { streams.peer.remoteAddress.description }

    private func sentence(about entry: SourceEntry, _ answer: ReceivedAnswers.Unwanted) -> String {
        switch answer {
        case .refused(let reason): "\(receiver) refused \(entry.path.shown): \(reason)"
        case .failed(let reason): "\(receiver) could not store \(entry.path.shown): \(reason)"
        }
    }
}

// MARK: - Sending

extension TransferSender {
    /// Returns what could not be sent, in sentences.
    private func write(
        _ tree: SourceTree,
        _ report: TransferReport,
        _ answers: ReceivedAnswers
    ) async throws -> [String] {
        do {
            let stream = try await streams.begin()
            let records = RecordWriter(stream)
            do {
                return try await write(tree, to: records, report, answers)
            } catch {
                if streams.canAbort {
                    let reason = Failure.sentence(of: error) ?? "\(error)"
                    await stream.abort(reason: Task.isCancelled ? "the sender was stopped" : reason)
                }
                throw error
            }
        } catch let error as ParleyError where error.code != .cancelled {
            // A receiver that gives up says why before it hangs up. One that only takes nothing says nothing.
            if error.code != .timedOut, let failure = await answers.failure { throw failure }
            throw Failure(
                "\(report.name) to \(receiver) broke off \(report.place): \(error.message)"
                    + streams.hint(after: error)
            )
        }
    }

    private func write(
        _ tree: SourceTree,
        to records: RecordWriter,
        _ report: TransferReport,
        _ answers: ReceivedAnswers
    ) async throws -> [String] {
        var problems: [String] = []
        if request != nil {
            for problem in tree.problems { try await records.write(.problem(problem)) }
        }
        try await records.write(.totals(tree.totals))
        for (index, entry) in tree.entries.enumerated() {
            try Task.checkCancellation()
            // What stops early has no end: it must not look whole.
            try answers.checkOpen()
            switch entry.kind {
            case .folder: try await records.write(.entry(described(entry, as: .folder, entry.metadata)))
            case .link(let target):
                try await records.write(.entry(described(entry, as: .link(target: target), entry.metadata)))
            case .file, .standardInput:
                if let problem = try await writeFile(entry, index, to: records, report, answers) {
                    problems.append(problem)
                }
            }
        }
        try await records.write(.end)
        try await records.flush()
        try await records.stream.finish()
        return problems
    }

    private func described(
        _ entry: SourceEntry,
        as kind: TransferEntry.Kind,
        _ metadata: Metadata?
    ) -> TransferEntry {
        TransferEntry(kind: kind, path: entry.path.bytes, metadata: keepsMetadata ? metadata : nil)
    }

    /// Returns why the file could not be sent; nil when it was, or when the receiver does not want it.
    private func writeFile(
        _ entry: SourceEntry,
        _ index: Int,
        to records: RecordWriter,
        _ report: TransferReport,
        _ answers: ReceivedAnswers
    ) async throws -> String? {
        let content: any SourceContent
        do {
            content = try await entry.open()
        } catch {
            try Task.checkCancellation()
            // Entries are counted at both ends, so the receiver hears of this one too.
            try await records.write(.entry(described(entry, as: .file(byteCount: nil), entry.metadata)))
            return try await abandon(because: error, records)
        }
        report.beginFile(entry.path, byteCount: content.byteCount)
        // The file may have been written to since the tree was walked.
        let kind = TransferEntry.Kind.file(byteCount: content.byteCount)
        try await records.write(.entry(described(entry, as: kind, content.metadata)))
        if let byteCount = content.byteCount, byteCount >= BlockHashes.leastFileBytes,
            request?.hasParts ?? true
        {
            do {
                if let shared = try await skipShared(of: content, byteCount, index, records, answers) {
                    try await records.write(.from(byteCount: shared))
                    report.advance(by: shared)
                }
            } catch let error where error is Failure || error is SystemError {
                return try await abandon(because: error, records)
            }
        }
        while true {
            try Task.checkCancellation()
            try answers.checkOpen()
            guard answers.isWanted(index) else {
                _ = try await abandon(because: Failure("it is not wanted"), records)
                return nil
            }
            let piece: SourcePiece?
            do { piece = try await content.next(upTo: Self.pieceBytes) } catch {
                try Task.checkCancellation()
                return try await abandon(because: error, records)
            }
            guard let piece else { break }
            try await records.write(piece)
            report.advance(by: piece.byteCount)
        }
        try await records.write(.endOfFile)
        await report.completeFile()
        return nil
    }

    /// Asks the receiver what it has of a large file, and leaves that out.
    ///
    /// - Returns: how many bytes that are; nil when the receiver does not say what it has.
    /// - Throws: a ``Failure`` or a ``SystemError`` when the file cannot be read, or has changed.
    private func skipShared(
        of content: any SourceContent,
        _ byteCount: Int,
        _ index: Int,
        _ records: RecordWriter,
        _ answers: ReceivedAnswers
    ) async throws -> Int? {
        try await records.flush()
        let limit = Self.hashingTime(of: byteCount)
        let hashes = try await answers.have(of: index, within: limit, each: Self.silenceInterval) {
            try await records.breakSilence()
        }
        guard let hashes else { return nil }
        var spoken = ContinuousClock.now
        return try await content.skipShared(hashes) {
            guard spoken.duration(to: .now) >= Self.silenceInterval else { return }
            spoken = .now
            try await records.breakSilence()
        }
    }

    private func abandon(because error: any Error, _ records: RecordWriter) async throws -> String {
        let reason = Failure.sentence(of: error) ?? "\(error)"
        try await records.write(.abandoned(reason))
        return reason
    }
}

// MARK: - Answers

extension TransferSender {
    /// Reads the receiver's stream to its last answer.
    private func read(
        into answers: ReceivedAnswers,
        _ totals: TransferTotals
    ) async throws -> (entries: Int, byteCount: Int) {
        do {
            let stored = try await readAnswers(into: answers, totals)
            answers.end(nil)
            return stored
        } catch {
            answers.end(error)
            throw error
        }
    }

    private func readAnswers(
        into answers: ReceivedAnswers,
        _ totals: TransferTotals
    ) async throws -> (entries: Int, byteCount: Int) {
        let stream = try await streams.answers(to: totals)
        var bytes: [UInt8] = []
        while let piece = try await nextPiece(of: stream) {
            bytes += piece
            while let answer = try nextAnswer(&bytes) {
                switch answer {
                case .refused(let entry, let reason) where entry < totals.entries:
                    answers.add(.refused(reason), about: entry)
                case .failed(let entry, let reason) where entry < totals.entries:
                    answers.add(.failed(reason), about: entry)
                case .have(let entry, let hashes) where entry < totals.entries:
                    answers.add(hashes, of: entry)
                case .refused(let entry, _), .failed(let entry, _), .have(let entry, _):
                    throw strange("about entry \(entry), and \(totals.entries) were sent")
                case .gaveUp(let reason):
                    throw Failure("\(receiver) could not store \(totals.text): \(reason)")
                case .stored(let entries, let byteCount): return (entries, byteCount)
                }
            }
        }
        throw Failure("\(receiver) went away without an answer: \(await streams.departure)")
    }

    /// Nil at the end of the stream, or of the connection.
    private func nextPiece(of stream: PeerStream) async throws -> ArraySlice<UInt8>? {
        do { return try await stream.read(upTo: 65_536) } catch {
            try Task.checkCancellation()
            return nil
        }
    }

    private func nextAnswer(_ bytes: inout [UInt8]) throws -> TransferAnswer? {
        do { return try TransferAnswer(takingFrom: &bytes) } catch {
            throw strange("\"\(String(printable: bytes.prefix(80)))\"")
        }
    }

    private func strange(_ what: String) -> Failure { .strangeAnswer(of: streams.peer, what) }
}
