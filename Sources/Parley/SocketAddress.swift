/// A host and a port, in the notation of Go's `net` package: `192.168.1.5:3000`, `[::1]:3000`,
/// `localhost:3000`, `:3000`.
///
/// The addresses of connected peers are numeric. An IPv4 address on a dual-stack socket is shown as IPv4. A
/// link-local IPv6 address has its zone: `[fe80::1%eth0]:3000`.
public struct SocketAddress: Sendable, Hashable {
    /// A name or a numeric address without brackets. An empty host is every interface when listening, and
    /// this host when dialing.
    public let host: String
    /// The port. When listening, 0 lets the system choose one.
    public let port: UInt16

    /// Makes an address from its parts; `host` has no brackets.
    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Parses `host:port`.
    ///
    /// - Throws: ``ParleyError`` `invalidAddress`, whose message names the fault.
    public init(_ text: String) throws(ParleyError) {
        func invalid(_ why: String) -> ParleyError {
            ParleyError(.invalidAddress, "address \"\(text)\" \(why)")
        }
        guard let colon = text.lastIndex(of: ":") else {
            throw invalid(text.isEmpty ? "is empty; expected host:port" : "has no port; expected host:port")
        }
        var host = text[..<colon]
        if host.first == "[" {
            guard host.last == "]" else { throw invalid("has a \"[\" without its \"]\" before the port") }
            host = host.dropFirst().dropLast()
            guard host.contains(":") else { throw invalid("has brackets around what is not an IPv6 address") }
        } else if host.contains(":") {
            throw invalid("has too many colons; an IPv6 address goes in brackets, as in [::1]:3000")
        }
        guard !host.contains(where: { "[]/ \t\n\0".contains($0) }) else {
            throw invalid("has a character in its host that cannot be there")
        }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.allSatisfy({ ("0"..."9").contains($0) }) else {
            throw invalid("has no numeric port")
        }
        guard let port = UInt16(digits) else { throw invalid("has a port outside 0...65535") }
        self.init(host: String(host), port: port)
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `host:port`, with brackets around an IPv6 host.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
