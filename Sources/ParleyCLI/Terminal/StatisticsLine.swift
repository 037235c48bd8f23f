import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Shows a transport's statistics in one line that is updated, or line by line.
struct StatisticsLine: Sendable {
    /// The interval where each update is a new line.
    private static let betweenLines = Duration.seconds(10)
    private static let betweenRedraws = Duration.seconds(1)

    /// Whether one line is updated. What somebody types at the terminal would be erased with it.
    private static let isUpdated = Console.hasStatusLine && isatty(STDIN_FILENO) != 1

    let transport: any Transport

    /// Shows the line until the task is cancelled. On a terminal where nothing is typed it is the status
    /// line. Otherwise each update is a line on standard error. The first comes at once, the last at the end.
    func run() async {
        while true {
            show()
            let pause = Self.isUpdated ? Self.betweenRedraws : Self.betweenLines
            do { try await Task.sleep(for: pause) } catch { break }
        }
        Console.setStatus("")
        Console.log(Self.text(transport.statistics))
    }

    private func show() {
        if Self.isUpdated {
            Console.setStatus(Self.text(transport.statistics, columns: Console.columns))
        } else {
            Console.log(Self.text(transport.statistics))
        }
    }

    /// `up 12 s  peers 2 in 1 out  received 340 messages 1.2 MB  sent …  inbox 0  unsent 0 B  refused 0  …`
    ///
    /// - Parameter columns: it is narrower than that; what says most about trouble is left out last.
    static func text(_ statistics: TransportStatistics, columns: Int = .max) -> String {
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
        func line() -> String { parts.filter { !$0.isEmpty }.joined(separator: "  ") }
        let (uptime, received, sent, inbox, unsent) = (0, 2, 3, 4, 5)
        for part in [uptime, inbox, unsent, sent, received] where line().count >= columns {
            parts[part] = ""
        }
        return String(line().prefix(max(0, columns - 1)))
    }
}
