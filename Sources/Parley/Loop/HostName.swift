/// A name to look up, and the kind of addresses that are wanted.
struct HostName: Hashable {
    let host: String
    /// Nil for addresses of both kinds.
    var family: AddressFamily?
}

/// The two kinds of IP addresses.
package enum AddressFamily: String, Sendable {
    case ipv4 = "IPv4"
    case ipv6 = "IPv6"
}

extension HostName: CustomStringConvertible {
    /// For messages: what was to be found.
    var description: String { "\"\(host)\"" + (family.map { " to an \($0.rawValue) address" } ?? "") }
}
