/// What a dial asks for: an address, and perhaps the only node that may answer there.
///
/// | text | |
/// |---|---|
/// | `host:port` | any node; see ``SocketAddress`` |
/// | `12D3KooW…@host:port` | that node |
/// | `/ip4/192.168.1.5/tcp/3000` | any node; also `/ip6/…` |
/// | `/dns/example.org/tcp/3000` | any node |
/// | `/dns4/…`, `/dns6/…` | the same, only at the IPv4 or the IPv6 addresses of the name |
/// | `/ip4/192.168.1.5/tcp/3000/p2p/12D3KooW…` | that node |
///
/// Source of the forms that begin with a slash: <https://github.com/multiformats/multiaddr>.
package struct DialTarget: Sendable, Equatable {
    let address: SocketAddress
    /// The only kind of addresses of a name that is tried; nil for both.
    let family: AddressFamily?
    package let id: PeerID?

    /// - Throws: `invalidAddress`, whose message names the fault.
    package init(_ text: String) throws(ParleyError) {
        if text.utf8.first == UInt8(ascii: "/") {
            self = try Self.multiaddr(text)
        } else if let at = text.firstByte(UInt8(ascii: "@")) {
            let rest = text[text.index(after: at)...]
            guard !rest.contains("@") else {
                throw ParleyError(.invalidAddress, "address \"\(text)\" has two ids")
            }
            self.init(try SocketAddress(String(rest)), nil, try PeerID(String(text[..<at])))
        } else {
            self.init(try SocketAddress(text), nil, nil)
        }
    }

    private init(_ address: SocketAddress, _ family: AddressFamily?, _ id: PeerID?) {
        self.address = address
        self.family = family
        self.id = id
    }

    private static func multiaddr(_ text: String) throws(ParleyError) -> DialTarget {
        func invalid(_ why: String) -> ParleyError {
            ParleyError(.invalidAddress, "address \"\(text)\" \(why)")
        }
        var parts = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        // A slash at the end says nothing.
        if parts.count > 1, parts.last == "" { parts.removeLast() }
        guard let road = Road(rawValue: parts[0]) else {
            throw invalid("begins with /\(parts[0]); /ip4, /ip6, /dns, /dns4 and /dns6 can be dialed")
        }
        guard parts.count >= 4 else { throw invalid("is not of the form /\(road)/host/tcp/port") }
        let host = parts[1]
        guard !host.isEmpty else { throw invalid("has no host") }
        guard road.allows(host) else { throw invalid("has no \(road.hostKind)") }
        guard parts[2] == "tcp" else { throw invalid("has /\(parts[2]) where only /tcp can be dialed") }
        let address = try SocketAddress(host.contains(":") ? "[\(host)]:\(parts[3])" : "\(host):\(parts[3])")
        guard parts.count > 4 else { return DialTarget(address, road.family, nil) }
        guard parts.count == 6, ["p2p", "ipfs"].contains(parts[4]) else {
            let rest = parts[4...].joined(separator: "/")
            throw invalid("has /\(rest) after its port, where only /p2p and an id can follow")
        }
        return DialTarget(address, road.family, try PeerID(parts[5]))
    }

    /// How to get to a host: the first word of a multiaddr.
    private enum Road: String {
        case ip4, ip6, dns, dns4, dns6

        var family: AddressFamily? {
            switch self {
            case .dns4: .ipv4
            case .dns6: .ipv6
            case .ip4, .ip6, .dns: nil
            }
        }

        var hostKind: String {
            switch self {
            case .ip4: "IPv4 address"
            case .ip6: "IPv6 address"
            case .dns, .dns4, .dns6: "name"
            }
        }

        func allows(_ host: String) -> Bool {
            let isNumeric = IPAddress(host) != nil
            return switch self {
            case .ip4: isNumeric && !host.contains(":")
            case .ip6: isNumeric && host.contains(":")
            case .dns, .dns4, .dns6: !isNumeric && !host.contains(":")
            }
        }
    }
}

extension DialTarget: CustomStringConvertible {
    package var description: String {
        switch family {
        case nil: id.map { "\($0)@\(address)" } ?? address.description
        case .ipv4: "/dns4/\(multiaddrRest)"
        case .ipv6: "/dns6/\(multiaddrRest)"
        }
    }

    private var multiaddrRest: String {
        "\(address.host)/tcp/\(address.port)" + (id.map { "/p2p/\($0)" } ?? "")
    }
}
