import Parley

/// One transfer at its receiver, from the stream's beginning to the last answer.
final class IncomingTransfer {
    /// So many lines about entries that are not stored are printed for one transfer.
    private static let maxLines = 20
    private static let readBytes = 256 * 1024
    /// How much the sender may be ahead on a stream that shares its connection. At the speed of memory these
    /// are some milliseconds: a write or the scheduler may hold the receiver up for as long.
    private static let windowBytes = 4 << 20
    /// How long a sender may take to stop that has heard why nothing more is taken.
    private static let partingTime = Duration.seconds(5)

    private let stream: PeerStream
    private let watch: StallWatch?
    private let openAnswers: () async throws -> any StreamWriter
    private let target: any IncomingTarget
    private let bar: ProgressBar
    private let isRequested: Bool
    private var intake: TransferIntake
    private var decoder = TransferRecordDecoder()
    private var report: TransferReport?
    private var answers: (any StreamWriter)?
    private var file: (any IncomingContent)?
    private var hasStored = false
    /// Why nothing has come that this side has asked for; it has no line yet.
    private(set) var failureBeforeBeginning: (any Error)?
    /// Whether the sender has sent anything.
    private(set) var hasHeard = false
    private var lines = 0

    /// A transfer that a sender offers on a stream of its own.
    init(
        offeredOn stream: PeerStream,
        into target: any IncomingTarget,
        maxBytes: Int?,
        bar: ProgressBar
    ) {
        self.stream = stream
        watch = nil
        openAnswers = { try await stream.peer.openStream(header: []) }
        self.target = target
        self.bar = bar
        isRequested = false
        intake = TransferIntake(maxBytes: maxBytes)
    }

    /// A transfer that this side asks for, on a stream that goes both ways.
    init(
        requested request: FileRequest,
        on stream: PeerStream,
        watchedBy watch: StallWatch,
        into target: any IncomingTarget,
        maxBytes: Int?,
        bar: ProgressBar
    ) {
        self.stream = stream
        self.watch = watch
        openAnswers = {
            try await stream.write(request.encoded)
            return stream
        }
        self.target = target
        self.bar = bar
        isRequested = true
        intake = TransferIntake(
            maxBytes: maxBytes,
            .requested(hasParts: request.hasParts, names: request.names, part: request.part)
        )
    }

    private var sender: SocketAddress { stream.peer.remoteAddress }

    /// Takes everything that the sender sends.
    func run() async -> TransferReceiver.Outcome {
        do {
            stream.widenWindow(to: Self.windowBytes)
            answers = try await openAnswers()
            while !hasStored {
                try Task.checkCancellation()
                guard let bytes = try await stream.read(upTo: Self.readBytes) else {
                    throw Failure("the sender went away")
                }
                hasHeard = true
                // A slow reader of standard output, or a slow disk, is not the sender's fault.
                watch?.pause()
                defer { watch?.goOn() }
                try await decoder.feed(bytes) { item in try await perform(intake.take(item)) }
            }
            try await answers?.finish()
        } catch {
            if mayGoOnLater(after: error) { file?.leave() } else { file?.discard() }
            // What is stored stays so, whether or not the sender is there to hear it.
            guard hasStored else {
                target.leave()
                return await giveUp(error)
            }
        }
        guard hasAll else {
            report?.isIncomplete()
            let (stored, all) = (intake.storedEntries, allEntries)
            // A single entry has had its line.
            guard all > 1 else { return .incomplete }
            if lines > Self.maxLines { Console.error("(\(lines - Self.maxLines) such lines were left out)") }
            Console.error("\(all - stored) of \(all) entries from \(sender) were not stored")
            return .incomplete
        }
        report?.complete()
        return .stored
    }

    /// Whether all that was announced or asked for is stored, if all has ended.
    private var hasAll: Bool { intake.storedEntries == allEntries }

    private var allEntries: Int { intake.entries + intake.problems + intake.missing.count }

