import Testing

@testable import Parley

/// Addresses as bytes and as text.
@Suite struct MultiaddrTests {
    private static let id = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"
    private static let key = "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    private static let table: [(hex: String, text: String)] = [
        ("04 c0a80105 06 0bb8", "/ip4/192.168.1.5/tcp/3000"),
        ("04 00000000 06 0000", "/ip4/0.0.0.0/tcp/0"),
        ("04 ffffffff 06 ffff", "/ip4/255.255.255.255/tcp/65535"),
        ("29 00000000000000000000000000000001 06 0bb8", "/ip6/::1/tcp/3000"),
        ("29 00000000000000000000000000000000", "/ip6/::"),
        ("29 20010db8000000010000000000000001", "/ip6/2001:db8:0:1::1"),
        ("29 20010db8000000000001000000000001", "/ip6/2001:db8::1:0:0:1"),
        ("29 00010002000300040005000600070000", "/ip6/1:2:3:4:5:6:7:0"),
        ("29 fe800000000000000000000000000000", "/ip6/fe80::"),
        ("35 0b 6578616d706c652e6f7267 06 0bb8", "/dns/example.org/tcp/3000"),
        ("36 0b 6578616d706c652e6f7267 06 0bb8", "/dns4/example.org/tcp/3000"),
        ("37 01 61", "/dns6/a"),
        ("04 7f000001 06 1f90 a503 26 00240801 1220 \(key)", "/ip4/127.0.0.1/tcp/8080/p2p/\(id)"),
    ]

    @Test func `bytes and text say the same, both ways`() throws {
        for (hex, text) in Self.table {
            let bytes = Self.bytes(hex)
            let address = try Multiaddr(bytes: bytes)
            #expect(address.description == text)
            #expect(address.bytes == bytes, "\(text)")
        }
    }

    @Test func `what can be dialed is dialed as it is written`() throws {
        for (hex, text) in Self.table where text.contains("/tcp/") {
            let target = try DialTarget("\(Multiaddr(bytes: Self.bytes(hex)))")
            #expect(text.contains("/\(target.address.host)/tcp/\(target.address.port)"))
            #expect(text.contains("p2p") == (target.id != nil))
        }
    }

    @Test(arguments: [
        ("", "is empty"),
        ("04 c0a801", "ends inside a part"),
        ("06", "ends inside a part"),
        ("06 0b", "ends inside a part"),
        ("29 0000000000000000", "ends inside a part"),
        ("36 0b 6578", "ends inside a part"),
        ("36 ffffffffffffffffff01", "ends inside a part"),
        ("36 ffffffffffffffffffff01", "malformed length"),
        ("36", "malformed length"),
        ("80", "malformed code"),
        ("36 00", "a name of 0 bytes"),
        ("36 03 612f62", "characters that no name has"),
        ("36 02 610a", "characters that no name has"),
        ("36 02 61ff", "characters that no name has"),
        ("91 02 1f90", "unknown kind 273"),
        ("a503 02 0024", "does not hold a key"),
        ("a503 22 1220 \(key)", "not Ed25519"),
    ])
    func `malformed and unknown ones are refused by name`(hex: String, why: String) {
        let thrown = #expect(throws: ParleyError.self) { try Multiaddr(bytes: Self.bytes(hex)) }
        #expect(thrown?.code == .invalidAddress)
        #expect(thrown?.message.contains(why) == true, "\(thrown?.message ?? "-")")
    }

    @Test func `length and names have limits`() {
        let name = [UInt8](repeating: 0x61, count: 256)
        let long = #expect(throws: ParleyError.self) { try Multiaddr(bytes: [0x36, 0x80, 2] + name) }
        #expect(long?.message.contains("a name of 256 bytes") == true)
        let many = #expect(throws: ParleyError.self) {
            try Multiaddr(bytes: [UInt8](repeating: 6, count: Multiaddr.maxBytes + 1))
        }
        #expect(many?.message.contains("has 1025 bytes") == true)
        let most = [[UInt8]](repeating: [4, 0, 0, 0, 0], count: 2) + .init(repeating: [6, 0, 0], count: 338)
        #expect((try? Multiaddr(bytes: joined(most)).parts.count) == 340, "1,024 bytes")
    }

    @Test func `a listener on every interface is where the peer reaches it`() {
        let local = SocketAddress(host: "192.168.1.5", port: 51_514)
        let table: [(host: String, text: String?)] = [
            ("", "/ip4/192.168.1.5/tcp/3000"), ("::", "/ip4/192.168.1.5/tcp/3000"),
            ("0.0.0.0", "/ip4/192.168.1.5/tcp/3000"), ("127.0.0.1", "/ip4/127.0.0.1/tcp/3000"),
            ("::1", "/ip6/::1/tcp/3000"), ("localhost", nil),
        ]
        for (host, text) in table {
            let listening = SocketAddress(host: host, port: 3_000)
            #expect(Multiaddr.listening(at: listening, as: local)?.description == text, "\(host)")
        }
        #expect(Multiaddr.listening(at: nil, as: local) == nil)
        #expect(Multiaddr(SocketAddress(host: "fe80::1%lo", port: 1)) == nil)
    }
}
