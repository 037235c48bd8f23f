import Testing

@testable import Parley

/// Addresses as bits, ranges of them, and what is counted by them: values without sockets.
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
    func `a range contains what begins as it does`(range: String, host: String, isInside: Bool) throws {
        #expect(try AddressRange(range).contains(host) == isInside)
    }

    @Test(arguments: [
        "", "example.org", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8",
    ])
    func `what is no range is refused by name`(text: String) throws {
        let error = #expect(throws: ParleyError.self) { try AddressRange(text) }
        #expect(error?.code == .invalidAddress)
        #expect(error?.message.contains("\"\(text)\"") == true)
    }

    @Test(arguments: ["10.0.0.0/8", "1.2.3.4/32", "2001:db8::/32", "::1/128", "0.0.0.0/0", "::/0"])
    func `a range prints as it is read`(text: String) throws {
        #expect(try AddressRange(text).description == text)
    }

    @Test func `IPv4 counts one by one, IPv6 by customer and by site`() throws {
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
        // Two of one /56, then one more of the same /48.
        #expect(try admit("2001:db8:1:100::1") == nil)
        #expect(try admit("2001:db8:1:1ff::1") == nil)
        #expect(try admit("2001:db8:1:101::1") == .tooManyFromAddress)
        #expect(try admit("2001:db8:1:200::1") == nil)
        #expect(try admit("2001:db8:1:300::1") == .tooManyFromAddress)
        #expect(try admit("2001:db8:2:300::1") == nil)
        // Who leaves makes room.
        try admission.leave(ip("1.2.3.4"), wasOpen: false)
        #expect(try admit("1.2.3.4") == nil)
        for _ in 0..<100 { #expect(try admit("127.0.0.1") == nil) }
        #expect(admission.inbound == 107)
    }

    private func ip(_ host: String) throws -> IPAddress { try #require(IPAddress(host) as IPAddress?) }

    @Test func `the defaults are 8 of an IPv4 address, 8 of an IPv6 56 and 64 of a 48`() throws {
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

    @Test func `bans are bounded, and the one that ends first makes room`() throws {
        var bans = Bans()
        let now = ContinuousClock.now
        for last in 1...3 {
            bans.add(IPAddress(v4: UInt32(last)), until: now + .seconds(60 * last), atMost: 2)
        }
        #expect(bans.contains(IPAddress(v4: 1)) == false)
        #expect(bans.contains(IPAddress(v4: 2)) && bans.contains(IPAddress(v4: 3)))
        bans.add(IPAddress(v4: 3), until: now - .seconds(1), atMost: 2)
        #expect(!bans.contains(IPAddress(v4: 3)))
        // An IPv6 host has its whole /64.
        bans.add(IPAddress(high: 7, low: 1), until: now + .seconds(60), atMost: 2)
        #expect(bans.contains(IPAddress(high: 7, low: 2)))
        #expect(!bans.contains(IPAddress(high: 8, low: 1)))
    }

    @Test func `the accept budget is one second's worth, and fills with time`() {
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

    @Test func `log lines that strangers cause are few, and say how many were held back`() {
        var throttle = LogThrottle()
        let lines = (0..<1_000).map { _ in throttle.permit("a", at: 5_000) }
        #expect(lines.compactMap { $0 }.count == 10)
        let (other, later) = (throttle.permit("b", at: 5_000), throttle.permit("a", at: 6_000))
        #expect(other == 0 && later == 990)
    }

    @Test func `a burst has one line, a reminder every minute, and the next burst its own`() {
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
