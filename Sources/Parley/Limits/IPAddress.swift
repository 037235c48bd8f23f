/// A numeric IP address as 128 bits, for counting and comparing.
///
/// IPv4 is stored as mapped into IPv6 (RFC 4291, 2.5.5.2), so that an address is the same on either kind of
/// socket.
struct IPAddress: Hashable, Sendable {
    let high: UInt64
    let low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    init(v4 bits: UInt32) { self.init(high: 0, low: 0xffff_0000_0000 | UInt64(bits)) }

    /// Parses a numeric host; nil for a name. A zone (`%eth0`) is dropped: it does not identify the host.
    init?(_ host: some StringProtocol) {
        let bare = host.prefix { $0 != "%" }
        guard let address = RawSocketAddress(numericHost: String(bare), port: 0)?.ip else { return nil }
        self = address
    }

    var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    /// 127.0.0.0/8 and ::1.
    var isLoopback: Bool { isIPv4 ? low >> 24 & 0xff == 127 : high == 0 && low == 1 }

    /// 0.0.0.0 and ::. Whoever connects to it reaches this host.
    var isUnspecified: Bool { isIPv4 ? low & 0xffff_ffff == 0 : high == 0 && low == 0 }

    /// The address with all but its first `length` bits cleared.
    func prefix(_ length: Int) -> IPAddress {
        IPAddress(high: high & Self.mask(length), low: low & Self.mask(length - 64))
    }

    private static func mask(_ length: Int) -> UInt64 {
        ~(.max >> UInt64(max(0, length)))
    }
}

extension SocketAddress {
    /// The host as an ``IPAddress``; nil for a name.
    var ip: IPAddress? { IPAddress(host) }
}
