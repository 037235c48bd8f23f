import Foundation
import Gauges
import Parley

/// A node in a process of its own: this executable once more, which can be killed, stopped and started again.
///
/// It says its port, then figures and failures; it ends when its standard input does.
final class ChildNode: Sendable {
    let index: Int
    private let doors: [ChaosNode.Doors]
    private let seed: UInt64
    let ledgerPath: String
    private let state = Lock(State())

    private struct State {
        var process: Process?
        var input: Pipe?
        var failures: [String] = []
        var streams = Ledger.Totals()
        var peakBytes = 0
    }

    init(_ index: Int, _ doors: [ChaosNode.Doors], seed: UInt64, folder: String) {
        self.index = index
        self.doors = doors
        self.seed = seed
        ledgerPath = "\(folder)/ledger-\(index)"
    }

    /// What it has said was wrong.
    var failures: [String] { state.withLock { $0.failures } }
    /// Streams of those of its lives that ended in an orderly way.
    var streams: Ledger.Totals { state.withLock { $0.streams } }
    /// The most memory that any of its lives had when somebody looked.
    var peakBytes: Int { state.withLock { $0.peakBytes } }

    /// Starts a process.
    ///
    /// - Returns: the port that its node listens on.
    func start() async throws -> UInt16 {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
        process.arguments = ["node", "--index", "\(index)", "--seed", "\(seed)", "--ledger", ledgerPath]
        process.arguments! += [
            "--doors", doors.map { "\($0.clean)/\($0.corrupting)" }.joined(separator: ","),
        ]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        state.withLock { state in
            state.process = process
            state.input = input
        }
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { [self] in
                var started: CheckedContinuation<UInt16, any Error>? = continuation
                read(output.fileHandleForReading) { line in
                    guard line.hasPrefix("listening "), let port = UInt16(line.dropFirst(10)) else { return }
                    started?.resume(returning: port)
                    started = nil
                }
                started?.resume(throwing: Silent())
                try? output.fileHandleForReading.close()
            }
        }
    }

    private struct Silent: Error {}

    private func read(_ output: FileHandle, _ heard: (String) -> Void) {
        var rest = ""
        while case let data = output.availableData, !data.isEmpty {
            rest += String(decoding: data, as: UTF8.self)
            while let end = rest.firstIndex(of: "\n") {
                let line = String(rest[..<end])
                rest = String(rest[rest.index(after: end)...])
                heard(line)
                note(line)
            }
        }
    }

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

    /// Looks at the memory of the process.
    func look() {
        state.withLock { state in
            guard let process = state.process, let gauges = ProcessGauges(of: process.processIdentifier)
            else { return }
            state.peakBytes = max(state.peakBytes, gauges.peakBytes)
        }
    }

    /// Sends a signal to the process.
    func signal(_ signal: Int32) {
        if let process = state.withLock({ $0.process }) { kill(process.processIdentifier, signal) }
    }

    /// Closes its standard input, and waits for its end.
    ///
    /// - Parameter killed: whether it may have been killed.
    func end(killed: Bool) async {
        let (process, input) = state.withLock { state in
            defer { (state.process, state.input) = (nil, nil) }
            return (state.process, state.input)
        }
        try? input?.fileHandleForWriting.close()
        guard let process else { return }
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                process.waitUntilExit()
                continuation.resume()
            }
        }
        let isExpected = process.terminationReason == .exit ? process.terminationStatus == 0 : killed
        guard !isExpected else { return }
        let end =
            "ended with \(process.terminationReason == .exit ? "status" : "signal") \(process.terminationStatus)"
        state.withLock { $0.failures.append("node \(index): \(end)") }
    }

    /// The child's side.
    static func run(_ arguments: Arguments) async throws -> Never {
        let doors = (arguments.value("doors") ?? "").split(separator: ",").map { pair in
            let ports = pair.split(separator: "/").compactMap { UInt16($0) }
            return ChaosNode.Doors(clean: ports[0], corrupting: ports[1])
        }
        let ledger = Ledger(path: arguments.value("ledger"))
        let node = ChaosNode(
            arguments.number("index", 0),
            doors,
            ledger,
            seed: arguments.number("seed", UInt64(0))
        )
        say("listening \(try await node.start())")
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                while !FileHandle.standardInput.availableData.isEmpty {}
                continuation.resume()
            }
        }
        node.drain()
        await node.stop()
        let totals = ledger.totals
        say(
            "streams \(totals.streamsOpened) \(totals.streamsWhole) \(totals.streamsBroken) \(totals.streamsAbandoned)"
        )
        exit(totals.failures.isEmpty ? 0 : 1)
    }
}
