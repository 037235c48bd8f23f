import Foundation
import Gauges
import Parley

/// A host as the coordinator sees it: its node's process, and what that has said.
final class Host: Sendable {
    let name: String
    let address: String
    private let process: ChildProcess
    private let state: Lock<State>

    fileprivate struct State {
        var isListening = false
        /// Who is connected.
        var peers: Set<String> = []
        /// Why the last connection to each host ended.
        var reasons: [String: String] = [:]
        var descriptors = 0
        var residentBytes = 0
        /// How often it has said what it holds.
        var gaugings = 0
    }

    init(_ name: String, prefix: String, address: String, dials: [String], watch: HostNode.Watch) throws {
        self.name = name
        self.address = address
        let state = Lock(State())
        self.state = state
        var arguments = ["netns", "exec", "\(prefix)-\(name)", ChildProcess.ownExecutable, "node"]
        arguments += ["--listen", address, "--dial", dials.joined(separator: ","), "--watch", watch.rawValue]
        process = try ChildProcess("ip", arguments: arguments) { line in
            let words = line.split(separator: " ").map(String.init)
            state.withLock { $0.note(words) }
        }
    }

    var isListening: Bool { state.withLock { $0.isListening } }
    var peers: Set<String> { state.withLock { $0.peers } }
    var descriptors: Int { state.withLock { $0.descriptors } }
    var gaugings: Int { state.withLock { $0.gaugings } }
    var residentBytes: Int { state.withLock { $0.residentBytes } }
    func reason(for host: Host) -> String { state.withLock { $0.reasons[host.address] ?? "none" } }

    func end() async -> ChildProcess.End {
        process.closeInput()
        return await process.end()
    }
}

extension Host.State {
    fileprivate mutating func note(_ words: [String]) {
        switch words.first {
        case "listening": isListening = true
        case "up": peers.insert(words[1])
        case "down":
            peers.remove(words[1])
            reasons[words[1]] = words[2]
        case "gauges":
            descriptors = Int(words[1]) ?? 0
            residentBytes = Int(words[2]) ?? 0
            gaugings += 1
        default: break
        }
    }
}
