import Gauges
import Parley

extension Siege {
    /// Judges what came of attacks on the secured node: nothing that was changed, doubled or misplaced may
    /// have reached the application, and the connections must have ended for the right reason.
    mutating func judgeStrangers(
        _ behaviours: [Campaign.Behaviour],
        _ report: AttackReport,
        _ before: Target.State,
        _ after: Target.State
    ) {
        guard case .secured = target.kind else { return }
        let name = behaviours.count > 1 ? "all together" : behaviours[0].rawValue
        // Attackers that get no time on a busy machine are late.
        let codes = Set(behaviours.flatMap(\.endings) + (isMachineBusy ? [.timedOut] : []))
        let ended = codes.reduce(0) { $0 + after.ends[$1, default: 0] - before.ends[$1, default: 0] }
        let words = codes.map(\.description).sorted().joined(separator: " or ")
        say("  \(report.answered) were answered, \(ended) have ended with \(words)")
        verdict.check(
            after.forged == 0,
            "\(name): \(after.forged) messages reached the application that must not"
        )
        verdict.check(
            report.answered > 0 && ended >= max(1, report.dropped / 2),
            "\(name): \(ended) have ended with \(words), \(report.dropped) connections were dropped"
        )
    }
}
