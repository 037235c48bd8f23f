/// What a dial asks for: an address, and perhaps the only node that may answer there.
///
/// | text | |
/// |---|---|
/// | `host:port` | any node; see ``SocketAddress`` |
/// | `12D3KooW…@host:port` | that node |
/// | `/ip4/192.168.1.5/tcp/3000` | any node; also `/ip6/…` and `/dns/…` |
/// | `/ip4/192.168.1.5/tcp/3000/p2p/12D3KooW…` | that node |
///
/// Source of the last two: <https://github.com/multiformats/multiaddr>.
struct DialTarget: Sendable, Equatable {
    let address: SocketAddress
    let id: PeerID?

    /// - Throws: `invalidAddress`, whose message names the fault.
    init(_ text: String) throws(ParleyError) {
        // By bytes: characters cost a dial thousands of instructions.
        if text.utf8.first == UInt8(ascii: "/") {
            self = try Self.multiaddr(text)
        } else if let at = text.utf8.firstIndex(of: UInt8(ascii: "@")) {
            let rest = text[text.index(after: at)...]
            guard !rest.contains("@") else {
                throw ParleyError(.invalidAddress, "address \"\(text)\" has two ids")
            }
            self.init(try SocketAddress(String(rest)), try PeerID(String(text[..<at])))
        } else {
            self.init(try SocketAddress(text), nil)
        }
    }

    private init(_ address: SocketAddress, _ id: PeerID?) {
        self.address = address
        self.id = id
    }

    private static func multiaddr(_ text: String) throws(ParleyError) -> DialTarget {
        func invalid(_ why: String) -> ParleyError {
            ParleyError(.invalidAddress, "address \"\(text)\" \(why)")
        }
        let parts = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4 || parts.count == 6 else {
            throw invalid("is not of the form /ip4/host/tcp/port or /ip4/host/tcp/port/p2p/id")
        }
        let host = parts[1]
        guard !host.isEmpty else { throw invalid("has no host") }
        switch parts[0] {
        case "ip4":
            guard !host.contains(":"), IPAddress(host) != nil else { throw invalid("has no IPv4 address") }
        case "ip6":
            guard host.contains(":"), IPAddress(host) != nil else { throw invalid("has no IPv6 address") }
        case "dns":
            guard !host.contains(":"), IPAddress(host) == nil else { throw invalid("has no name") }
        default: throw invalid("begins with /\(parts[0]); /ip4, /ip6 and /dns can be dialed")
        }
        guard parts[2] == "tcp" else { throw invalid("has /\(parts[2]) where only /tcp can be dialed") }
        let address = try SocketAddress(host.contains(":") ? "[\(host)]:\(parts[3])" : "\(host):\(parts[3])")
        guard parts.count == 6 else { return DialTarget(address, nil) }
        guard ["p2p", "ipfs"].contains(parts[4]) else { throw invalid("has /\(parts[4]) in place of /p2p") }
        return DialTarget(address, try PeerID(parts[5]))
    }
}

extension DialTarget: CustomStringConvertible {
    var description: String { id.map { "\($0)@\(address)" } ?? address.description }
}
