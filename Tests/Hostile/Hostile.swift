// `make hostile`: a node serves a good peer while another process attacks it in every way that costs the attacker
// little. The good peer's round trips must stay near what they are in quiet, and the node's memory under its bound.

import Foundation
import Gauges
import Parley

@main struct Hostile {
    private static let memoryLimitBytes = 256 << 20

    static func main() async throws {
        let arguments = Arguments()
        raiseDescriptorLimit()
        if arguments.role == "attacker" {
            attack(arguments)
        } else {
            try await defend(arguments)
        }
    }

    /// Each way by itself, and then all of them together.
    private static func attack(_ arguments: Arguments) {
        _ = pin(toCore: 1)
        // The good peer is there too, and shall not wait for the attacker.
        nice(19)
        let connections = arguments.number("connections", 1_000_000)
        let seconds = arguments.number("seconds", 10.0)
        var attacker = Attacker(port: arguments.number("port", UInt16(0)))
        let only = arguments.value("only")
        for behaviour in Campaign.Behaviour.allCases where only == nil || only == behaviour.rawValue {
            attacker.run([Campaign(behaviour, connections: connections)], seconds: seconds)
        }
        guard only == nil else { return }
        attacker.run(
            Campaign.Behaviour.allCases.map { Campaign($0, connections: .max) },
            seconds: seconds
        )
    }

    private static func defend(_ arguments: Arguments) async throws {
        let isPinned = pin(toCore: 0) && ProcessInfo.processInfo.processorCount > 1
        say(
            isPinned
                ? "hostile: the node runs on core 0, its good peer on core 1, where the attacker gives way to it"
                : "hostile: cannot pin to cores; the good peer's figures include the attacker's share of the machine"
        )
        let target = try await Target()
        let good = try await GoodPeer.connect(to: target.transport.address)
        var verdict = Verdict()

        try await Task.sleep(for: .seconds(1))
        let before = ProcessGauges()!
        good.beginPhase()
        try await Task.sleep(for: .seconds(min(3, arguments.number("seconds", 10.0))))
        let quiet = await good.endPhase()
        say("quiet: \(quiet.summary)")

        let (lines, heard) = AsyncStream<String>.makeStream()
        let port = try SocketAddress(target.transport.address).port
        var options = ["attacker", "--port", "\(port)"]
        for name in ["connections", "seconds", "only"] {
            if let value = arguments.value(name) { options += ["--" + name, value] }
        }
        let attacker = try ChildProcess(arguments: options) { heard.yield($0) }
        Task {
            let end = await attacker.end()
            attackerEnd.withLock { $0 = end }
            heard.finish()
        }
        let started = ContinuousClock.now
        var phase = ""
        for await line in lines {
            guard line.hasPrefix("end ") else {
                phase = String(line.dropFirst(6))
                good.beginPhase()
                continue
            }
            let samples = await good.endPhase()
            say("\(phase): \(line.dropFirst(4))")
            say("  good peer: \(samples.summary); resident \(mebibytes(ProcessGauges()!.residentBytes))")
            judge(phase, samples, quiet, slowdown: arguments.number("slowdown", 10.0), &verdict)
        }
        say("attack: \(String(format: "%.1f", seconds(since: started))) s")
        verdict.check(attackerEnd.withLock { $0 } == .exited(0), "the attacker got through its list")
        verdict.check(good.failure == nil, "the good peer was served throughout \(good.failure ?? "")")

        let newcomer = ContinuousClock.now
        let late = try await GoodPeer.connect(to: target.transport.address)
        verdict.check(true, "a newcomer is greeted after \(newcomer.duration(to: .now))")
        await late.close()
        await judgeRest(target, before, &verdict)
        await good.close()
        await target.transport.close()
        verdict.exit("hostile")
    }

    /// - Parameter slowdown: how much slower round trips may get; 0 judges only that nobody starves, for a machine that
    ///   is busy with something else too.
    private static func judge(
        _ phase: String,
        _ samples: Samples,
        _ quiet: Samples,
        slowdown: Double,
        _ verdict: inout Verdict
    ) {
        let p99 = samples.percentile(0.99)
        let ratio = p99 / quiet.percentile(0.99)
        let isServed = slowdown > 0 ? ratio < slowdown : p99 < starvedMicroseconds
        let limit = slowdown > 0 ? "\(Int(slowdown)) x" : "\(Int(starvedMicroseconds / 1_000)) ms"
        verdict.check(
            samples.count > 0 && isServed,
            "\(phase): round trip p99 is \(String(format: "%.1f", ratio)) x its quiet value, the limit is \(limit)"
        )
    }

    private static let starvedMicroseconds = 1_000_000.0

    private static let attackerEnd = Lock<ChildProcess.End?>(nil)

    private static func judgeRest(_ target: Target, _ before: ProcessGauges, _ verdict: inout Verdict) async {
        let deadline = ContinuousClock.now + .seconds(15)
        while ProcessGauges()!.descriptors > before.descriptors, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(50))
        }
        let after = ProcessGauges()!
        let counts = target.counts
        let ends = counts.ends.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }
        let statistics = target.transport.statistics
        let pauses = statistics.acceptPauses.map { "\($0.key) \($0.value)" }.sorted().joined(separator: ", ")
        say(
            "accepted \(statistics.accepted), turned away \(statistics.refusals.values.reduce(0, +)), handshakes failed "
                + "\(statistics.handshakesFailed), accepting paused: \(pauses)"
        )
        say("ends: " + ends.joined(separator: ", ") + "; messages of attackers: \(counts.messages)")
        verdict.check(
            after.peakBytes < memoryLimitBytes,
            "resident memory was \(mebibytes(after.peakBytes)) at most, the limit is \(mebibytes(memoryLimitBytes))"
        )
        verdict.check(
            after.descriptors <= before.descriptors,
            "\(before.descriptors) descriptors before, \(after.descriptors) after"
        )
    }
}