    private func perform(_ action: TransferIntake.Action) async throws {
        do {
            switch action {
            case .nothing: break
            case .showProblem(let reason): show("\(sender): \(reason)")
            case .announce(let totals):
                guard totals.entries > 0 || intake.problems == 0 else { break }
                report = TransferReport(.receiving, totals, peer: stream.peer, bar: bar)
            case .makeFolder(let path, let metadata): try target.makeFolder(path, metadata)
            case .makeLink(let path, let link, let metadata): try target.makeLink(path, to: link, metadata)
            case .makeFile(let path, let metadata, let byteCount):
                let file = try target.makeFile(path, metadata, byteCount: byteCount)
                self.file = file
                report?.beginFile(path, byteCount: byteCount)
                if intake.needsHashes(byteCount: byteCount) {
                    try await answer(.have(entry: intake.entry, try await file.hashes()))
                }
            case .goOn(let byteCount):
                try file?.goOn(from: byteCount)
                report?.advance(by: byteCount)
            case .write(let bytes):
                try await file?.write(bytes)
                report?.advance(by: bytes.count)
            case .skip(let byteCount):
                try await file?.skip(byteCount)
                report?.advance(by: byteCount)
            case .keepFile:
                try file?.keep()
                file = nil
                await report?.completeFile()
            case .dropFile(let reason):
                // A sender that could not read it once may send the rest later.
                file?.leave()
                file = nil
                show("\(name) from \(sender) was not sent to its end: \(reason)")
            case .refuse(let entry, let reason):
                showRefusal(reason)
                try await answer(.refused(entry: entry, reason))
            case .failFile(let entry, let reason):
                dropFile()
                show("\(name) from \(sender) is not stored: \(reason)")
                try await answer(.failed(entry: entry, reason))
            case .complete:
                for name in intake.missing { show("\(name) was asked for, and \(sender) has not sent it") }
                try target.finish(hasAll: hasAll)
                hasStored = true
                let byteCount = report?.doneBytes ?? 0
                try await answer(.stored(entries: intake.storedEntries, byteCount: byteCount))
            }
        } catch let refusal as Refusal where refusal.scope == .entry {
            try await leaveOut(refusal)
        } catch let refusal as Refusal where file == nil && action != .complete {
            // A file that is open is named when the transfer is given up.
            guard intake.hasSeveralEntries else { throw refusal }
            throw Refusal("\(name): \(refusal.reason)", scope: refusal.scope)
        }
    }

    /// An entry cannot be stored; the others may be.
    private func leaveOut(_ refusal: Refusal) async throws {
        let entry = intake.entry
        intake.currentIsUnwanted()
        if file == nil {
            showRefusal(refusal.reason)
            try await answer(.refused(entry: entry, refusal.reason))
        } else {
            dropFile()
            show("\(name) from \(sender) is not stored: \(refusal.reason)")
            try await answer(.failed(entry: entry, refusal.reason))
        }
    }

    /// A sender that is gone may come again, and a full disk may have room then. A sender that is out of step
    /// may not.
    private func mayGoOnLater(after error: any Error) -> Bool {
        (error as? Refusal).map { $0.scope == .untilThereIsRoom } ?? true
    }

    private func giveUp(_ error: any Error) async -> TransferReceiver.Outcome {
        var reason = Task.isCancelled ? "the receiver was stopped" : Self.reason(of: error)
        if error is Refusal, file != nil, intake.hasSeveralEntries { reason = "\(name): \(reason)" }
        if Interruption.isByClosedOutput, target is StandardOutputTarget {
            // Its reader has enough: the exit code says so, and no line.
        } else if let report {
            Console.error("\(report.name) from \(sender) broke off \(report.place): \(reason)")
        } else if isRequested {
            failureBeforeBeginning = error
        } else if Self.isAbortOfSender(error) {
            Console.error("the transfer from \(sender) broke off: \(reason)")
        } else {
            Console.error("refused \(sender): \(reason)")
        }
        try? await answer(.gaveUp(reason))
        await readToEnd()
        return .failed
    }

    private static func isAbortOfSender(_ error: any Error) -> Bool {
        (error as? ParleyError).map { $0.code == .streamAborted && $0.remoteCode != nil } ?? false
    }

    /// Why a transfer breaks off. The tool's own aborts have the number 0, which says nothing beside their
    /// reason.
    private static func reason(of error: any Error) -> String {
        let sentence = Failure.sentence(of: error) ?? "\(error)"
        let (what, number) = ("the remote side aborted the stream", " (code 0)")
        guard isAbortOfSender(error), sentence.hasPrefix(what + number) else { return sentence }
        return what + sentence.dropFirst(what.count + number.count)
    }

    /// Waits until the sender stops. A connection that is closed before what comes is read is reset, and then
    /// the sender may not hear the answer.
    private func readToEnd() async {
        try? await answers?.finish()
        try? await withDeadline(Self.partingTime, failingWith: Failure("the sender does not stop")) {
            [stream] in
            while try await stream.read(upTo: Self.readBytes) != nil { try Task.checkCancellation() }
        }
    }

    private func dropFile() {
        file?.discard()
        file = nil
    }

    private var name: String { intake.path?.shown ?? "a file" }

    /// An entry is not taken. What this side has asked for is its own affair, and not the sender's fault.
    private func showRefusal(_ reason: String) {
        show(isRequested ? "\(name) is not stored: \(reason)" : "refused \(name) from \(sender): \(reason)")
    }

    private func show(_ sentence: String) {
        lines += 1
        if lines <= Self.maxLines { Console.error(sentence) }
    }

    private func answer(_ answer: TransferAnswer) async throws {
        try await answers?.write(answer.encoded)
    }
}
