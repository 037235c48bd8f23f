// `make netns`: three nodes on three hosts of a network of their own. One host's cable is pulled: no FIN and
// no reset tells anybody. Its peers, and it itself, have to notice it for the configured reason, the others
// must notice nothing, and when the cable is back everybody has to find each other again, with nothing left
// behind.

import Foundation
import Gauges
import Parley

@main struct Namespaces {
    private static let names = ["a", "b", "c"]
    private static let reconnectedWithin = 60.0

    static func main() async throws {
        let arguments = Arguments()
        if arguments.role == "node" { return try await HostNode.run(arguments) }
        guard let prefix = arguments.value("prefix") else {
            say("netns: started by scripts/netns.sh")
            exit(2)
        }
        var verdict = Verdict()
        for watch in HostNode.Watch.allCases {
            let hosts = try start(prefix, watch)
            await run(hosts, prefix, watch, rounds: arguments.number("rounds", 2), &verdict)
            for host in hosts {
                let end = await host.end()
                verdict.check(end == .exited(0), "host \(host.name) closed in an orderly way (\(end))")
            }
        }
        verdict.exit("netns")
    }

    private static func start(_ prefix: String, _ watch: HostNode.Watch) throws -> [Host] {
        let addresses = (1...names.count).map { "10.77.0.\($0)" }
        return try names.indices.map { index in
            // Each pair has one connection: the first of the two dials.
            try Host(
                names[index],
                prefix: prefix,
                address: addresses[index],
                dials: Array(addresses[(index + 1)...]),
                watch: watch
            )
        }
    }

    private static func run(
        _ hosts: [Host],
        _ prefix: String,
        _ watch: HostNode.Watch,
        rounds: Int,
        _ verdict: inout Verdict
    ) async {
        let (victim, others) = (hosts[hosts.count - 1], hosts.dropLast())
        func isWhole() -> Bool { hosts.allSatisfy { $0.peers.count == hosts.count - 1 } }
        guard await wait(reconnectedWithin, for: isWhole) != nil else {
            return verdict.check(false, "everybody is connected to everybody")
        }
        // What they hold now. The next line may be of a look before that.
        let said = hosts.map(\.gaugings)
        _ = await wait(reconnectedWithin) { zip(hosts, said).allSatisfy { $0.gaugings >= $1 + 2 } }
        let before = hosts.map(\.descriptors)
        for round in 1...rounds {
            await cable(prefix, victim, "down")
            let noticed = await wait(HostNode.Watch.noticedWithin) {
                victim.peers.isEmpty && others.allSatisfy { !$0.peers.contains(victim.address) }
            }
            let reasons = others.map { $0.reason(for: victim) } + others.map { victim.reason(for: $0) }
            verdict.check(
                noticed != nil && reasons.allSatisfy { $0 == watch.reason },
                "\(watch), round \(round): \(victim.name)'s link is down, "
                    + "both ends notice \(text(noticed)), "
                    + "the limit is \(HostNode.Watch.noticedWithin) s; "
                    + "reasons: \(reasons.joined(separator: ", "))"
            )
            verdict.check(
                others.allSatisfy { $0.peers.count == hosts.count - 2 },
                "\(watch), round \(round): the others keep their connection"
            )
            await cable(prefix, victim, "up")
            let back = await wait(reconnectedWithin, for: isWhole)
            verdict.check(
                back != nil,
                "\(watch), round \(round): the cable is back, all are connected again \(text(back))"
            )
        }
        _ = await wait(60) { hosts.map(\.descriptors) == before }
        for (host, before) in zip(hosts, before) {
            verdict.check(
                host.descriptors == before,
                "host \(host.name): \(before) descriptors before, \(host.descriptors) after; "
                    + "resident \(mebibytes(host.residentBytes))"
            )
        }
    }

    private static func text(_ seconds: Double?) -> String {
        seconds.map { String(format: "after %.1f s", $0) } ?? "not in time"
    }

    /// How long it took until the condition held; nil when that was too long.
    private static func wait(_ limit: Double, for condition: () -> Bool) async -> Double? {
        let started = ContinuousClock.now
        while !condition() {
            guard seconds(since: started) < limit else { return nil }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return seconds(since: started)
    }

    /// Pulls the cable at the switch: the host's own side keeps its address, and sees no carrier.
    private static func cable(_ prefix: String, _ host: Host, _ state: String) async {
        let arguments = ["-n", "\(prefix)-switch", "link", "set", "port-\(host.name)", state]
        let process = try? ChildProcess("ip", arguments: arguments) { _ in }
        _ = await process?.end()
    }
}
