import Synchronization

/// What all current transfers have done together, and the file that was begun last. A value; ``ProgressBar``
/// shows it.
struct ProgressSums {
    private(set) var transfers = 0
    private(set) var doneBytes = 0.0
    private var knownBytes = 0.0
    /// How many transfers do not know their size.
    private var endless = 0
    /// The file that was begun last, and the number of its transfer.
    private var current: (transfer: Int, file: FileProgress)?

    /// Nil when one of the transfers does not know its size.
    var totalBytes: Double? { endless > 0 ? nil : knownBytes }

    /// Nil when none of several is under way.
    var file: FileProgress? { current?.file }

    mutating func begin(totalBytes: Int?) {
        transfers += 1
        if totalBytes == nil { endless += 1 }
        knownBytes += Double(totalBytes ?? 0)
    }

    mutating func begin(_ file: FileProgress, of transfer: Int) { current = (transfer, file) }

    mutating func advance(_ transfer: Int, by byteCount: Int) {
        doneBytes += Double(byteCount)
        if current?.transfer == transfer { current?.file.doneBytes += Double(byteCount) }
    }

    mutating func end(_ transfer: Int, doneBytes: Int, of totalBytes: Int?) {
        transfers -= 1
        if totalBytes == nil { endless -= 1 }
        knownBytes -= Double(totalBytes ?? 0) - Double(doneBytes)
        if current?.transfer == transfer { current = nil }
    }
}

/// Shows all current transfers together in the terminal's status line, and above it the file that was begun
/// last, if there are several.
final class ProgressBar: Sendable {
    /// The shortest time between two redraws.
    private static let redrawInterval = Duration.milliseconds(100)

    private struct State {
        var sums = ProgressSums()
        var start = ContinuousClock.now
        var drawn: ContinuousClock.Instant?
    }

    private let isShown: Bool
    private let state = Mutex(State())

    /// - Parameter isShown: false when there is no terminal; the bar then does nothing.
    init(isShown: Bool) { self.isShown = isShown }

    /// Adds a transfer.
    ///
    /// - Parameter totalBytes: nil when they are not known.
    func begin(totalBytes: Int?) {
        update { state in
            if state.sums.transfers == 0 { state = State() }
            state.sums.begin(totalBytes: totalBytes)
        }
    }

    /// A file has begun that is one of several.
    ///
    /// - Parameter transfer: the number of the transfer that it belongs to.
    func begin(_ file: @autoclosure () -> FileProgress, of transfer: Int) {
        update { $0.sums.begin(file(), of: transfer) }
    }

    /// A transfer has moved on.
    func advance(_ transfer: Int, by byteCount: Int) { update { $0.sums.advance(transfer, by: byteCount) } }

    /// Removes a transfer, of which that much was transferred.
    func end(_ transfer: Int, doneBytes: Int, of totalBytes: Int?) {
        update { $0.sums.end(transfer, doneBytes: doneBytes, of: totalBytes) }
    }

    private func update(_ change: (inout State) -> Void) {
        guard isShown else { return }
        // Drawn under the lock, so that the terminal shows the last change.
        state.withLock { state in
            change(&state)
            guard state.sums.transfers > 0 else { return Console.setStatus("") }
            let now = ContinuousClock.now
            if let drawn = state.drawn, drawn.duration(to: now) < Self.redrawInterval { return }
            state.drawn = now
            let progress = Progress(
                doneBytes: state.sums.doneBytes,
                totalBytes: state.sums.totalBytes,
                seconds: state.start.duration(to: now).seconds
            )
            let columns = Console.columns
            let file = state.sums.file.map { $0.line(columns: columns) + "\n" } ?? ""
            Console.setStatus(file + progress.bar(columns: columns))
        }
    }
}

extension Duration {
    /// The duration in seconds, with its fraction.
    var seconds: Double { self / .seconds(1) }
}
