import Foundation
import Gauges
import Parley

/// Measures how long the machine itself gives a core to nobody of this program: on each of the two cores a
/// thread sleeps for a few milliseconds, again and again, and notes how late it wakes.
///
/// A node that is busy does not make it late: the kernel lets it run in between.
final class StallWatch: Sendable {
    private struct State {
        /// When the thread of each core is to wake next.
        var due = [ContinuousClock.Instant](repeating: .now, count: cores)
        var worst = Duration.zero
    }

    private static let cores = 2
    private static let interval = Duration.milliseconds(10)

    private let state = Lock(State())

    /// Watches until the process ends.
    init() {
        for core in 0..<Self.cores { Thread { [state] in Self.watch(core, state) }.start() }
    }

    /// From now on the longest stall is that of a phase of its own.
    func beginPhase() { state.withLock { $0.worst = .zero } }

    /// The longest stall of the phase, also one that lasts.
    var worstMicroseconds: Double {
        let now = ContinuousClock.now
        let worst = state.withLock { state in
            state.due.reduce(state.worst) { max($0, $1.duration(to: now)) }
        }
        return worst / .microseconds(1)
    }

    private static func watch(_ core: Int, _ state: Lock<State>) {
        _ = pin(toCore: core)
        while true {
            let due = ContinuousClock.now + interval
            state.withLock { $0.due[core] = due }
            Thread.sleep(forTimeInterval: interval / .seconds(1))
            state.withLock { $0.worst = max($0.worst, due.duration(to: .now)) }
        }
    }
}
