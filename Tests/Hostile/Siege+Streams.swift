import Gauges
import Parley

extension Siege {
    /// As many streams of good peers may be open at any time.
    private static let mostGoodStreams = 100

    /// Judges what became of those who misused their streams: they were dropped for the right reason, or are
    /// still there; and no stream of theirs is left.
    mutating func judgeStreams(
        _ behaviours: [Campaign.Behaviour],
        _ report: AttackReport,
        _ before: Target.State
    ) async throws {
        let target = target
        guard target.kind.isMultiplexed else { return }
        let name = behaviours.count > 1 ? "all together" : behaviours[0].rawValue
        let codes = Set(behaviours.flatMap(\.endings))
        let fates = Set(behaviours.map(\.fate))
        var ended: Int {
            codes.reduce(0) { $0 + target.counts.ends[$1, default: 0] - before.ends[$1, default: 0] }
        }
        // An attacker that gets no time on a busy machine greets too late.
        let isMachineBusy = isMachineBusy
        var dropped: Int {
            let late =
                isMachineBusy
                ? target.counts.ends[.timedOut, default: 0] - before.ends[.timedOut, default: 0] : 0
            return max(0, report.dropped - late)
        }
        var isJust: Bool { (ended > 0 || !fates.contains(.dropped)) && ended >= dropped / 2 }
        // The attacker's resets have to arrive, and on a busy machine its frames too. The node reports an end
        // in a task of its own, perhaps after the attacker has seen it.
        try await eventually {
            target.openStreams <= Self.mostGoodStreams && (fates == [.kept] ? dropped == 0 : isJust)
        }
        let words = codes.map(\.description).sorted().joined(separator: " or ")
        let what = "\(name): \(dropped) connections were dropped, \(ended) have ended with \(words)"
        if fates == [.kept] {
            verdict.check(dropped == 0 && report.held > 0, "\(what), \(report.held) were kept")
        } else {
            verdict.check(isJust, what)
        }
        verdict.check(
            target.openStreams <= Self.mostGoodStreams,
            "\(name): \(target.openStreams) streams are open then"
        )
    }
}
