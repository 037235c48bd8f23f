import Foundation
import Gauges
import Logging
import Parley

/// More connections than the process has descriptors. Connections over the limit must wait and not be lost,
/// and the listener must resume without spinning.
enum Descriptors {
    private static let limit = 48
    private static let connections = 120

    /// Dials `connections` times, sends a number on each connection, and waits until the other side closes
    /// it.
    static func send(to address: String) async throws -> Bool {
        let transport = TCPTransport()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 1...connections {
                group.addTask {
                    let peer = try await transport.dial(address)
                    try await peer.send(message: "\(number)")
                    while try await peer.read(upTo: 1) != nil {}
                }
            }
            try await group.waitForAll()
        }
        await transport.close()
        return true
    }

    static func receive() async throws -> Bool {
        let lines = Lines()
        var options = TransportOptions(listenAddress: "127.0.0.1:0")
        options.logger = Logger(label: "descriptors") { _ in lines }
        let transport = TCPTransport(options)
        try await transport.listenAndAccept()
        let sender = try Soak.other("descriptors", transport.address)
        var limits = rlimit()
        limits.rlim_max = rlim_t(limit)
        limits.rlim_cur = rlim_t(limit)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)

        // Close no peer before the listener has paused.
        var pauses: UInt64 { transport.statistics.acceptPauses[.descriptors, default: 0] }
        while pauses == 0 { try await Task.sleep(for: .milliseconds(1)) }
        let isToldElsewhere = await shortages(of: transport)
        var seen: Set<String> = []
        for await rpc in transport.consume() {
            seen.insert(String(decoding: rpc.payload, as: UTF8.self))
            await rpc.peer.close()
            if seen.count == connections { break }
        }
        sender.waitUntilExit()
        let statistics = transport.statistics
        await transport.close()
        say("descriptors: \(connections) connections, \(limit) descriptors, \(pauses) pauses")
        say("descriptors: log lines \(lines.byOperation)")
        let isLoggedOnce =
            lines.byOperation == ["accept": 1, "dial": 1, "file": 1] && statistics.shortages == 3
        return Soak.verdict(
            seen.count == connections && sender.terminationStatus == 0 && pauses < 1_000 && isToldElsewhere
                && isLoggedOnce,
            "\(seen.count) of \(connections) connections were served"
        )
    }

    /// Whether a dial, a name lookup and a file report that no descriptor is left.
    private static func shortages(of transport: TCPTransport) async -> Bool {
        func isShort(_ what: String, _ body: () async throws -> Void) async -> Bool {
            do {
                try await body()
                say("descriptors: \(what) found a descriptor")
            } catch let error as ParleyError {
                if error.code == .tooManyOpenFiles { return true }
                say("descriptors: \(what) failed otherwise: \(error)")
            } catch { say("descriptors: \(what) failed otherwise: \(error)") }
            return false
        }
        let dial = await isShort("a dial") { _ = try await transport.dial(transport.address) }
        let name = await isShort("a look-up") { _ = try await transport.dial("localhost:1") }
        guard let peer = transport.peers.first else { return false }
        let file = await isShort("a file") { _ = try await peer.sendStream(contentsOf: "/etc/passwd") }
        return dial && name && file
    }

    /// Counts the log lines about a shortage of descriptors, by operation.
    private struct Lines: LogHandler {
        private final class Box: @unchecked Sendable {
            private let lock = NSLock()
            private var counts: [String: Int] = [:]
            func count(_ operation: String) { lock.withLock { counts[operation, default: 0] += 1 } }
            var current: [String: Int] { lock.withLock { counts } }
        }

        private let box = Box()
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.error
        var byOperation: [String: Int] { box.current }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            guard event.message.description == "descriptors exhausted" else { return }
            box.count(event.metadata?["operation"]?.description ?? "?")
        }
    }
}
