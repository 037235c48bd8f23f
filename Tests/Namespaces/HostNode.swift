import Foundation
import Gauges
import Parley

/// A node on one host: it stays connected to those that it has to dial, and says who comes and who goes. It
/// ends when its standard input does.
enum HostNode {
    /// How a node notices that a peer's cable is pulled.
    enum Watch: String, CaseIterable {
        /// The kernel probes a silent connection.
        case keepAlive
        /// The node asks, in the middle of traffic: while something is unacknowledged the kernel does not
        /// probe.
        case heartbeat

        /// It takes 4 s or 7 s, and longer on a machine that stands still meanwhile. With the default
        /// time-outs it would take minutes.
        static let noticedWithin = 60.0
        var reason: String { self == .keepAlive ? "timedOut" : "heartbeatLost" }
    }

    private static let keepAlive = KeepAlive(idle: .seconds(1), interval: .seconds(1), count: 3)
    /// A node that stands still for some seconds is not taken for a lost one.
    private static let heartbeat = Heartbeat(interval: .seconds(1), maxMissed: 6)
    private static let backoff = Backoff(initial: .milliseconds(50), longest: .milliseconds(500))
    static let port: UInt16 = 7_000

    static func run(_ arguments: Arguments) async throws {
        let watch = Watch(rawValue: arguments.value("watch") ?? "") ?? .keepAlive
        let transport = TCPTransport(options(listen: arguments.value("listen") ?? "", watch))
        try await transport.listenAndAccept()
        for host in (arguments.value("dial") ?? "").split(separator: ",") {
            try transport.keepConnected(to: "\(host):\(port)", backoff: backoff)
        }
        let consuming = Task { for await _ in transport.consume() {} }
        let talking = Task {
            while watch == .heartbeat, !Task.isCancelled {
                for peer in transport.peers { try? await peer.send(message: "still here") }
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
        let gauging = Task {
            while !Task.isCancelled {
                let gauges = ProcessGauges()!
                say("gauges \(gauges.descriptors) \(gauges.residentBytes) \(gauges.threads)")
                try? await Task.sleep(for: .milliseconds(200))
            }
        }
        say("listening")
        await untilInputEnds()
        for task in [gauging, talking] {
            task.cancel()
            await task.value
        }
        await transport.close()
        await consuming.value
    }

    private static func options(listen host: String, _ watch: Watch) -> TransportOptions {
        var options = TransportOptions(listenAddress: "\(host):\(port)", decoder: .framed)
        switch watch {
        case .keepAlive: options.keepAlive = keepAlive
        case .heartbeat: options.timeouts.heartbeat = heartbeat
        }
        options.dialTimeout = .seconds(1)
        options.closeTimeout = .milliseconds(500)
        options.onPeer = { peer in say("up \(peer.remoteAddress.host)") }
        options.onDisconnect = { peer, reason in say("down \(peer.remoteAddress.host) \(reason.code)") }
        return options
    }
}
