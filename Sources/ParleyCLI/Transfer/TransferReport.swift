import Parley

/// What a person or a script sees of one transfer: a line when it begins, a progress bar on a terminal, and a
/// line when it is complete.
final class TransferReport {
    /// Which way it goes.
    enum Direction { case sending, receiving }

    private(set) var doneBytes = 0
    let totalBytes: Int
    private let direction: Direction
    private let name: FileName
    private let bar: ProgressBar
    private let start = ContinuousClock.now

    /// Announces the transfer.
    init(_ direction: Direction, _ name: FileName, byteCount: Int, peer: any Peer, bar: ProgressBar) {
        self.direction = direction
        self.name = name
        self.bar = bar
        totalBytes = byteCount
        let (verb, preposition) = direction == .sending ? ("sending", "to") : ("receiving", "from")
        Console.line("\(verb) \(name.text), \(byteCount) bytes, \(preposition) \(peer.remoteAddress)")
        bar.begin(totalBytes: byteCount)
    }

    deinit { bar.end(missingBytes: totalBytes - doneBytes) }

    func advance(by byteCount: Int) {
        doneBytes += byteCount
        bar.advance(by: byteCount)
    }

    /// Announces that the file has arrived.
    func complete() {
        let progress = Progress(
            doneBytes: Double(doneBytes),
            totalBytes: Double(totalBytes),
            seconds: start.duration(to: .now).seconds
        )
        Console.line("\(direction == .sending ? "sent" : "received") \(name.text): \(progress.summary)")
    }
}
