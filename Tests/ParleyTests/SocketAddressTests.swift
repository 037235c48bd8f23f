import Testing

@testable import Parley

@Suite struct SocketAddressTests {
    @Test(arguments: [
        (":3000", "", 3000), ("localhost:3000", "localhost", 3000), ("192.168.1.5:3000", "192.168.1.5", 3000),
        ("[::1]:3000", "::1", 3000), (":0", "", 0), ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65_535),
    ])
    func `it parses the address forms of Go`(text: String, host: String, port: Int) throws {
        let address = try SocketAddress(text)
        #expect(address.host == host)
        #expect(Int(address.port) == port)
        #expect(address.description == text)
    }

    @Test(arguments: [
        ("", "is empty"), ("host", "has no port"), (":99999", "outside 0...65535"),
        (":-1", "no numeric port"),
        ("a:b:c", "too many colons"), ("::1", "too many colons"), ("host:", "no numeric port"),
        (":http", "no numeric port"), ("[::1:3000", "without its"), ("[host]:3000", "not an IPv6 address"),
        (":+80", "no numeric port"), ("a b:80", "cannot be there"), (":٣", "no numeric port"),
    ])
    func `errors of malformed addresses name the fault`(text: String, complaint: String) {
        let error = #expect(throws: ParleyError.self) { try SocketAddress(text) }
        #expect(error?.code == .invalidAddress)
        #expect(error?.message.contains("\"\(text)\"") == true)
        #expect(error?.message.contains(complaint) == true, "\(error?.message ?? "")")
    }

    @Test(arguments: [
        "0.0.0.0", "255.255.255.255", "10.100.9.99", "192.168.1.5", "1.20.200.105", "127.0.0.1",
    ])
    func `an IPv4 address prints as it is written`(host: String) throws {
        let raw = try #require(RawSocketAddress(numericHost: host, port: 80))
        #expect(SocketAddress(raw) == SocketAddress(host: host, port: 80))
        let mapped = try #require(RawSocketAddress(numericHost: "::ffff:\(host)", port: 80))
        #expect(SocketAddress(mapped) == SocketAddress(host: host, port: 80))
    }

    @Test func `an IPv4 address mapped into IPv6 prints as IPv4`() throws {
        let mapped = try #require(RawSocketAddress(numericHost: "::ffff:127.0.0.1", port: 80))
        #expect(SocketAddress(mapped).description == "127.0.0.1:80")
        let plain = try #require(RawSocketAddress(numericHost: "::1", port: 80))
        #expect(SocketAddress(plain).description == "[::1]:80")
    }

    @Test func `address families alternate, beginning with the first`() {
        #expect(interleaved([1, 3, 5, 2, 4], by: { $0 % 2 == 0 }) == [1, 2, 3, 4, 5])
        #expect(interleaved([2, 4, 1], by: { $0 % 2 == 0 }) == [2, 1, 4])
        #expect(interleaved([Int](), by: { _ in true }) == [])
    }
}

struct ZoneTests {
    @Test func `an IPv6 address keeps its zone`() throws {
        let name = try #require((0...64).lazy.compactMap { interfaceName($0) }.first)
        let raw = try #require(RawSocketAddress(numericHost: "fe80::1%\(name)", port: 7))
        #expect(SocketAddress(raw).description == "[fe80::1%\(name)]:7")
        #expect(raw.ip == IPAddress("fe80::1"))
        #expect(RawSocketAddress(numericHost: "::1", port: 7).map { SocketAddress($0).host } == "::1")
        #expect(RawSocketAddress(numericHost: "fe80::1%nosuch0", port: 7) == nil)
        #expect(RawSocketAddress(numericHost: "127.0.0.1%\(name)", port: 7) == nil)
    }

    private func interfaceName(_ number: UInt32) -> String? {
        RawSocketAddress(numericHost: "fe80::1%\(number)", port: 0)
            .map { String(SocketAddress($0).host.dropFirst("fe80::1%".count)) }
    }

    @Test func `the error for an unknown zone names it`() async throws {
        try await withNodes(.tcp) { nodes in
            let dialed = try await error { try await nodes.make().dial("[fe80::1%nosuch0]:4500") }
            #expect(dialed.code == .addressNotAvailable)
            #expect(dialed.message.contains("nosuch0"))
            let node = nodes.make { $0.listenAddress = "[fe80::1%nosuch0]:0" }
            let listening = try await error { try await node.listenAndAccept() }
            #expect(listening.code == .addressNotAvailable)
            #expect(listening.message.contains("nosuch0"))
        }
    }
}
