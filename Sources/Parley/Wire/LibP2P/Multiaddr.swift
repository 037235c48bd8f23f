/// An address as libp2p nodes tell it: a list of parts, such as `/ip4/192.168.1.5/tcp/3000/p2p/12D3KooW…`.
/// Its text can be dialed when it is a host, a port, and perhaps an id.
///
/// As bytes each part is its code and its value; values of variable length follow their length.
///
/// Source: <https://github.com/multiformats/multiaddr>, the codes
/// <https://github.com/multiformats/multicodec/blob/master/table.csv>.
public struct Multiaddr: Sendable, Hashable {
    /// One part of an address.
    public enum Part: Sendable, Hashable {
        /// An IPv4 address, its first byte in the highest bits.
        case ip4(UInt32)
        /// An IPv6 address, its first byte in the highest bits of `high`.
        case ip6(high: UInt64, low: UInt64)
        /// A name, for IPv4 and IPv6 alike.
        case dns(String)
        /// A name whose IPv4 addresses are meant.
        case dns4(String)
        /// A name whose IPv6 addresses are meant.
        case dns6(String)
        /// A TCP port.
        case tcp(UInt16)
        /// The node that answers there.
        case p2p(PeerID)
    }

    /// The parts, the outermost first.
    public let parts: [Part]

    /// Makes an address of its parts.
    public init(_ parts: [Part]) { self.parts = parts }

    /// The most bytes of an address that is read.
    package static let maxBytes = 1_024
    /// The longest name in a part, as in the domain name system.
    private static let maxNameBytes = 255

    fileprivate enum Code {
        static let ip4: UInt64 = 4
        static let tcp: UInt64 = 6
        static let ip6: UInt64 = 41
        static let dns: UInt64 = 53
        static let dns4: UInt64 = 54
        static let dns6: UInt64 = 55
        static let p2p: UInt64 = 421
    }
}

// MARK: - As bytes

extension Multiaddr {
    /// Reads the bytes of an address.
    ///
    /// - Throws: ``ParleyError`` `invalidAddress`, whose message names the fault; also for parts of other
    ///   kinds than ``Part`` has.
    public init(bytes: some Collection<UInt8>) throws(ParleyError) {
        guard !bytes.isEmpty else { throw Self.invalid("is empty") }
        guard bytes.count <= Self.maxBytes else {
            throw Self.invalid("has \(bytes.count) bytes, allowed are \(Self.maxBytes)")
        }
        var rest = Array(bytes)[...]
        var parts: [Part] = []
        while !rest.isEmpty { parts.append(try Self.part(&rest)) }
        self.init(parts)
    }

    private static func part(_ rest: inout ArraySlice<UInt8>) throws(ParleyError) -> Part {
        guard let code = Varint.take(from: &rest) else { throw invalid("has a malformed code") }
        switch code {
        case Code.ip4: return .ip4(UInt32(truncatingIfNeeded: try number(4, &rest)))
        case Code.ip6: return .ip6(high: try number(8, &rest), low: try number(8, &rest))
        case Code.tcp: return .tcp(UInt16(truncatingIfNeeded: try number(2, &rest)))
        case Code.dns: return .dns(try name(&rest))
        case Code.dns4: return .dns4(try name(&rest))
        case Code.dns6: return .dns6(try name(&rest))
        case Code.p2p: return .p2p(try PeerID(bytes: try content(&rest)))
        default: throw invalid("has a part of the unknown kind \(code)")
        }
    }

