import Parley
import Synchronization

/// What a person, a script or a program sees of one transfer: a line when it begins, a progress bar on a
/// terminal, a line when it is complete, and events.
final class TransferReport {
    /// Which way it goes.
    enum Direction { case sending, receiving }

    private(set) var doneBytes = 0
    /// `photo.jpg`, or `3 files and 1 folder`.
    let name: String
    private let totalBytes: Int?
    private let hasSeveralFiles: Bool
    private let direction: Direction
    private let bar: ProgressBar
    private let start = ContinuousClock.now
    /// Of this transfer, for events: they count from 1.
    private let number = TransferReport.count.add(1, ordering: .relaxed).newValue
    private static let count = Atomic(0)
    private var outcome = Event.Outcome.failed
    private var shown = ContinuousClock.now
    /// The file that is under way.
    private var file: (path: [UInt8], start: Int)?
    private var completedFiles = 0

    /// Announces the transfer.
    init(_ direction: Direction, _ totals: TransferTotals, peer: any Peer, bar: ProgressBar) {
        self.direction = direction
        self.bar = bar
        name = totals.text
        totalBytes = totals.byteCount
        hasSeveralFiles = totals.files > 1
        let (verb, preposition) = direction == .sending ? ("sending", "to") : ("receiving", "from")
        let size = totalBytes.map { ", \($0.inBytes)" } ?? ""
        Console.line("\(verb) \(name)\(size), \(preposition) \(peer.label)")
        bar.begin(totalBytes: totalBytes)
        Console.event(.begin(transfer: number, direction, totals, peer: peer))
    }

    deinit {
        bar.end(number, doneBytes: doneBytes, of: totalBytes)
        Console.event(.end(transfer: number, outcome, bytes: doneBytes, seconds: seconds))
    }

    func advance(by byteCount: Int) {
        doneBytes = doneBytes.addingClamped(byteCount)
        bar.advance(number, by: byteCount)
        guard shown.duration(to: .now) >= Self.eventInterval else { return }
        shown = .now
        Console.event(.progress(transfer: number, bytes: doneBytes, of: totalBytes))
    }

    func beginFile(_ path: RelativePath, byteCount: Int?) {
        file = (path.bytes, doneBytes)
        guard hasSeveralFiles else { return }
        bar.begin(FileProgress(name: path.shown, totalBytes: byteCount), of: number)
    }

    /// The file that has begun last is sent, or has its name. In a transfer of many files it waits while the
    /// reader of their events is far behind; one of few files is not held up by those of others.
    func completeFile() async {
        guard let file else { return }
        Console.event(.file(transfer: number, path: file.path, bytes: doneBytes - file.start))
        completedFiles += 1
        if completedFiles.isMultiple(of: 64) { await Console.waitForRoom() }
    }

    /// Not everything is stored, and nothing has broken off.
    func isIncomplete() { outcome = .incomplete }

    /// How far apart progress events are.
    private static let eventInterval = Duration.seconds(1)

    private var seconds: Double { start.duration(to: .now).seconds }

    /// `after 3 of 10 bytes`
    var place: String {
        totalBytes.map { "after \(doneBytes) of \($0.inBytes)" } ?? "after \(doneBytes.inBytes)"
    }

    /// Announces that everything has arrived.
    func complete() {
        let progress = Progress(
            doneBytes: Double(doneBytes),
            totalBytes: totalBytes.map { Double($0) },
            seconds: seconds
        )
        outcome = .stored
        Console.line("\(direction == .sending ? "sent" : "received") \(name): \(progress.summary)")
    }
}

extension TransferTotals {
    /// `photo.jpg`; `holiday (3 files and 1 folder)`; without a name of all of it, `3 files and 1 folder`.
    var text: String {
        if entries == 1, !name.isEmpty { return String(printable: name) }
        let parts = [(files, "file"), (folders, "folder"), (links, "link")].filter { $0.0 > 0 }
            .map { "\($0) \($1)\($0 == 1 ? "" : "s")" }
        let counts =
            switch parts.count {
            case 0: "nothing"
            case 1: parts[0]
            default: parts.dropLast().joined(separator: ", ") + " and " + parts[parts.count - 1]
            }
        return name.isEmpty ? counts : "\(String(printable: name)) (\(counts))"
    }
}
