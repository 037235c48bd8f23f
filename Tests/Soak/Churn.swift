import FaultProxy
import Foundation
import Gauges
import Parley

/// A thousand peers that connect, exchange messages and disconnect, for a chosen time. Memory, descriptors
/// and libuv handles must stay level, and every message must come back unchanged.
enum Churn {
    /// The number of client nodes.
    private static let clients = 8
    /// The share of the run that is not measured, while memory reaches its level.
    private static let warmUp = 0.25
    /// The share that is.
    private static let measured = 0.73
    /// A slow machine takes longer to connect the peers. Measuring waits for them, for so many times the
    /// run's length.
    private static let longestWarmUp = 8.0

    static func run(_ arguments: Arguments) async throws -> Bool {
        let (seconds, peers) = (arguments.number("seconds", 600.0), arguments.number("peers", 1_000))
        raiseDescriptorLimit()
        // A warm-up run, so that one-time allocations of the runtime are not measured.
        _ = try await run(seconds: 0.5, peers: 2)
        let start = ProcessGauges()!
        let (trends, totals) = try await run(seconds: seconds, peers: peers)
        var verdict = Verdict()
        report(trends, totals)
        await judge(trends, totals, start, arguments, &verdict)
        say("churn: \(verdict.isGood ? "passed" : "FAILED")")
        return verdict.isGood
    }

    private static func run(seconds: Double, peers: Int) async throws -> (Trends, Totals) {
        let totals = Totals()
        let server = TCPTransport(options())
        try await server.listenAndAccept()
        let serving = Task { await serve(server) }
        let nodes = (0..<clients).map { _ in ChurnClient(TCPTransport(options()), server.address, totals) }
        let dialing = (0..<peers).map { number in
            Task { await nodes[number % clients].keepDialing(number) }
        }
        let transports = [server] + nodes.map(\.transport)
        let trends = try await sample(transports, totals, seconds: seconds, peers: peers)
        totals.count { $0.isOver = true }
        for task in dialing { await task.value }
        for node in nodes { await node.close() }
        await server.close()
        await serving.value
        return (trends, totals)
    }

    private static func options() -> TransportOptions {
        TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
    }

    /// Sends messages back, and answers a stream with its number of bytes. Closes some peers at random.
    private static func serve(_ server: TCPTransport) async {
        var random = SeededGenerator(seed: 99)
        for await rpc in server.consume() {
            if rpc.stream {
                Task { try await answer(rpc.peer) }
            } else if random.oneIn(200) {
                Task { await rpc.peer.close() }
            } else {
                // A send to a peer that has left is no failure.
                try? await rpc.peer.send(message: rpc.payload)
            }
        }
    }

    private static func answer(_ peer: any Peer) async throws {
        var count = 0
        for try await chunk in peer.chunks() { count += chunk.count }
        peer.closeStream()
        try await peer.send(message: "\(count)")
    }

    // MARK: - Measuring

    final class Totals: Sendable {
        struct Counts {
            var connections = 0
            var current = 0
            var messages = 0
            var bytes = 0
            var streams = 0
            var failures: [String] = []
            /// Whether nobody needs to dial again.
            var isOver = false
        }
        private let counts = Lock(Counts())
        var now: Counts { counts.withLock { $0 } }
        func count(_ change: (inout Counts) -> Void) { counts.withLock { change(&$0) } }
    }

    private struct Trends {
        var resident = Trend()
        var descriptors = Trend()
        var handles = Trend()
        var peers = Trend()
    }

