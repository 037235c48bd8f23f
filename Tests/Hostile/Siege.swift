import Foundation
import Gauges
import Parley
import ParleyNoise

/// One run: a node with its good peers, and what is done to it, one attack after the other.
///
/// All nodes share core 0. The good peers are on core 1 with the attacker, which gives way to them.
struct Siege {
    let target: Target
    let good: GoodPeer
    let bulk: BulkPeer
    let attacker: RoleProcess
    /// How long an attack lasts that is not over by itself.
    let seconds: Double
    let connections: Int
    /// Whether the machine may do something else too: nothing is judged that depends on its pace.
    let isMachineBusy: Bool
    private let stalls = StallWatch()
    var quiet = Quiet()
    var phases: [Phase] = []
    var verdict = Verdict()

    /// On a busy machine nothing is judged by what a quiet one shows, but that all messages come back.
    private var quietWindows: Int { isMachineBusy ? 1 : 3 }
    /// The attacks that fill something take so long to have filled it.
    static let shortestFillSeconds = 6.0

    private var address: String { target.transport.address }

    // MARK: Quiet

    /// Measures how it is without an attack, several times.
    mutating func measureQuiet(into windows: WritableKeyPath<Baseline, [Double]>) async throws {
        for _ in 0..<quietWindows {
            begin(good, bulk)
            try await Task.sleep(for: .seconds(min(3, seconds)))
            let phase = await end("quiet", good, bulk)
            quiet.add(phase, into: windows)
            say("quiet:")
            phase.say()
        }
    }

    func begin(_ good: GoodPeer, _ bulk: BulkPeer) {
        stalls.beginPhase()
        good.beginPhase()
        bulk.beginPhase()
    }

    func end(_ name: String, _ good: GoodPeer, _ bulk: BulkPeer) async -> Phase {
        // One after the other would let the second one go on in quiet.
        async let tally = bulk.endPhase()
        let (roundTrips, streams) = await good.endPhase()
        return await Phase(
            name: name,
            roundTrips: roundTrips,
            streams: streams,
            bulk: tally,
            worstStallMicroseconds: stalls.worstMicroseconds
        )
    }

    // MARK: The node in Swift

    /// Attacks the node that answers.
    mutating func attack(_ behaviours: [Campaign.Behaviour]) async throws {
        let name = behaviours.count > 1 ? "all together" : behaviours[0].rawValue
        let fills = behaviours.contains { $0.fills }
        let before = target.counts
        begin(good, bulk)
        attacker.tell(
            AttackOrder(
                behaviours: behaviours,
                port: try SocketAddress(address).port,
                connections: behaviours.count > 1 ? .max : connections,
                seconds: fills ? max(Self.shortestFillSeconds, seconds) : seconds,
                unwanted: target.unwanted.map(Self.privateKey)
            )
        )
        let report: AttackReport = try await attacker.hear()
        let phase = await end(name, good, bulk)
        let after = target.counts
        let (answers, crowdedOut) = (after.answers - before.answers, after.crowdedOut - before.crowdedOut)
        say("\(name): \(report.summary)")
        phase.say()
        say(
            "  resident \(mebibytes(ProcessGauges()!.residentBytes)); "
                + "\(crowdedOut) of \(answers) answers of 1 MiB under a full budget were crowded out"
        )
        phases.append(phase)
        try await judgeStrangers(behaviours, report, before)
        try await judgeStreams(behaviours, report, before)
        if behaviours == [.random] {
            verdict.check(report.made >= connections, "random: \(report.made) connections were made")
        }
        if behaviours == [.partial] {
            verdict.check(
                report.dropped > 0,
                "partial: \(report.dropped) holders of partial frames were dropped"
            )
        }
        if behaviours == [.sip] {
            verdict.check(
                crowdedOut * 4 < max(1, answers) * 3,
                "sip: \(crowdedOut) of \(answers) answers to a peer that reads were crowded out, "
                    + "the limit is three quarters of them"
            )
        }
    }

    private static func privateKey(of identity: Identity) -> [UInt8] {
        identity.withPrivateKey { key in
            var bytes: [UInt8] = []
            for index in key.indices { bytes.append(key[index]) }
            return bytes
        }
    }

    // MARK: Nodes in other processes

    static func report(of node: RoleProcess) async throws -> NodeReport {
        node.tell(NodeOrder.report)
        return try await node.hear()
    }

    /// Waits until that is so, for at most 60 s; whoever asks judges what came of it.
    func eventually(_ isSo: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if try await isSo() { return }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    // MARK: Judgement

    private static let memoryLimitBytes = 256 << 20

    mutating func judgeMemory(_ name: String, peakBytes: Int) {
        verdict.check(
            peakBytes < Self.memoryLimitBytes,
            "\(name): resident memory was \(mebibytes(peakBytes)) at most, "
                + "the limit is \(mebibytes(Self.memoryLimitBytes))"
        )
    }

    mutating func judgePhases(slowdown: Double) {
        say(quiet.roundTrips.summary("quiet p99"))
        if target.kind.isMultiplexed { say(quiet.streams.summary("quiet p99 of streams")) }
        verdict.check(quiet.isComplete, "quiet: all messages of 1 MiB came back")
        for phase in phases { phase.judge(quiet, slowdown: slowdown, &verdict) }
        verdict.check(good.failure == nil, "the good peer was served throughout \(good.failure ?? "")")
    }
}
