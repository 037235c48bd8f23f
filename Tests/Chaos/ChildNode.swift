import Foundation
import Gauges
import Parley

/// A node in a child process, which runs this executable and can be killed, stopped and started again.
///
/// The child prints its port, then counts and failures. It ends when its standard input ends.
final class ChildNode: Sendable {
    let index: Int
    private let proxyPorts: [ChaosNode.ProxyPorts]
    private let seed: UInt64
    let ledgerPath: String
    private let state = Lock(State())

    private struct State {
        var process: ChildProcess?
        var failures: [String] = []
        var streams = Ledger.Totals()
        var peakBytes = 0
    }

    init(_ index: Int, _ proxyPorts: [ChaosNode.ProxyPorts], seed: UInt64, folder: String) {
        self.index = index
        self.proxyPorts = proxyPorts
        self.seed = seed
        ledgerPath = "\(folder)/ledger-\(index)"
    }

    /// The failures that the child reported.
    var failures: [String] { state.withLock { $0.failures } }
    /// The stream counts of the processes that ended in an orderly way.
    var streams: Ledger.Totals { state.withLock { $0.streams } }
    /// The largest peak memory of the processes, as sampled.
    var peakBytes: Int { state.withLock { $0.peakBytes } }

    /// Starts a process.
    ///
    /// - Returns: the port that its node listens on.
    func start() async throws -> UInt16 {
        let (ports, port) = AsyncStream<UInt16>.makeStream()
        var arguments = ["node", "--index", "\(index)", "--seed", "\(seed)", "--ledger", ledgerPath]
        let pairs = proxyPorts.map { "\($0.clean)/\($0.corrupting)/\($0.form.rawValue)" }
        arguments += ["--proxy-ports", pairs.joined(separator: ",")]
        let process = try ChildProcess(arguments: arguments) { [self] line in
            if line.hasPrefix("listening "), let number = UInt16(line.dropFirst(10)) { port.yield(number) }
            note(line)
        }
        state.withLock { $0.process = process }
        Task {
            _ = await process.end()
            port.finish()
        }
        for await port in ports { return port }
        throw Silent()
    }

    private struct Silent: Error {}

    private func note(_ line: String) {
        let words = line.split(separator: " ")
        state.withLock { state in
            switch words.first {
            case "failed:": state.failures.append("node \(index): \(line.dropFirst(8))")
            case "streams":
                let counts = words.dropFirst().compactMap { Int($0) }
                guard counts.count == 4 else { return }
                state.streams.streamsOpened += counts[0]
                state.streams.streamsWhole += counts[1]
                state.streams.streamsBroken += counts[2]
                state.streams.streamsAbandoned += counts[3]
            default: break
            }
        }
    }

    /// Samples the peak memory of the process.
    func sampleMemory() {
        state.withLock { state in
            guard let id = state.process?.id, let gauges = ProcessGauges(of: id) else { return }
            state.peakBytes = max(state.peakBytes, gauges.peakBytes)
        }
    }

    /// Sends a signal to the process.
    func signal(_ signal: Int32) { state.withLock { $0.process }?.signal(signal) }

    /// Asks the process to end, and waits for its end.
    ///
    /// - Parameter killed: whether an end by SIGKILL is expected.
    func end(killed: Bool) async {
        let process = state.withLock { $0.process.take() }
        guard let process else { return }
        process.closeInput()
        let end = await process.end()
        guard end != .exited(0), !(killed && end == .signalled(SIGKILL)) else { return }
        state.withLock { $0.failures.append("node \(index): \(end)") }
    }

    /// The main function of the child process.
    static func run(_ arguments: Arguments) async throws -> Never {
        let proxyPorts = (arguments.value("proxy-ports") ?? "").split(separator: ",").map { pair in
            let words = pair.split(separator: "/").map(String.init)
            return ChaosNode.ProxyPorts(
                clean: UInt16(words[0])!,
                corrupting: UInt16(words[1])!,
                form: ChaosNode.Form(rawValue: words[2])!
            )
        }
        let ledger = Ledger(path: arguments.value("ledger"))
        let node = ChaosNode(
            arguments.number("index", 0),
            proxyPorts,
            ledger,
            seed: arguments.number("seed", UInt64(0))
        )
        say("listening \(try await node.start())")
        await untilInputEnds()
        node.drain()
        await node.stop()
        let totals = ledger.totals
        say(
            "streams \(totals.streamsOpened) \(totals.streamsWhole) \(totals.streamsBroken) "
                + "\(totals.streamsAbandoned)"
        )
        exit(totals.failures.isEmpty ? 0 : 1)
    }
}