    private static func sample(
        _ transports: [TCPTransport],
        _ totals: Totals,
        seconds length: Double,
        peers: Int
    ) async throws -> Trends {
        var trends = Trends()
        let started = ContinuousClock.now
        let pause = Duration.seconds(min(1, max(0.1, length / 100)))
        let loops = transports.compactMap { $0.executor as? EventLoop }
        var nextLine = 30.0
        var measuredSince: Double?
        while case let elapsed = seconds(since: started),
            elapsed < (measuredSince ?? .infinity) + length * measured
        {
            let isFull = totals.now.current >= peers * 9 / 10
            if measuredSince == nil, elapsed > length * (isFull ? warmUp : longestWarmUp) {
                measuredSince = elapsed
            }
            if measuredSince != nil, let gauges = ProcessGauges() {
                trends.resident.add(gauges.residentBytes, at: elapsed)
                trends.descriptors.add(gauges.descriptors, at: elapsed)
                var handles = 0
                for loop in loops { handles += await loop.countHandles() }
                trends.handles.add(handles, at: elapsed)
                trends.peers.add(totals.now.current, at: elapsed)
            }
            if elapsed > nextLine, let gauges = ProcessGauges() {
                let now = totals.now
                say(
                    "churn: \(Int(elapsed)) s, \(now.current) peers, \(now.connections) connections, "
                        + "\(mebibytes(gauges.residentBytes)), \(gauges.descriptors) descriptors"
                )
                nextLine += 30
            }
            try await Task.sleep(for: pause)
        }
        return trends
    }

    private static func report(_ trends: Trends, _ totals: Totals) {
        let counts = totals.now
        say(
            "churn: \(counts.connections) connections, "
                + "\(counts.messages) messages and \(counts.streams) streams checked, "
                + "\(counts.bytes) bytes checked, \(Int(trends.peers.mean)) peers at a time"
        )
        let slope = { (value: Double) in String(format: "%+.2f", value) }
        say(
            "resident \(mebibytes(Int(trends.resident.mean))) on average, slope "
                + "\(slope(trends.resident.slope / 1_024)) KiB/s; "
                + "peak \(mebibytes(ProcessGauges()!.peakBytes))"
        )
        say(
            "descriptors \(Int(trends.descriptors.mean)) on average, "
                + "slope \(slope(trends.descriptors.slope)) per s; "
                + "handles \(Int(trends.handles.mean)), slope \(slope(trends.handles.slope)) per s"
        )
    }

    private static func judge(
        _ trends: Trends,
        _ totals: Totals,
        _ start: ProcessGauges,
        _ arguments: Arguments,
        _ verdict: inout Verdict
    ) async {
        let counts = totals.now
        for failure in counts.failures.prefix(10) { say("  \(failure)") }
        verdict.check(
            counts.failures.isEmpty && counts.messages > 0 && counts.streams > 0,
            "every message and stream came back whole"
        )
        // A sanitizer keeps freed memory for a while.
        let tolerance = Double(arguments.number("tolerance", 8) << 20)
        verdict.check(
            trends.resident.rise < max(tolerance, trends.resident.mean * 0.05),
            "resident memory rose by \(mebibytes(Int(trends.resident.rise)))"
        )
        // Measuring begins with nine in ten of the peers, and the others may come later. Each adds two
        // descriptors and two handles, since both of its ends are in this process.
        let ofPeers = 2 * max(0, trends.peers.rise)
        for (name, trend) in [("descriptors", trends.descriptors), ("handles", trends.handles)] {
            verdict.check(
                trend.rise - ofPeers < trend.mean * 0.05,
                "\(name) rose by \(Int(trend.rise)) of \(Int(trend.mean)), "
                    + "those of additional peers by \(Int(ofPeers))"
            )
        }
        var end = ProcessGauges()!
        let deadline = ContinuousClock.now + .seconds(10)
        while end.descriptors > start.descriptors, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(50))
            end = ProcessGauges()!
        }
        verdict.check(
            end.descriptors <= start.descriptors,
            "\(start.descriptors) descriptors before, \(end.descriptors) after"
        )
        guard end.descriptors > start.descriptors else { return }
        for (number, target) in openDescriptors().sorted(by: { $0.key < $1.key }) {
            say("  \(number): \(target)")
        }
    }
}
