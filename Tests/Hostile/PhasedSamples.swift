import Gauges

/// Times by the phase in which each began, and how many of a phase have not ended yet.
struct PhasedSamples: Sendable {
    /// When something began.
    struct Beginning: Sendable {
        fileprivate let at = ContinuousClock.now
        fileprivate let phase: Int
        /// Of the phase.
        fileprivate let second: Int
    }

    private var phase = 0
    private var phaseBegan = ContinuousClock.now
    private var samples: [Int: WindowedSamples] = [:]
    private var pending: [Int: Int] = [:]

    /// From now on what begins counts for a phase of its own.
    mutating func beginPhase() {
        phase += 1
        phaseBegan = .now
    }

    /// Ends the phase, some of which may still be pending. Returns its number.
    mutating func endPhase() -> Int {
        defer { phase += 1 }
        return phase
    }

    mutating func begin() -> Beginning {
        pending[phase, default: 0] += 1
        return Beginning(phase: phase, second: Int(seconds(since: phaseBegan)))
    }

    mutating func end(_ beginning: Beginning, at now: ContinuousClock.Instant = .now) {
        pending[beginning.phase, default: 1] -= 1
        samples[beginning.phase, default: WindowedSamples()]
            .add(beginning.at.duration(to: now), window: beginning.second)
    }

    /// Whether anything of the phase has begun.
    var hasBegun: Bool { pending[phase] != nil }

    func isComplete(_ phase: Int) -> Bool { pending[phase, default: 0] == 0 }

    mutating func take(_ phase: Int) -> WindowedSamples {
        pending[phase] = nil
        return samples.removeValue(forKey: phase) ?? WindowedSamples()
    }
}
