import Synchronization

/// Shows all current transfers together in the terminal's status line.
final class ProgressBar: Sendable {
    /// The shortest time between two redraws.
    private static let redrawInterval = Duration.milliseconds(100)

    private struct State {
        var transfers = 0
        var doneBytes = 0.0
        var totalBytes = 0.0
        var start = ContinuousClock.now
        var drawn: ContinuousClock.Instant?
    }

    private let isShown: Bool
    private let state = Mutex(State())

    /// - Parameter isShown: false when there is no terminal; the bar then does nothing.
    init(isShown: Bool) { self.isShown = isShown }

    /// Adds a transfer.
    func begin(totalBytes: Int) {
        update { state in
            if state.transfers == 0 { state = State() }
            state.transfers += 1
            state.totalBytes += Double(totalBytes)
        }
    }

    func advance(by byteCount: Int) {
        update { $0.doneBytes += Double(byteCount) }
    }

    /// Removes a transfer. `missingBytes` of it were not transferred.
    func end(missingBytes: Int) {
        update { state in
            state.transfers -= 1
            state.totalBytes -= Double(missingBytes)
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
                totalBytes: state.totalBytes,
                seconds: state.start.duration(to: now).seconds
            )
            Console.setStatus(progress.bar(columns: Console.columns))
        }
    }
}

extension Duration {
    /// The duration in seconds, with its fraction.
    var seconds: Double { self / .seconds(1) }
}
