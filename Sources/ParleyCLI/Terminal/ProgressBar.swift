import Synchronization

/// Shows all current transfers together in the terminal's status line, and above it the file that was begun
/// last, if there are several.
final class ProgressBar: Sendable {
    /// The shortest time between two redraws.
    private static let redrawInterval = Duration.milliseconds(100)

    private struct State {
        var transfers = 0
        var doneBytes = 0.0
        var totalBytes = 0.0
        /// How many transfers do not know their size.
        var endless = 0
        var start = ContinuousClock.now
        var drawn: ContinuousClock.Instant?
        var file: FileProgress?
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
            if state.transfers == 0 { state = State() }
            state.transfers += 1
            if totalBytes == nil { state.endless += 1 }
            state.totalBytes += Double(totalBytes ?? 0)
        }
    }

    /// A file has begun that is one of several.
    func begin(_ file: @autoclosure () -> FileProgress) { update { $0.file = file() } }

    func advance(by byteCount: Int) {
        update { state in
            state.doneBytes += Double(byteCount)
            state.file?.doneBytes += byteCount
        }
    }

    /// Removes a transfer, of which that much was transferred.
    func end(doneBytes: Int, of totalBytes: Int?) {
        update { state in
            state.transfers -= 1
            if totalBytes == nil { state.endless -= 1 }
            state.totalBytes -= Double(totalBytes ?? 0) - Double(doneBytes)
        }
    }

    private func update(_ change: (inout State) -> Void) {
        guard isShown else { return }
        // Drawn under the lock, so that the terminal shows the last change.
        state.withLock { state in
            change(&state)
            guard state.transfers > 0 else { return Console.setStatus("") }
            let now = ContinuousClock.now
            if let drawn = state.drawn, drawn.duration(to: now) < Self.redrawInterval { return }
            state.drawn = now
            let progress = Progress(
                doneBytes: state.doneBytes,
                totalBytes: state.endless > 0 ? nil : state.totalBytes,
                seconds: state.start.duration(to: now).seconds
            )
            let columns = Console.columns
            let file = state.file.map { $0.line(columns: columns) + "\n" } ?? ""
            Console.setStatus(file + progress.bar(columns: columns))
        }
    }
}

extension Duration {
    /// The duration in seconds, with its fraction.
    var seconds: Double { self / .seconds(1) }
}
