// `make chaos`: nodes exchange messages and streams through proxies that disturb them, and are killed and
// restarted meanwhile. At the end the ledgers of both sides are compared: no acknowledged message may be
// missing, doubled or out of order, no incomplete stream may be taken for whole, and the process may hold no
// more resources than before.

import FaultProxy
import Foundation
import Gauges

@main struct Chaos {
    private static let nodesHere = 16
    private static let nodesElsewhere = 4
    /// A corrupted length lets a node wait for the rest of a message, until its application has waited for
    /// too long.
    private static let patience = Duration.seconds(60)

    static func main() async throws {
        let arguments = Arguments()
        guard arguments.role != "node" else { try await ChildNode.run(arguments) }
        raiseDescriptorLimit()
        let seconds = arguments.number("seconds", 120.0)
        let seed = arguments.number("seed", UInt64.random(in: 0..<1_000_000_000))
        say("chaos: \(nodesHere) nodes here, \(nodesElsewhere) elsewhere, \(seconds) s; seed \(seed)")
        let folder = FileManager.default.temporaryDirectory.appending(path: "parley-chaos-\(getpid())").path
        // A warm-up run, so that one-time allocations of the runtime and Foundation are not measured.
        _ = try await run(seconds: 1, seed: seed, folder)
        let before = await holdings()
        var verdict = try await run(seconds: seconds, seed: seed, folder)
        let after = await holdings(backTo: before)
        say(
            "memory: heap \(mebibytes(before.heapBytes)) before, \(mebibytes(after.heapBytes)) after; "
                + "resident \(mebibytes(before.gauges.residentBytes)) before, "
                + "\(mebibytes(after.gauges.residentBytes)) after, "
                + "\(mebibytes(after.gauges.peakBytes)) at most"
        )
        verdict.check(
            after.gauges.descriptors <= before.gauges.descriptors,
            "\(before.gauges.descriptors) descriptors before, \(after.gauges.descriptors) after"
        )
        verdict.check(
            after.gauges.threads <= before.gauges.threads + poolThreads,
            "\(before.gauges.threads) threads before, \(after.gauges.threads) after"
        )
        if after.gauges.descriptors > before.gauges.descriptors {
            for (number, target) in openDescriptors().sorted(by: { $0.key < $1.key }) {
                say("  \(number): \(target)")
            }
        }
        let rise = after.heapBytes - before.heapBytes
        verdict.check(rise < heapToleranceBytes, "the heap holds \(mebibytes(rise)) more than before")
        if !verdict.isGood { say("repeat it with: make chaos SECONDS=\(Int(seconds)) SEED=\(seed)") }
        verdict.exit("chaos")
    }

    /// The size of the runtime's own thread pool varies by a few threads.
    private static let poolThreads = 4
    /// The runtime's own allocations may grow a little.
    private static let heapToleranceBytes = 2 << 20

    private static func run(seconds: Double, seed: UInt64, _ folder: String) async throws -> Verdict {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let run = ChaosRun(nodesHere: nodesHere, nodesElsewhere: nodesElsewhere, seed: seed, folder: folder)
        let isWarmUp = seconds <= 1
        try await run.run(seconds: seconds, draining: isWarmUp ? .milliseconds(300) : .seconds(3))
        return isWarmUp ? Verdict() : judge(run)
    }

