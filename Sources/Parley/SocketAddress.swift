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
        // An array: searching the view is slower, and searching characters slower still.
        let bytes = Array(text.utf8)
        guard let end = bytes.lastIndex(of: Self.colon) else {
            throw invalid(text.isEmpty ? "is empty; expected host:port" : "has no port; expected host:port")
        }
        var host = bytes[..<end]
        if host.first == UInt8(ascii: "[") {
            guard host.last == UInt8(ascii: "]") else {
                throw invalid("has a \"[\" without its \"]\" before the port")
            }
            host = host.dropFirst().dropLast()
            guard host.contains(Self.colon) else {
                throw invalid("has brackets around what is not an IPv6 address")
            }
        } else if host.contains(Self.colon) {
            throw invalid("has too many colons; an IPv6 address goes in brackets, as in [::1]:3000")
        }
        guard !host.contains(where: Self.isForbiddenInHost) else {
            throw invalid("has a character in its host that cannot be there")
        }
        let digits = bytes[(end + 1)...]
        guard !digits.isEmpty, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { throw invalid("has no numeric port") }
        // Above the range it stays at one value, so that a long row of digits does not overflow.
        let number = digits.reduce(0) { min($0 * 10 + Int($1 - UInt8(ascii: "0")), 1 << 16) }
        guard let port = UInt16(exactly: number) else { throw invalid("has a port outside 0...65535") }
        self.init(host: String(decoding: host, as: UTF8.self), port: port)
    }

    private static let colon = UInt8(ascii: ":")

    private static func isForbiddenInHost(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "["), UInt8(ascii: "]"), UInt8(ascii: "/"), UInt8(ascii: " "), UInt8(ascii: "\t"),
            UInt8(ascii: "\n"), 0:
            true
        default: false
        }
    }
}

extension String {
    /// The first position of a byte; nil when it is nowhere. Each dial searches several times, and searching
    /// characters costs thousands of instructions.
    func firstByte(_ byte: UInt8) -> Index? {
        let found = utf8.withContiguousStorageIfAvailable { $0.firstIndex(of: byte) }
        guard let found else { return utf8.firstIndex(of: byte) }
        return found.map { utf8.index(startIndex, offsetBy: $0) }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `host:port`, with brackets around an IPv6 host.
    public var description: String {
        host.firstByte(Self.colon) != nil ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
