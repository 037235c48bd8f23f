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

    @Test("says why connections wait")
    func pause() {
        var statistics = TransportStatistics()
        statistics.acceptPause = .maxInboundPeers
        statistics.refusals = [.banned: 2, .notAllowed: 3]
        #expect(StatisticsLine.text(statistics).hasSuffix("refused 5  failed 0  waiting: maxInboundPeers"))
    }
}