    private static func judge(_ run: ChaosRun) -> Verdict {
        var verdict = Verdict()
        let here = run.ledger.totals
        for child in run.children { run.ledger.replay(child.ledgerPath) }
        run.ledger.compareEnds()
        let totals = run.ledger.totals
        let (faults, disturbances) = (run.faults, run.disturbances)
        let kinds = Fault.Kind.allCases
        say("faults injected: " + kinds.map { "\($0) \(faults[$0] ?? 0)" }.joined(separator: ", "))
        say(
            "nodes: \(disturbances.restarts) closed and restarted, "
                + "\(disturbances.kills) killed and restarted, "
                + "\(disturbances.stops) stopped for a while; \(here.connections) connections here"
        )
        let reasons = here.reasons.sorted { $0.value > $1.value }
        say("ends: " + reasons.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        say(
            "messages checked: \(totals.messages), "
                + "of which \(totals.acknowledged) acknowledged to their senders; "
                + "bytes checked: \(totals.bytes); corruptions noticed: \(here.corruptionsNoticed)"
        )
        let ended = run.children.map(\.streams) + [here]
        let opened = ended.reduce(0) { $0 + $1.streamsOpened }
        let whole = ended.reduce(0) { $0 + $1.streamsWhole }
        let broken = ended.reduce(0) { $0 + $1.streamsBroken }
        let abandoned = ended.reduce(0) { $0 + $1.streamsAbandoned }
        say("streams: \(opened) opened, \(whole) whole, \(broken) reported broken, \(abandoned) closed early")
        say(
            "requests: \(here.requests) made here, \(here.requestsAnswered) answered, "
                + "\(here.requestsFailed) failed"
        )
        let childPeak = run.children.map(\.peakBytes).max() ?? 0
        say("peak of a process elsewhere: \(mebibytes(childPeak))")

        let failures = totals.failures + run.children.flatMap(\.failures)
        for failure in failures.prefix(20) { say("  \(failure)") }
        verdict.check(
            failures.isEmpty && totals.acknowledged > 0,
            "every acknowledged message was delivered once and in order (\(failures.count) failures)"
        )
        verdict.check(
            opened == whole + broken + abandoned && whole > 0,
            "every stream was whole or reported broken"
        )
        verdict.check(
            here.requests == here.requestsAnswered + here.requestsFailed && here.requestsAnswered > 0,
            "every request was answered or failed, once"
        )
        let corruptions = run.corruptions
        let longest = String(format: "%.1f s", corruptions.longest / .seconds(1))
        say(
            "secured: \(run.count(of: .secured)) nodes, and \(run.count(of: .multiplexed)) multiplexed ones; "
                + "\(corruptions.bytes) bytes were corrupted in "
                + "\(corruptions.connections) connections to them, each over after \(longest) at most; "
                + "\(here.reasons[.securityFailed] ?? 0) connections here ended with securityFailed"
        )
        verdict.check(
            corruptions.connections > 0 && corruptions.longest < patience,
            "every corruption of a secured link ended its connection within \(patience)"
        )
        verdict.check(kinds.allSatisfy { faults[$0] ?? 0 > 0 }, "every kind of fault was injected")
        verdict.check(disturbances.kills > 0 && disturbances.restarts > 0, "nodes were killed and restarted")
        return verdict
    }

    private struct Holdings {
        var gauges: ProcessGauges
        var heapBytes: Int
    }

    /// The resources of the process, after waiting until two looks agree, for 2 s at most.
    private static func holdings() async -> Holdings {
        let deadline = ContinuousClock.now + .seconds(2)
        var last: Holdings?
        while true {
            let now = Holdings(gauges: ProcessGauges()!, heapBytes: ProcessGauges.heapBytes)
            let isStill =
                last.map {
                    now.gauges.descriptors == $0.gauges.descriptors && now.gauges.threads == $0.gauges.threads
                        && now.heapBytes == $0.heapBytes
                } ?? false
            if isStill || ContinuousClock.now > deadline { return now }
            last = now
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    /// The resources of the process, after waiting until they are back at `before` or a deadline passes.
    private static func holdings(backTo before: Holdings) async -> Holdings {
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            let now = Holdings(gauges: ProcessGauges()!, heapBytes: ProcessGauges.heapBytes)
            let isBack =
                now.gauges.descriptors <= before.gauges.descriptors
                && now.gauges.threads <= before.gauges.threads
                && now.heapBytes - before.heapBytes < heapToleranceBytes
            if isBack || ContinuousClock.now > deadline { return now }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }
}
