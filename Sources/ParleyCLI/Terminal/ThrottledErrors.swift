import Parley

/// Errors that strangers can cause at any rate: of each kind ten lines at once, then one a second.
final class ThrottledErrors: Sendable {
    private let throttle = Lock(LogThrottle())

    /// Prints an error, unless there were too many of its kind.
    func report(_ kind: String, _ sentence: String) {
        // The clock is read under the lock: the throttle's times must not go back.
        let suppressed = throttle.withLock { $0.permit(kind, at: MonotonicTime.millisecondsNow) }
        guard let suppressed else { return }
        Console.error(suppressed > 0 ? "\(sentence) (\(suppressed) such lines were left out)" : sentence)
    }
}
