import Foundation
import Gauges

/// What the good peers have seen of one attack, or of quiet.
struct Phase: Sendable {
    var name: String
    var roundTrips = WindowedSamples()
    var bulk = BulkPeer.Tally()

    /// No peer may wait for so long, whatever the machine is.
    private static let starvedMicroseconds = 1_000_000.0

    func say() {
        Gauges.say("  round trips: \(roundTrips.all.summary)")
        Gauges.say("  \(bulk.summary)")
    }

    /// - Parameter slowdown: how much slower round trips may get; 0 judges only that nobody starves, for a
    ///   machine that is busy with something else too.
    func judge(_ quiet: Baseline, slowdown: Double, _ verdict: inout Verdict) {
        let p99 = roundTrips.all.percentile(0.99)
        verdict.check(
            p99 > 0 && p99 < Self.starvedMicroseconds,
            "\(name): round trip p99 is \(Int(p99)) us, the limit is \(Int(Self.starvedMicroseconds)) us"
        )
        if slowdown > 0 {
            let steady = roundTrips.steady.percentile(0.99)
            let factor = String(format: "%.1f", steady / quiet.value)
            verdict.check(
                steady < quiet.value * slowdown,
                "\(name): round trip p99 is \(Int(steady)) us without the worst second, "
                    + "\(factor) x quiet, the limit is \(Int(slowdown)) x"
            )
        }
        verdict.check(bulk.isComplete, "\(name): \(bulk.summary)")
    }
}
