import Testing

@testable import Parley

/// Addresses, address ranges, admission and log throttling as values, without sockets.
@Suite struct AddressTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.255.1.2", true), ("10.0.0.0/8", "11.0.0.0", false),
        ("192.168.1.5", "192.168.1.5", true), ("192.168.1.5", "192.168.1.6", false),
        ("0.0.0.0/0", "8.8.8.8", true), ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "2001:db8::1", true), ("::/0", "1.2.3.4", true), ("::1", "::1", true),
        ("fe80::/10", "fe80::1%lo", true), ("127.0.0.0/8", "::ffff:127.0.0.1", true),
        ("2001:db8:1:2::/63", "2001:db8:1:3::", true), ("2001:db8:1:2::/65", "2001:db8:1:2:8000::", false),
        ("10.0.0.0/8", "example.org", false),
    ])
    func `a range contains the addresses with its prefix`(range: String, host: String, isInside: Bool) throws
    {
        #expect(try AddressRange(range).contains(host) == isInside)
    }

    @Test(arguments: [
        "", "example.org", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8",
    ])
    func `malformed ranges are refused with an error that names them`(text: String) throws {
        let error = #expect(throws: ParleyError.self) { try AddressRange(text) }
        #expect(error?.code == .invalidAddress)
        #expect(error?.message.contains("\"\(text)\"") == true)
    }

    @Test(arguments: ["10.0.0.0/8", "1.2.3.4/32", "2001:db8::/32", "::1/128", "0.0.0.0/0", "::/0"])
    func `a range prints in the notation that it parses`(text: String) throws {
        #expect(try AddressRange(text).description == text)
    }

    @Test func `the named ranges are those of their RFCs`() {
        #expect(AddressRange.loopback.map(\.description) == ["127.0.0.0/8", "::1/128"])
        #expect(
            AddressRange.privateNetworks.map(\.description) == [
                "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
                "fe80::/10", "fc00::/7",
            ]
        )
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.255.255.255", true), ("126.255.255.255", false), ("128.0.0.0", false),
        ("::1", true), ("::ffff:127.0.0.1", true), ("::", false), ("::2", false), ("1::1", false),
        ("::fffe:127.0.0.1", false), ("1::ffff:127.0.0.1", false),
    ]) func `this host is 127_0_0_0 of 8 bits and the last of IPv6's first addresses`(
        host: String,
        isLoopback: Bool
    ) throws {
        #expect(try ip(host).isLoopback == isLoopback)
    }

    @Test(
        arguments: [
            ("10.1.2.3", true), ("11.1.2.3", false), ("2001:db8::1", true), ("2001:db9::1", false),
            ("192.0.2.1", true), ("::1", true), ("::2", false), ("example.org", nil),
        ] as [(String, Bool?)]
    )
    func `a gate allows or denies the addresses of any of its ranges; a name is in none`(
        host: String,
        isInside: Bool?
    ) throws {
        // Two of one prefix length, one of another.
        let ranges = try ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"].map { try AddressRange($0) }
        let address = SocketAddress(host: host, port: 80)
        for isOutbound in [true, false] {
            #expect(Gate.allowing(ranges).allows(address, isOutbound) == (isInside ?? false))
            #expect(Gate.denying(ranges).allows(address, isOutbound) == !(isInside ?? false))
        }
        #expect(Gate.allowing(ranges).forInbound.allows(address, true))
        #expect(Gate.allowing(ranges).forInbound.allows(address, false) == (isInside ?? false))
        #expect(!Gate.allowing(ranges).and(.denying(ranges)).allows(address, true))
    }

    @Test func `dials, connections and handshakes are counted until they are over`() {
        var limits = Limits()
        limits.maxPeers = 3
        limits.maxOutboundPeers = 2
        limits.maxInboundPeers = 2
        limits.maxHandshakes = 1
        var admission = Admission(limits)
        func counts() -> [Int] {
            [admission.inbound, admission.outbound, admission.dialing, admission.handshakes]
        }
        #expect(counts() == [0, 0, 0, 0] && admission.pause == nil)
        let first = admission.beginDial()
        admission.dialed()
        let second = admission.beginDial()
        #expect(first == nil && second == nil && counts() == [0, 1, 1, 0])
        let third = admission.beginDial()
        #expect(third?.code == .tooManyPeers && third?.message.contains("2 dialed peers") == true)
        admission.dialFailed()
        #expect(counts() == [0, 1, 0, 0])
        #expect(admission.admit(nil) == nil && counts() == [1, 1, 0, 1] && admission.pause == .maxHandshakes)
        admission.handshakeDone()
        #expect(counts() == [1, 1, 0, 0] && admission.pause == nil)
        #expect(admission.admit(nil) == nil && admission.pause == .maxPeers)
        let fourth = admission.beginDial()
        #expect(fourth?.message.contains("3 peers") == true)
        admission.leaveOutbound()
        #expect(admission.pause == .maxInboundPeers)
        admission.leave(nil, wasOpen: false)
        #expect(counts() == [1, 0, 0, 0])
        admission.leave(nil, wasOpen: true)
        #expect(counts() == [0, 0, 0, 0])
    }

    @Test func `IPv4 peers are counted by address, IPv6 peers by customer and by site`() throws {
        var limits = Limits()
        limits.maxPeersPerIPv4 = 2
        limits.maxPeersPerIPv6Customer = 2
        limits.maxPeersPerIPv6Site = 3
        var admission = Admission(limits)
        func admit(_ host: String) throws -> ParleyError.Code? { admission.admit(try ip(host)) }
        for _ in 0..<2 { #expect(try admit("1.2.3.4") == nil) }
        #expect(try admit("1.2.3.4") == .tooManyFromAddress)
        #expect(try admit("::ffff:1.2.3.4") == .tooManyFromAddress)
        #expect(try admit("1.2.3.5") == nil)
        // Two connections from one /56, then one more from the same /48.
        #expect(try admit("2001:db8:1:100::1") == nil)
        #expect(try admit("2001:db8:1:1ff::1") == nil)
        #expect(try admit("2001:db8:1:101::1") == .tooManyFromAddress)
        #expect(try admit("2001:db8:1:200::1") == nil)
        #expect(try admit("2001:db8:1:300::1") == .tooManyFromAddress)
        #expect(try admit("2001:db8:2:300::1") == nil)
        // A connection that leaves makes room.
        try admission.leave(ip("1.2.3.4"), wasOpen: false)
        #expect(try admit("1.2.3.4") == nil)
        for _ in 0..<100 { #expect(try admit("127.0.0.1") == nil) }
        #expect(admission.inbound == 107)
    }

    private func ip(_ host: String) throws -> IPAddress { try #require(IPAddress(host) as IPAddress?) }

    @Test func `the defaults are 8 for an IPv4 address, 8 for an IPv6 56 and 64 for a 48`() throws {
        var admission = Admission(Limits())
        for count in 1...9 {
            let refusal = admission.admit(IPAddress(v4: 0x0102_0304))
            #expect(refusal == (count > 8 ? .tooManyFromAddress : nil))
        }
        var admitted = 0
        for customer in 0..<9 {
            for _ in 0..<8 {
                let address = IPAddress(high: 0x2001_0db8_0001_0000 | UInt64(customer) << 8, low: 1)
                if admission.admit(address) == nil { admitted += 1 }
            }
        }
        #expect(admitted == 64)
    }

    @Test func `bans are bounded, and the ban that ends first is dropped`() throws {
        var bans = Bans()
        let now = ContinuousClock.now
        for last in 1...3 {
            bans.add(IPAddress(v4: UInt32(last)), until: now + .seconds(60 * last), atMost: 2)
        }
        #expect(bans.contains(IPAddress(v4: 1)) == false)
        #expect(bans.contains(IPAddress(v4: 2)) && bans.contains(IPAddress(v4: 3)))
        bans.add(IPAddress(v4: 3), until: now - .seconds(1), atMost: 2)
        #expect(!bans.contains(IPAddress(v4: 3)))
        // A ban of an IPv6 address covers its /64.
        bans.add(IPAddress(high: 7, low: 1), until: now + .seconds(60), atMost: 2)
        #expect(bans.contains(IPAddress(high: 7, low: 2)))
        #expect(!bans.contains(IPAddress(high: 8, low: 1)))
    }

    @Test func `the accept budget holds one second's worth and refills with time`() {
        var budget = AcceptBudget(perSecond: 10)
        func taken(at now: UInt64) -> Int {
            var count = 0
            while budget.wait(at: now) == nil {
                budget.take()
                count += 1
            }
            return count
        }
        #expect(taken(at: 1_000) == 10)
        let (all, half) = (budget.wait(at: 1_000), budget.wait(at: 1_050))
        #expect(all == .milliseconds(100) && half == .milliseconds(50))
        #expect(taken(at: 1_100) == 1)
        #expect(taken(at: 90_000) == 10)
    }

    @Test func `log lines about strangers are throttled and count the suppressed ones`() {
        var throttle = LogThrottle()
        let lines = (0..<1_000).map { _ in throttle.permit("a", at: 5_000) }
        #expect(lines.compactMap { $0 }.count == 10)
        let (other, later) = (throttle.permit("b", at: 5_000), throttle.permit("a", at: 6_000))
        #expect(other == 0 && later == 990)
    }

    @Test func `a burst logs one line and a reminder every minute, and the next burst logs again`() {
        var throttle = LogThrottle()
        let first = throttle.permitBurst("c", at: 1_000)
        let others = (2...60).map { throttle.permitBurst("c", at: $0 * 1_000) }
        let reminder = throttle.permitBurst("c", at: 62_000)
        let behind = throttle.permitBurst("c", at: 63_000)
        let next = throttle.permitBurst("c", at: 80_000)
        #expect(first == 0 && others.allSatisfy { $0 == nil })
        #expect(reminder == 59 && behind == nil && next == 1)
        let bursts = [1_000, 9_000, 30_000].map { throttle.beginsBurst("d", at: $0) }
        #expect(bursts == [true, false, true])
    }
}
