import Foundation
import Gauges
import Parley

/// A node whose program has no time for it: it greets, and nobody takes what arrives. In a process of its
/// own, since its memory is what is judged.
enum Unconsumed {
    static let receiveBufferBytes = 16 << 20
    static let inboxBytes = 4 << 20

    static func run() async throws -> Never {
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
        options.handshake = Greeting.handshake
        options.inboxCapacity = 16
        options.inboxCapacityBytes = inboxBytes
        options.limits.receiveBufferBytes = receiveBufferBytes
        options.closeTimeout = .seconds(1)
        let transport = TCPTransport(options)
        try await transport.listenAndAccept()
        let port = try SocketAddress(transport.address).port
        RoleProcess.answer(report(on: transport, port))
        while RoleProcess.readOrder(NodeOrder.self) != nil {
            RoleProcess.answer(report(on: transport, port))
        }
        await transport.close()
        exit(0)
    }

    private static func report(on transport: TCPTransport, _ port: UInt16) -> NodeReport {
        var report = NodeReport(port: port)
        let statistics = transport.statistics
        report.handshaking = statistics.handshaking
        report.peers = statistics.peers
        report.accepted = Int(statistics.accepted)
        report.ended = Int(statistics.disconnects.values.reduce(0, +))
        report.keptBytes = statistics.inboxBytes + statistics.unreadBytes
        return report
    }
}
