/// A range of IP addresses in CIDR notation, `10.0.0.0/8` or `2001:db8::/32`; without the slash, one address.
///
/// Source: <https://www.rfc-editor.org/rfc/rfc4632>
public struct AddressRange: Sendable, Hashable {
    let first: IPAddress
    /// The prefix length of the 128-bit form. An IPv4 prefix length is this minus 96.
    let length: Int

    init(_ address: IPAddress, length: Int) {
        first = address.prefix(length)
        self.length = length
    }

    /// Parses `address/length` or `address`.
    ///
    /// - Throws: ``ParleyError`` `invalidAddress`, whose message names the fault.
    public init(_ text: String) throws(ParleyError) {
        func invalid(_ why: String) -> ParleyError {
            ParleyError(.invalidAddress, "address range \"\(text)\" \(why)")
        }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress($0) }) else {
            throw invalid("does not begin with a numeric address")
        }
        let bits = address.isIPv4 && !parts[0].contains(":") ? 32 : 128
        guard parts.count == 2 else {
            self.init(address, length: 128)
            return
        }
        let digits = parts[1]
        guard digits.allSatisfy({ ("0"..."9").contains($0) }), let length = Int(digits), length <= bits else {
            throw invalid("has no prefix length from 0 to \(bits) after its slash")
        }
        self.init(address, length: 128 - bits + length)
        guard first == address else { throw invalid("has bits set after its prefix") }
    }

    func contains(_ address: IPAddress) -> Bool { address.prefix(length) == first }

    /// Whether `host` is a numeric address in this range; false for names.
    public func contains(_ host: String) -> Bool { IPAddress(host).map { contains($0) } ?? false }

    /// This host: 127.0.0.0/8 and ::1.
    public static let loopback = [
        AddressRange(IPAddress(v4: 127 << 24), length: 104),
        AddressRange(IPAddress(high: 0, low: 1), length: 128),
    ]

    /// Networks that the internet does not route: RFC 1918 (private), RFC 6598 (shared), RFC 3927 and RFC
    /// 4291 (link-local), RFC 4193 (unique local).
    public static let privateNetworks = [
        AddressRange(IPAddress(v4: 10 << 24), length: 104),
        AddressRange(IPAddress(v4: 172 << 24 | 16 << 16), length: 108),
        AddressRange(IPAddress(v4: 192 << 24 | 168 << 16), length: 112),
        AddressRange(IPAddress(v4: 100 << 24 | 64 << 16), length: 106),
        AddressRange(IPAddress(v4: 169 << 24 | 254 << 16), length: 112),
        AddressRange(IPAddress(high: 0xfe80 << 48, low: 0), length: 10),
        AddressRange(IPAddress(high: 0xfc00 << 48, low: 0), length: 7),
    ]
}

extension AddressRange: CustomStringConvertible {
    /// The CIDR notation that ``init(_:)`` parses.
    public var description: String {
        let isIPv4 = first.isIPv4 && length >= 96
        let host = RawSocketAddress(first).map { SocketAddress($0).host } ?? "?"
        return isIPv4 ? "\(host)/\(length - 96)" : "\(host)/\(length)"
    }
}

/// A set of address ranges, grouped by prefix length: a lookup costs one hash for each distinct length.
struct AddressSet: Sendable {
    private var byLength: [(length: Int, prefixes: Set<IPAddress>)] = []

    init(_ ranges: [AddressRange]) {
        for range in ranges {
            if let index = byLength.firstIndex(where: { $0.length == range.length }) {
                byLength[index].prefixes.insert(range.first)
            } else {
                byLength.append((range.length, [range.first]))
            }
        }
    }

    func contains(_ address: IPAddress) -> Bool {
        byLength.contains { $0.prefixes.contains(address.prefix($0.length)) }
    }
}