    /// Takes a number of `count` bytes, the most significant first.
    private static func number(_ count: Int, _ rest: inout ArraySlice<UInt8>) throws(ParleyError) -> UInt64 {
        try take(count, &rest).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Takes a length, and as many bytes.
    private static func content(_ rest: inout ArraySlice<UInt8>) throws(ParleyError) -> ArraySlice<UInt8> {
        guard let count = Varint.take(from: &rest) else { throw invalid("has a malformed length") }
        return try take(Int(clamping: count), &rest)
    }

    private static func take(
        _ count: Int,
        _ rest: inout ArraySlice<UInt8>
    ) throws(ParleyError) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw invalid("ends inside a part") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private static func name(_ rest: inout ArraySlice<UInt8>) throws(ParleyError) -> String {
        let bytes = try content(&rest)
        guard (1...maxNameBytes).contains(bytes.count) else {
            throw invalid("has a name of \(bytes.count) bytes")
        }
        // Of a name's text nothing may look like another part, or like an end of the line.
        guard let name = String(validating: bytes, as: UTF8.self),
            !bytes.contains(where: { $0 <= 0x20 || $0 == UInt8(ascii: "/") || $0 == 0x7f })
        else { throw invalid("has a name with characters that no name has") }
        return name
    }

    private static func invalid(_ why: String) -> ParleyError {
        ParleyError(.invalidAddress, "the multiaddress \(why)")
    }

    /// The address as bytes.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for part in parts { part.append(to: &bytes) }
        return bytes
    }
}

extension Multiaddr.Part {
    fileprivate func append(to bytes: inout [UInt8]) {
        func append(_ code: UInt64, _ value: some FixedWidthInteger) {
            Varint.append(code, to: &bytes)
            withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
        }
        func append(_ code: UInt64, content: [UInt8]) {
            Varint.append(code, to: &bytes)
            Varint.append(UInt64(content.count), to: &bytes)
            bytes += content
        }
        switch self {
        case .ip4(let bits): append(Multiaddr.Code.ip4, bits)
        case .ip6(let high, let low):
            append(Multiaddr.Code.ip6, high)
            withUnsafeBytes(of: low.bigEndian) { bytes.append(contentsOf: $0) }
        case .tcp(let port): append(Multiaddr.Code.tcp, port)
        case .dns(let name): append(Multiaddr.Code.dns, content: Array(name.utf8))
        case .dns4(let name): append(Multiaddr.Code.dns4, content: Array(name.utf8))
        case .dns6(let name): append(Multiaddr.Code.dns6, content: Array(name.utf8))
        case .p2p(let id): append(Multiaddr.Code.p2p, content: id.bytes)
        }
    }
}

// MARK: - As text

extension Multiaddr: CustomStringConvertible {
    /// `/ip4/192.168.1.5/tcp/3000/p2p/12D3KooW…`
    public var description: String { parts.map(\.description).joined() }
}

extension Multiaddr.Part: CustomStringConvertible {
    /// `/tcp/3000`
    public var description: String {
        switch self {
        case .ip4(let bits): "/ip4/" + [24, 16, 8, 0].map { "\(bits >> $0 & 0xff)" }.joined(separator: ".")
        case .ip6(let high, let low): "/ip6/" + Self.text(high, low)
        case .dns(let name): "/dns/" + name
        case .dns4(let name): "/dns4/" + name
        case .dns6(let name): "/dns6/" + name
        case .tcp(let port): "/tcp/\(port)"
        case .p2p(let id): "/p2p/\(id)"
        }
    }

    /// An IPv6 address as RFC 5952 writes it: the first of the longest runs of zeros is left out.
    private static func text(_ high: UInt64, _ low: UInt64) -> String {
        let groups = [high, low].flatMap { word in [48, 32, 16, 0].map { word >> $0 & 0xffff } }
        var zeros = 0..<0
        var start = 0
        while start < groups.count {
            let end = groups[start...].firstIndex { $0 != 0 } ?? groups.count
            if end - start > zeros.count { zeros = start..<end }
            start = end + 1
        }
        func hex(_ groups: ArraySlice<UInt64>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard zeros.count > 1 else { return hex(groups[...]) }
        return hex(groups[..<zeros.lowerBound]) + "::" + hex(groups[zeros.upperBound...])
    }
}
