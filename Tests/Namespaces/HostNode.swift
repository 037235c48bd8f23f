import Foundation
import Gauges
import Parley

/// A node on one host: it keeps a connection to each of the others, those it has to dial included, and says who comes
/// and who goes. It ends when its standard input does.
final class HostNode: Sendable {
    private let connected = Lock<Set<String>>([])

    /// How soon a peer whose cable is pulled is given up.
    static let keepAlive = KeepAlive(idle: .seconds(1), interval: .seconds(1), count: 3)
    static let port: UInt16 = 7_000

    func run(_ arguments: Arguments) async throws {
        let transport = TCPTransport(options(listen: arguments.value("listen") ?? ""))
        try await transport.listenAndAccept()
        let dialed = (arguments.value("dial") ?? "").split(separator: ",").map(String.init)
        let dialing = dialed.map { host in Task { await keepDialing(transport, host) } }
        let gauging = Task {
            while !Task.isCancelled {
                let gauges = ProcessGauges()!
                say("gauges \(gauges.descriptors) \(gauges.residentBytes) \(gauges.threads)")
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
        say("listening")
        await untilInputEnds()
        for task in dialing + [gauging] { task.cancel() }
        for task in dialing + [gauging] { await task.value }
        await transport.close()
    }

    private func options(listen host: String) -> TransportOptions {
        var options = TransportOptions(listenAddress: "\(host):\(Self.port)", decoder: .framed)
        options.keepAlive = Self.keepAlive
        options.dialTimeout = .seconds(1)
        options.closeTimeout = .milliseconds(500)
        options.onPeer = { [self] peer in
            let host = peer.remoteAddress.host
            connected.withLock { _ = $0.insert(host) }
            say("up \(host)")
        }
        options.onDisconnect = { [self] peer, reason in
            let host = peer.remoteAddress.host
            connected.withLock { _ = $0.remove(host) }
            say("down \(host) \(reason.code)")
        }
        return options
    }

    private func keepDialing(_ transport: TCPTransport, _ host: String) async {
        while !Task.isCancelled {
            if !connected.withLock({ $0.contains(host) }) {
                _ = try? await transport.dial("\(host):\(Self.port)")
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }
}
