import Gauges
import Parley

extension Siege {
    /// Judges what came of attacks on the secured node: nothing that was changed, doubled or misplaced may
    /// have reached the application, and the connections must have ended for the right reason.
    mutating func judgeStrangers(
        _ behaviours: [Campaign.Behaviour],
        _ report: AttackReport,
        _ before: Target.State
    ) async throws {
        let target = target
        guard case .secured = target.kind else { return }
        let name = behaviours.count > 1 ? "all together" : behaviours[0].rawValue
        // Attackers that get no time on a busy machine are late.
        let codes = Set(behaviours.flatMap(\.endings) + (isMachineBusy ? [.timedOut] : []))
        var ended: Int {
            codes.reduce(0) { $0 + target.counts.ends[$1, default: 0] - before.ends[$1, default: 0] }
        }
        let expected = max(1, report.dropped / 2)
        // The node reports an end in a task of its own, perhaps after the attacker has seen it.
        try await eventually { ended >= expected }
        let forged = target.counts.forged
        let words = codes.map(\.description).sorted().joined(separator: " or ")
        say("  \(report.answered) were answered, \(ended) have ended with \(words)")
        verdict.check(
            forged == 0,
            "\(name): \(forged) messages reached the application that must not"
        )
        verdict.check(
            report.answered > 0 && ended >= expected,
            "\(name): \(ended) have ended with \(words), \(report.dropped) connections were dropped"
        )
    }
}
