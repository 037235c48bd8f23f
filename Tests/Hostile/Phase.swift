import Foundation
import Gauges

/// What the good peers have seen of one attack, or of quiet.
struct Phase: Sendable {
    var name: String
    var roundTrips = WindowedSamples()
    /// Streams that came back, from their opening to their end; nil where there is one stream at a time.
    var streams: WindowedSamples?
    var bulk = BulkPeer.Tally()
    /// For how long at most the machine did not let this program run.
    var worstStallMicroseconds = 0.0

    /// No peer may wait for so long, whatever the machine is.
    private static let starvedMicroseconds = 1_000_000.0

    func say() {
        Gauges.say("  round trips: \(roundTrips.all.summary)")
        if let streams { Gauges.say("  streams: \(streams.all.summary)") }
        Gauges.say("  \(bulk.summary)")
    }

    /// - Parameter slowdown: how much slower round trips may get; 0 judges only that nobody starves, for a
    ///   machine that is busy with something else too.
    func judge(_ quiet: Quiet, slowdown: Double, _ verdict: inout Verdict) {
        judge(roundTrips, "round trip", quiet.roundTrips, slowdown, &verdict)
        if let streams { judge(streams, "stream", quiet.streams, slowdown, &verdict) }
        verdict.check(bulk.isComplete, "\(name): \(bulk.summary)")
    }

    private func judge(
        _ times: WindowedSamples,
        _ what: String,
        _ quiet: Baseline,
        _ slowdown: Double,
        _ verdict: inout Verdict
    ) {
        let p99 = times.all.percentile(0.99)
        // A machine that is busy with something else holds up both ways of a round trip.
        let limit = Self.starvedMicroseconds + (slowdown == 0 ? 2 * worstStallMicroseconds : 0)
        verdict.check(
            p99 > 0 && p99 < limit,
            "\(name): \(what) p99 is \(Int(p99)) us, the limit is \(Int(limit)) us"
        )
        guard slowdown > 0 else { return }
        let steady = times.steady.percentile(0.99)
        let factor = String(format: "%.1f", steady / quiet.value)
        verdict.check(
            steady < quiet.value * slowdown,
            "\(name): \(what) p99 is \(Int(steady)) us without the worst second, "
                + "\(factor) x quiet, the limit is \(Int(slowdown)) x"
        )
    }
}

/// What the good peers see when nothing is wrong.
struct Quiet: Sendable {
    var roundTrips = Baseline(floor: Self.floorMicroseconds)
    var streams = Baseline(floor: Self.floorMicroseconds)
    var isComplete = true

    /// Quiet p99 is not taken for less than one time slice of the kernel's scheduler, 1 to 3 ms: a good peer
    /// waits for so long whenever anything else runs on its core at the wrong moment, an attacker being
    /// enough. A quiet second without such a moment has a p99 of 100 us, and is no measure of what an attack
    /// does.
    private static let floorMicroseconds = 2_000.0

    mutating func add(_ phase: Phase, into windows: WritableKeyPath<Baseline, [Double]>) {
        roundTrips[keyPath: windows].append(phase.roundTrips.all.percentile(0.99))
        if let streams = phase.streams {
            self.streams[keyPath: windows].append(streams.all.percentile(0.99))
        }
        isComplete = isComplete && phase.bulk.isComplete
    }
}
