// `make hostile`: a node serves good peers while another process attacks it in every way that costs the
// attacker little. The good peers' round trips must stay near what they are in quiet, their messages must
// arrive, and the node's memory must stay under its bound.
//
//     secured        The node and its good peers have identities. The attackers disturb handshakes and sealed
//                    messages. A closure is asked about each identity; with `--allow everyone` nobody is.
//     multiplexed    The node and its good peers have many streams at once. The attackers misuse theirs; with
//                    `--security noise` they do that inside secured links of their own.
//     --only NAME    One of the attacks; `together` is all of them at once.

import Foundation
import Gauges
import Parley

@main struct Hostile {
    static func main() async throws {
        let arguments = Arguments()
        raiseDescriptorLimit()
        switch arguments.role {
        case "attacker": Attacker.serve()
        case "door": Door.run()
        case "unconsumed": try await Unconsumed.run()
        case "secured":
            let allowsEveryone = arguments.value("allow") == "everyone"
            try await defend(arguments, .secured(allowsEveryone: allowsEveryone))
        case "multiplexed":
            try await defend(arguments, .multiplexed(isSecured: arguments.value("security") == "noise"))
        default: try await defend(arguments, .plain)
        }
    }

    private static func defend(_ arguments: Arguments, _ kind: NodeKind) async throws {
        let isPinned = pin(toCore: 0) && ProcessInfo.processInfo.processorCount > 1
        say(
            isPinned
                ? "hostile: the node runs on core 0, its good peers on core 1 before the attacker"
                : "hostile: cannot pin to cores; the figures include the attacker's share of the machine"
        )
        let started = ContinuousClock.now
        let slowdown = arguments.number("slowdown", 10.0)
        let isMachineBusy = slowdown == 0
        let target = try await Target(kind)
        let address = target.transport.address
        var siege = Siege(
            target: target,
            good: try await GoodPeer.connect(to: address, kind),
            bulk: BulkPeer(to: address, kind, isMachineBusy: isMachineBusy),
            attacker: try RoleProcess("attacker"),
            seconds: arguments.number("seconds", 10.0),
            connections: arguments.number("connections", 1_000_000),
            isMachineBusy: isMachineBusy
        )
        try await siege.measureQuiet(into: \.before)
        let before = ProcessGauges()!
        try await attack(&siege, only: arguments.value("only"))
        try await siege.measureQuiet(into: \.after)
        let end = await siege.attacker.end()
        siege.verdict.check(end == .exited(0), "the attacker got through its list")
        siege.judgePhases(slowdown: slowdown)
        let newcomers = await Newcomers.come(to: address, for: .zero, kind)
        siege.verdict.check(newcomers.failures.isEmpty, "a newcomer is greeted: \(newcomers.times.summary)")
        await judgeRest(&siege, before)
        await siege.good.close()
        await siege.bulk.close()
        await target.transport.close()
        say("in all: \(Int(seconds(since: started))) s")
        siege.verdict.exit(kind.name)
    }

    /// Each way by itself, and all of them together that go to the node that answers.
    private static func attack(_ siege: inout Siege, only: String?) async throws {
        let kind = siege.target.kind
        let all = Campaign.Behaviour.allCases.filter {
            $0 != .door && $0 != .reset && $0.aim == kind.aim && ($0 != .unwanted || kind.refusesSome)
        }
        for behaviour in all where only == nil || only == behaviour.rawValue {
            try await siege.attack([behaviour])
        }
        if only == nil || only == "together" { try await siege.attack(all) }
        guard kind == .plain else { return }
        if only == nil || only == "door" { try await siege.attackDoor() }
        if only == nil || only == "reset" { try await siege.attackUnconsumed() }
    }

    private static func judgeRest(_ siege: inout Siege, _ before: ProcessGauges) async {
        let deadline = ContinuousClock.now + .seconds(15)
        while ProcessGauges()!.descriptors > before.descriptors, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(50))
        }
        let after = ProcessGauges()!
        let counts = siege.target.counts
        let ends = counts.ends.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }
        let statistics = siege.target.transport.statistics
        let pauses = statistics.acceptPauses.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", ")
        say(
            "accepted \(statistics.accepted), turned away \(statistics.refusals.values.reduce(0, +)), "
                + "handshakes failed \(statistics.handshakesFailed), accepting paused: \(pauses)"
        )
        say("ends: " + ends.joined(separator: ", ") + "; messages of attackers: \(counts.messages)")
        siege.judgeMemory("the node and its good peers", peakBytes: after.peakBytes)
        siege.verdict.check(
            after.descriptors <= before.descriptors,
            "\(before.descriptors) descriptors before, \(after.descriptors) after"
        )
    }
}
