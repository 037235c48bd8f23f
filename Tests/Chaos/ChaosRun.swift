import FaultProxy
import Foundation
import Gauges
import Parley

/// One run: nodes in this process and in child processes, a clean and a corrupting proxy in front of each
/// node, and tasks that kill and restart nodes.
final class ChaosRun: Sendable {
    private let nodesHere: Int
    private let seed: UInt64
    private let folder: String
    private let forms: [ChaosNode.Form]
    private let proxies: [(clean: FaultProxy, corrupting: FaultProxy)]
    private let proxyPorts: [ChaosNode.ProxyPorts]
    let children: [ChildNode]
    /// The ledger of this process's nodes.
    let ledger = Ledger()
    private let counts = Lock(Counts())

    struct Counts {
        var restarts = 0
        var kills = 0
        var stops = 0
    }

    init(nodesHere: Int, nodesElsewhere: Int, seed: UInt64, folder: String) {
        self.nodesHere = nodesHere
        self.seed = seed
        self.folder = folder
        let forms = Self.forms(of: nodesHere + nodesElsewhere, seed: seed)
        self.forms = forms
        proxies = forms.enumerated().map { index, form in
            let (seed, isSecured) = (seed &+ UInt64(index) << 1, form.isSecured)
            return (
                FaultProxy(to: 1, Self.plan(seed: seed, corrupts: false, isSecured: isSecured)),
                FaultProxy(to: 1, Self.plan(seed: seed &+ 1, corrupts: true, isSecured: isSecured))
            )
        }
        let proxyPorts = proxies.enumerated().map { index, proxy in
            ChaosNode.ProxyPorts(
                clean: proxy.clean.port,
                corrupting: proxy.corrupting.port,
                form: forms[index]
            )
        }
        self.proxyPorts = proxyPorts
        children = (nodesHere..<(nodesHere + nodesElsewhere)).map { index in
            ChildNode(index, proxyPorts, seed: seed &+ UInt64(index) << 20, folder: folder)
        }
    }

    /// Draws what each node is like: about as many of each form.
    private static func forms(of count: Int, seed: UInt64) -> [ChaosNode.Form] {
        var random = SeededGenerator(seed: seed, 5)
        let all = ChaosNode.Form.allCases
        return (0..<count).map { all[$0 % all.count] }.shuffled(using: &random)
    }

    /// How many nodes are of the form.
    func count(of form: ChaosNode.Form) -> Int { forms.count { $0 == form } }

    /// Faults at random bytes; for every fifth connection one fault in its first bytes, in the handshake. A
    /// secured node's handshake is corrupted too.
    private static func plan(seed: UInt64, corrupts: Bool, isSecured: Bool) -> FaultPlan {
        var plan = FaultPlan(seed: seed, pieces: .random)
        plan.meanBytes = [
            .split: 50_000, .merge: 200_000, .delay: 500_000, .stall: 8_000_000, .cut: 5_000_000,
            .reset: 5_000_000, .vanish: 20_000_000,
        ]
        if corrupts { plan.meanBytes[.corrupt] = 2_000_000 }
        // The rare ones come in a run that sends little, too.
        plan.chosen = [
            FaultPlan.Chosen(.stall(.milliseconds(300)), at: 10_000, .toTarget, ofConnection: 1),
            FaultPlan.Chosen(.vanish, at: 20_000, .toTarget, ofConnection: 2),
        ]
        var random = SeededGenerator(seed: seed, 2)
        for connection in stride(from: 4, to: 1_000, by: 5) {
            var early: [Fault] = [.split, .delay(.milliseconds(50)), .cut, .reset]
            if corrupts, isSecured { early += [Fault](repeating: .corrupt(mask: 1), count: 4) }
            plan.chosen.append(
                FaultPlan.Chosen(
                    early.randomElement(using: &random)!,
                    at: Int.random(in: 0..<(isSecured ? 400 : 60), using: &random),
                    Direction.allCases.randomElement(using: &random)!,
                    ofConnection: connection
                )
            )
        }
        return plan
    }

    /// The injected faults of all proxies, by kind.
    var faults: [Fault.Kind: Int] {
        proxies.flatMap { [$0.clean.faults, $0.corrupting.faults] }.reduce(into: [:]) { sum, faults in
            sum.merge(faults, uniquingKeysWith: +)
        }
    }

    /// What the proxies of the secured nodes have corrupted.
    var corruptions: FaultProxy.Corruptions {
        zip(forms, proxies).reduce(into: FaultProxy.Corruptions()) { sum, node in
            if node.0.isSecured { sum.add(node.1.corrupting.corruptions) }
        }
    }

    var disturbances: Counts { counts.withLock { $0 } }

    /// Starts all nodes, disturbs them for `seconds`, and ends them. The results are in the ledgers.
    ///
    /// - Parameter draining: how long what was sent may take to be acknowledged in the end.
    func run(seconds: Double, draining: Duration) async throws {
        let nodes = (0..<nodesHere).map { ChaosNode($0, proxyPorts, ledger, seed: seed &+ UInt64($0) << 20) }
        for (index, node) in nodes.enumerated() { direct(index, to: try await node.start()) }
        for child in children { direct(child.index, to: try await child.start()) }
        let deadline = ContinuousClock.now + .seconds(seconds)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in try await restartNodes(nodes, until: deadline) }
            group.addTask { [self] in try await disturbChildren(until: deadline) }
            try await group.waitForAll()
        }
        for node in nodes { node.drain() }
        let patience = ContinuousClock.now + draining
        while ContinuousClock.now < patience, !nodes.allSatisfy(\.isAcknowledged) {
            try await Task.sleep(for: .milliseconds(10))
        }
        await withTaskGroup(of: Void.self) { group in
            for child in children {
                child.sampleMemory()
                group.addTask { await child.end(killed: false) }
            }
            for node in nodes { group.addTask { await node.stop() } }
        }
        for pair in proxies {
            pair.clean.close()
            pair.corrupting.close()
        }
    }

    private func direct(_ index: Int, to port: UInt16) {
        proxies[index].clean.setTarget(port)
        proxies[index].corrupting.setTarget(port)
    }

    private func pause(_ random: inout SeededGenerator, until deadline: ContinuousClock.Instant) async throws
        -> Bool
    {
        try await Task.sleep(for: .milliseconds(Int.random(in: 500...2_500, using: &random)))
        return ContinuousClock.now < deadline
    }

    private func restartNodes(_ nodes: [ChaosNode], until deadline: ContinuousClock.Instant) async throws {
        var random = SeededGenerator(seed: seed, 3)
        while try await pause(&random, until: deadline) {
            let index = Int.random(in: 0..<nodes.count, using: &random)
            await nodes[index].stop()
            direct(index, to: try await nodes[index].restart())
            counts.withLock { $0.restarts += 1 }
        }
    }

    /// Disturbs random children: by turns SIGKILL with a restart, and SIGSTOP followed by SIGCONT.
    private func disturbChildren(until deadline: ContinuousClock.Instant) async throws {
        var random = SeededGenerator(seed: seed, 4)
        while try await pause(&random, until: deadline) {
            guard let child = children.randomElement(using: &random) else { return }
            child.sampleMemory()
            if disturbances.kills > disturbances.stops {
                child.signal(SIGSTOP)
                counts.withLock { $0.stops += 1 }
                try await Task.sleep(for: .milliseconds(Int.random(in: 200...2_000, using: &random)))
                child.signal(SIGCONT)
            } else {
                child.signal(SIGKILL)
                await child.end(killed: true)
                counts.withLock { $0.kills += 1 }
                direct(child.index, to: try await child.start())
            }
        }
    }
}
