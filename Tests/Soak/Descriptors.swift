import Foundation
import Gauges
import Logging
import Parley

/// More connections than the process may have descriptors: those that there is no room for have to wait, not to be lost,
/// and the listener has to come back without spinning.
enum Descriptors {
    private static let limit = 48
    private static let connections = 120

    /// Connects as often as it should, sends a number on each connection, and stays until the other side closes.
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
        let pauses = Counter()
        var options = TransportOptions(listenAddress: "127.0.0.1:0")
        options.logger = Logger(label: "descriptors") { _ in pauses }
        let transport = TCPTransport(options)
        try await transport.listenAndAccept()
        let sender = try Soak.other("descriptors", transport.address)
        var limits = rlimit()
        limits.rlim_max = rlim_t(limit)
        limits.rlim_cur = rlim_t(limit)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits)

        // Nobody is let go before the listener has had to pause.
        while pauses.count == 0 { try await Task.sleep(for: .milliseconds(1)) }
        var seen: Set<String> = []
        for await rpc in transport.consume() {
            seen.insert(String(decoding: rpc.payload, as: UTF8.self))
            await rpc.peer.close()
            if seen.count == connections { break }
        }
        sender.waitUntilExit()
        await transport.close()
        say("descriptors: \(connections) connections, \(limit) descriptors, \(pauses.count) pauses")
        return Soak.verdict(
            seen.count == connections && sender.terminationStatus == 0 && pauses.count < 1_000,
            "\(seen.count) of \(connections) connections were served"
        )
    }

    /// Counts the lines in which the listener says that it backs off.
    private struct Counter: LogHandler {
        private final class Box: @unchecked Sendable {
            private let lock = NSLock()
            private var value = 0
            func increment() { lock.withLock { value += 1 } }
            var current: Int { lock.withLock { value } }
        }

        private let box = Box()
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.error
        var count: Int { box.current }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            if event.message.description == "accept failed, backing off" { box.increment() }
        }
    }
}
