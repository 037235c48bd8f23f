import Parley

/// Shows a transport's statistics in one line that is updated.
struct StatisticsLine: Sendable {
    /// The interval without a terminal, where each update is a new line.
    private static let betweenLines = Duration.seconds(10)
    private static let betweenRedraws = Duration.seconds(1)

    let transport: any Transport

    /// Shows the line until the task is cancelled. On a terminal it is the status line. Otherwise each update
    /// is a line on standard error. The first comes at once, the last at the end.
    func run() async {
        while true {
            show()
            let pause = Console.hasStatusLine ? Self.betweenRedraws : Self.betweenLines
            do { try await Task.sleep(for: pause) } catch { break }
        }
        Console.setStatus("")
        Console.log(Self.text(transport.statistics))
    }

    private func show() {
        let text = Self.text(transport.statistics)
        if Console.hasStatusLine {
            Console.setStatus(String(text.prefix(max(0, Console.columns - 1))))
        } else {
            Console.log(text)
        }
    }

    /// `up 12 s  peers 2 in 1 out  received 340 messages 1.2 MB  sent …  inbox 0  unsent 0 B  refused 0  …`
    static func text(_ statistics: TransportStatistics) -> String {
        let traffic = statistics.traffic
        var parts = [
            "up \(statistics.uptime.components.seconds) s",
            "peers \(statistics.inboundPeers) in \(statistics.outboundPeers) out",
            "received \(traffic.messagesReceived) messages \(Progress.amount(Double(traffic.bytesReceived)))",
            "sent \(traffic.messagesSent) messages \(Progress.amount(Double(traffic.bytesSent)))",
            "inbox \(statistics.inboxRPCs)",
            "unsent \(Progress.amount(Double(statistics.unsentBytes)))",
            "refused \(statistics.refusals.values.reduce(0, +))",
            "failed \(statistics.handshakesFailed)",
        ]
        if let pause = statistics.acceptPause { parts.append("waiting: \(pause.rawValue)") }
        return parts.joined(separator: "  ")
    }
}
