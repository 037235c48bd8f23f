import Parley
import Testing

/// An option out of its range is refused. The error names the option and the range.
@Suite struct OptionTests {
    private typealias Change = @Sendable (inout TransportOptions) -> Void

    private static let refused: [(change: Change, message: String)] = [
        ({ $0.loops = 257 }, "loops is 257, outside 1 to 256"),
        ({ $0.loops = 0 }, "loops is 0, outside 1 to 256"),
        ({ $0.inboxCapacity = 0 }, "inboxCapacity is 0, below 1"),
        ({ $0.inboxCapacityBytes = 0 }, "inboxCapacityBytes is 0, below 1"),
        ({ $0.sendHighWaterBytes = 0 }, "sendHighWaterBytes is 0, below 1"),
        ({ $0.sendLowWaterBytes = -1 }, "sendLowWaterBytes is -1, below 0"),
        (
            { $0.sendLowWaterBytes = 1 << 21 },
            "sendLowWaterBytes is 2097152, above sendHighWaterBytes (1048576)"
        ),
        ({ $0.busyPoll = .microseconds(-1) }, "busyPoll is"),
        ({ $0.decoder = .framed(maxMessageBytes: -1) }, "the wire form's maxMessageBytes is -1, outside 0"),
        (
            { $0.decoder = .gob(maxMessageBytes: 1 << 32) },
            "the wire form's maxMessageBytes is 4294967296, outside 0 to 4294967295"
        ),
        ({ $0.keepAlive?.idle = .seconds(32_768) }, "keepAlive.idle is 32768.0 seconds, outside 1.0 seconds"),
        ({ $0.keepAlive?.interval = .milliseconds(10) }, "keepAlive.interval is 0.01 seconds, outside 1.0"),
        ({ $0.keepAlive?.count = 128 }, "keepAlive.count is 128, outside 1 to 127"),
        ({ $0.limits.maxPeers = -1 }, "limits.maxPeers is -1, below 0"),
        ({ $0.limits.maxMessageBytes = -1 }, "limits.maxMessageBytes is -1, below 0"),
        ({ $0.limits.acceptsPerSecond = 0 }, "limits.acceptsPerSecond is 0, below 1"),
        ({ $0.limits.readAheadBytes = 0 }, "limits.readAheadBytes is 0, below 1"),
        ({ $0.timeouts.dial = .seconds(-1) }, "timeouts.dial is -1.0 seconds, below 0.0 seconds"),
        ({ $0.timeouts.idle = .seconds(-1) }, "timeouts.idle is -1.0 seconds"),
        ({ $0.timeouts.leastBytesPerSecond = -1 }, "timeouts.leastBytesPerSecond is -1, below 0"),
        (
            { $0.timeouts.heartbeat = Heartbeat(interval: .milliseconds(9)) },
            "timeouts.heartbeat.interval is 0.009 seconds"
        ),
        ({ $0.timeouts.heartbeat = Heartbeat(maxMissed: 0) }, "timeouts.heartbeat.maxMissed is 0, below 1"),
    ]

    @Test func `each option out of its range is named, with the range`() {
        for (change, message) in Self.refused {
            var options = TransportOptions()
            change(&options)
            let error = #expect(throws: ParleyError.self) { try options.validate() }
            #expect(error?.code == .invalidArgument)
            let found = error?.message ?? ""
            #expect(found.hasPrefix(message), "\(found), not \(message)")
        }
    }

    @Test func `the bounds themselves are in the range`() throws {
        var options = TransportOptions()
        try options.validate()
        options.loops = 256
        options.inboxCapacity = .max
        options.inboxCapacityBytes = .max
        options.sendHighWaterBytes = .max
        options.sendLowWaterBytes = .max
        options.busyPoll = .zero
        options.keepAlive = KeepAlive(idle: .seconds(1), interval: .seconds(32_767), count: 127)
        options.timeouts.heartbeat = Heartbeat(interval: .milliseconds(10), maxMissed: 1)
        options.timeouts.dial = .zero
        options.limits.maxPeers = 0
        options.limits.sendBufferBytes = 0
        try options.validate()
    }

    @Test func `limits and time-outs are by default what their page says`() {
        let limits = Limits()
        #expect(limits.maxPeers == 4_096 && limits.maxInboundPeers == 3_584)
        #expect(limits.maxOutboundPeers == 1_024 && limits.maxHandshakes == 256)
        #expect(limits.maxPeersPerIPv4 == 8 && limits.maxPeersPerIPv6Customer == 8)
        #expect(limits.maxPeersPerIPv6Site == 64 && limits.exemptsLoopback)
        #expect(limits.acceptsPerSecond == 1_000 && limits.maxBans == 10_000)
        #expect(limits.maxMessageBytes == nil)
        #expect(limits.sendBufferBytes == 64 << 20 && limits.receiveBufferBytes == 256 << 20)
        #expect(limits.readAheadBytes == 512 << 10)
        let timeouts = Timeouts()
        #expect(timeouts.dial == .seconds(30) && timeouts.handshake == .seconds(10))
        #expect(timeouts.idle == nil && timeouts.streamIdle == .seconds(60))
        #expect(timeouts.frame == .seconds(30) && timeouts.leastBytesPerSecond == 128)
        #expect(timeouts.write == .seconds(60) && timeouts.writeStall == .seconds(120))
        #expect(timeouts.close == .seconds(5) && timeouts.heartbeat == nil)
        #expect(Heartbeat().interval == .seconds(30) && Heartbeat().maxMissed == 3)
    }

    @Test func `the low-water mark follows a small high-water mark until it is set`() throws {
        var options = TransportOptions()
        #expect(options.sendLowWaterBytes == 1 << 18)
        options.sendHighWaterBytes = 1_000
        #expect(options.sendLowWaterBytes == 250)
        options.sendHighWaterBytes = 1
        #expect(options.sendLowWaterBytes == 0)
        try options.validate()
        options.sendLowWaterBytes = 1
        #expect(options.sendLowWaterBytes == 1)
        try options.validate()
    }

    @Test(arguments: Kind.allCases)
    func `a transport with an option out of its range neither listens nor dials`(kind: Kind) async throws {
        try await withNodes(kind) { nodes in
            let server = try await nodes.listening()
            let transport = nodes.make { $0.limits.maxPeers = -1 }
            let attempts: [() async throws -> Void] = [
                { try await transport.listenAndAccept() }, { try await transport.dial(server.address) },
                { _ = try transport.keepConnected(to: server.address) },
            ]
            for attempt in attempts {
                let refused = try await error(attempt)
                #expect(refused.code == .invalidArgument)
                #expect(refused.message == "limits.maxPeers is -1, below 0")
            }
        }
        // Values that would trap if they were used.
        for loops in [Int.min, 0, Int.max] {
            var options = TransportOptions(decoder: .gob(maxMessageBytes: -1))
            options.loops = loops
            let transport = TCPTransport(options)
            #expect(try await error { try await transport.dial(":1") }.code == .invalidArgument)
            await transport.close()
        }
    }
}
