import Foundation
import Testing

@testable import Parley

/// The limits are those that the page *Running a node in the open* names.
@Suite struct DefaultTests {
    /// The page, by the first two columns of its tables.
    private static func page() throws -> [(name: String, value: String)] {
        let path = #filePath.split(separator: "/Tests/")[0] + "/Sources/Parley/Parley.docc/RunningANode.md"
        let text = try String(contentsOfFile: String(path), encoding: .utf8)
        return text.split(separator: "\n").filter { $0.hasPrefix("| ") }.compactMap { row in
            let columns = row.split(separator: " | ", omittingEmptySubsequences: false)
            return columns.count < 3 ? nil : (String(columns[0].dropFirst(2)), String(columns[1]))
        }
    }

    /// `256 MiB` or `10,000 of each peer` as a number.
    private static func number(_ text: String) -> Int? {
        let words = text.split(separator: " ")
        let unit = words.count > 1 ? ["KiB": 1 << 10, "MiB": 1 << 20][words[1]] ?? 1 : 1
        return words.first.flatMap { Int($0.filter { $0 != "," }) }.map { $0 * unit }
    }

    @Test func `each limit is what its row says`() throws {
        let options = TransportOptions()
        var named: [String: Int] = [:]
        for (name, value) in try Self.page() {
            guard let limit = name.split(separator: "/").last else { continue }
            named[String(limit.prefix { $0 != "`" })] = Self.number(value)
        }
        let limits = Mirror(reflecting: options.limits).children.map { ($0.label ?? "", $0.value as? Int) }
        // The wire form's is another in each.
        for (name, value) in limits where name != "maxMessageBytes" && value != nil {
            #expect(named[name] == value, "\(name)")
        }
        #expect(named["sendHighWaterBytes"] == options.sendHighWaterBytes)
        #expect(named["sendLowWaterBytes"] == options.sendLowWaterBytes)
        #expect(named["inboxCapacity"] == options.inboxCapacity)
        #expect(named["inboxCapacityBytes"] == options.inboxCapacityBytes)
    }

    @Test func `a session of streams takes what the page says`() throws {
        let page = try Self.page()
        func says(_ what: String) -> Bool { page.contains { "\($0.name) \($0.value)".contains(what) } }
        #expect(says("closed when 1,024 answers wait") && MuxLimits().maxAnswers == 1_024)
        #expect(says("more than 1,000 in a second, or when 16 pings are not answered"))
        #expect(MuxLimits().pingsPerSecond == 1_000 && MuxLimits().idleFramesPerSecond == 1_000)
        #expect(MuxLimits().maxUnansweredPings == 16)
        // Numbers of the libp2p specification of yamux and of this implementation.
        #expect(MuxLimits().maxUnacknowledged == 256 && MuxLimits().maxUnaccepted == 256)
        #expect(MuxLimits().maxUnsentBytes == 256 << 10 && MuxLimits().maxWindowBytes == 16 << 20)
    }

    @Test func `a session's limits are the node's`() {
        let (mux, limits) = (MuxLimits(), Limits())
        #expect(mux.maxRemoteStreams == limits.maxStreamsPerPeer)
        #expect(mux.streamsPerSecond == limits.streamsPerSecond)
        #expect(mux.maxGrantedBytes == limits.streamBytesPerPeer)
    }
}
