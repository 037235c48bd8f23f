import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("listen --stats", .timeLimit(.minutes(5)))
struct StatisticsTests {
    @Test("shows a line at once, and the last one at the end")
    func lines() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", "--stats", "--plain", codec: .framed)
        let address = try await listener.listeningAddress()
        let first = try #require(try await listener.errors.next())
        // The second line comes after ten seconds, so the first has one digit.
        #expect(first.hasPrefix("up "))
        #expect(
            first.dropFirst(4).hasPrefix(" s  peers 0 in 0 out  received 0 messages 0 B  sent 0 messages 0 B")
        )
        let dialer = try ToolProcess("dial", address, "--plain", codec: .framed)
        try dialer.endInput(after: "hello\n")
        _ = try await listener.output.first(endingWith: "> hello")
        #expect(try await dialer.exit() == 0)
        listener.signal(SIGTERM)
        #expect(try await listener.exit() == 143)
        let last = try #require(try await listener.errors.rest().last)
        #expect(last.contains("received 1 messages 10 B") && last.hasSuffix("refused 0  failed 0"))
    }

    @Test("does not draw over what is typed at its terminal")
    func typing() async throws {
        let terminal = try Terminal(columns: 80)
        let listener = try ToolProcess(
            ["listen", "127.0.0.1:0", "--stats", "--plain"],
            environment: ["COLUMNS": ""],
            at: terminal
        )
        var shown = try await terminal.shows("refused 0  failed 0")
        try terminal.type("hello\n")
        shown += try await terminal.shows("a line was not sent: nobody is connected")
        listener.signal(SIGTERM)
        #expect(try await listener.exit() == 143)
        shown += try await terminal.rest()
        #expect(!shown.contains("\u{1B}"))
    }

    @Test("is narrower than the terminal, and keeps what is amiss", arguments: [200, 110, 80, 60, 20, 1, 0])
    func width(columns: Int) {
        var statistics = TransportStatistics()
        statistics.acceptPause = .maxInboundPeers
        let line = StatisticsLine.text(statistics, columns: columns)
        #expect(line.count < max(1, columns))
        guard columns >= 80 else { return }
        #expect(line.contains("peers 0 in 0 out  "))
        #expect(line.hasSuffix("refused 0  failed 0  waiting: maxInboundPeers"))
        #expect(line.hasPrefix("up 0 s  ") == (columns == 200))
    }

    @Test("says why connections wait")
    func pause() {
        var statistics = TransportStatistics()
        statistics.acceptPause = .maxInboundPeers
        statistics.refusals = [.banned: 2, .notAllowed: 3]
        #expect(StatisticsLine.text(statistics).hasSuffix("refused 5  failed 0  waiting: maxInboundPeers"))
    }
}
