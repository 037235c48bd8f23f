// Addresses as system calls and libuv take them.

import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A numeric IPv4 or IPv6 address with a port, in the form that system calls take (sockaddr).
package struct RawSocketAddress: @unchecked Sendable {
    private var storage: sockaddr_storage

    package var isIPv6: Bool { Int32(storage.ss_family) == AF_INET6 }

    /// Parses a literal IPv4 or IPv6 address, with or without `%zone`; nil for anything else.
    ///
    /// The zone is the name or the number of an interface (RFC 4007, section 11).
    package init?(numericHost host: String, port: UInt16) {
        storage = sockaddr_storage()
        let zoneSign = host.firstByte(UInt8(ascii: "%"))
        let bare = zoneSign.map { String(host[..<$0]) } ?? host
        // With withCString: the conversion of an argument copies the string to an array first.
        let status = bare.withCString { bare in
            withUnsafeMutablePointer(to: &storage) { storage in
                let v4 = storage.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    uv_ip4_addr(bare, Int32(port), $0)
                }
                if v4 == 0 { return v4 }
                return storage.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    uv_ip6_addr(bare, Int32(port), $0)
                }
            }
        }
        guard status == 0 else { return nil }
        guard let zoneSign else { return }
        guard isIPv6, let zone = Self.zone(host[zoneSign...].dropFirst()) else { return nil }
        withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { $0.pointee.sin6_scope_id = zone }
        }
    }

    /// The number of the interface with this name or number; nil when there is none.
    private static func zone(_ name: Substring) -> UInt32? {
        let index = if_nametoindex(String(name))
        if index != 0 { return index }
        guard let number = UInt32(name), number != 0 else { return nil }
        return interfaceName(number) == nil ? nil : number
    }

    /// The name of an interface; nil when there is none with that number.
    fileprivate static func interfaceName(_ number: UInt32) -> String? {
        var text = [CChar](repeating: 0, count: 64)
        var size = text.count
        guard uv_if_indextoname(number, &text, &size) == 0 else { return nil }
        return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// Throws `addressNotAvailable` when the host is an IPv6 address whose zone is no interface of this
    /// machine.
    static func checkZone(of address: SocketAddress) throws(ParleyError) {
        guard let zoneSign = address.host.firstByte(UInt8(ascii: "%")),
            address.host[..<zoneSign].contains(":")
        else { return }
        let name = address.host[zoneSign...].dropFirst()
        guard zone(name) == nil else { return }
        throw ParleyError(
            .addressNotAvailable,
            "\(address) is in the zone \"\(name)\", and this machine has no interface of that name"
        )
    }

    /// Copies an address that a resolver or a socket reported; nil when it is neither IPv4 nor IPv6.
    package init?(copying address: UnsafePointer<sockaddr>) {
        storage = sockaddr_storage()
        let family = Int32(address.pointee.sa_family)
        guard family == AF_INET || family == AF_INET6 else { return nil }
        let size = family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: size))
        }
    }

    /// The same address with another port.
    func with(port: UInt16) -> RawSocketAddress {
        var copy = self
        copy.setPort(port)
        return copy
    }

    /// Calls `body` with the address as a system call takes it.
    package func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        let size = isIPv6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
        return withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(size)) }
        }
    }

    /// Makes the address that `query` (for example getsockname(2)) fills in; nil when `query` fails.
    package init?(filledBy query: (UnsafeMutablePointer<sockaddr>, inout socklen_t) -> Bool) {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let filled = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { query($0, &size) }
        }
        guard filled else { return nil }
        self.storage = storage
    }

    /// Makes an address from its bits, with port 0. It never fails in practice.
    init?(_ ip: IPAddress) {
        self.init(numericHost: ip.isIPv4 ? "0.0.0.0" : "::", port: 0)
        withUnsafeMutablePointer(to: &storage) { storage in
            if ip.isIPv4 {
                storage.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    $0.pointee.sin_addr.s_addr = UInt32(truncatingIfNeeded: ip.low).bigEndian
                }
            } else {
                storage.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    withUnsafeMutableBytes(of: &$0.pointee.sin6_addr) { bytes in
                        bytes.storeBytes(of: ip.high.bigEndian, as: UInt64.self)
                        bytes.storeBytes(of: ip.low.bigEndian, toByteOffset: 8, as: UInt64.self)
                    }
                }
            }
        }
    }

    /// The address as bits, without port and zone.
    var ip: IPAddress {
        withSockaddr { address, _ in
            if isIPv6 {
                address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    withUnsafeBytes(of: $0.pointee.sin6_addr) { bytes in
                        IPAddress(
                            high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                            low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                        )
                    }
                }
            } else {
                address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    IPAddress(v4: UInt32(bigEndian: $0.pointee.sin_addr.s_addr))
                }
            }
        }
    }

    /// The port.
    var port: UInt16 {
        withSockaddr { address, _ in
            if isIPv6 {
                address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    UInt16(bigEndian: $0.pointee.sin6_port)
                }
            } else {
                address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    UInt16(bigEndian: $0.pointee.sin_port)
                }
            }
        }
    }

    private mutating func setPort(_ port: UInt16) {
        withUnsafeMutablePointer(to: &storage) { [isIPv6] storage in
            if isIPv6 {
                storage.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    $0.pointee.sin6_port = port.bigEndian
                }
            } else {
                storage.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    $0.pointee.sin_port = port.bigEndian
                }
            }
        }
    }
}

extension SocketAddress {
    /// Converts a raw address to numeric text. An IPv4 address that is mapped into IPv6 becomes IPv4. A
    /// link-local address keeps its zone, without which it cannot be dialed: `fe80::1%eth0`.
    package init(_ raw: RawSocketAddress) {
        let (ip, port) = (raw.ip, raw.port)
        if ip.isIPv4 {
            self.init(host: Self.dotted(UInt32(truncatingIfNeeded: ip.low)), port: port)
            return
        }
        var text = [CChar](repeating: 0, count: 64)
        let zone = raw.withSockaddr { address, _ in
            address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                uv_ip6_name($0, &text, text.count)
                return $0.pointee.sin6_scope_id
            }
        }
        let host = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        if zone == 0 {
            self.init(host: host, port: port)
        } else {
            let name = RawSocketAddress.interfaceName(zone) ?? "\(zone)"
            self.init(host: "\(host)%\(name)", port: port)
        }
    }

    /// The text of an IPv4 address. A connection needs it up to four times, and a tenth of a dial went into
    /// uv_ip4_name(3), which is built on snprintf(3).
    private static func dotted(_ address: UInt32) -> String {
        String(unsafeUninitializedCapacity: 15) { text in
            var count = 0
            func append(_ byte: UInt8) {
                text[count] = byte
                count &+= 1
            }
            for shift: UInt32 in [24, 16, 8, 0] {
                let part = UInt8(truncatingIfNeeded: address >> shift)
                if part >= 100 { append(UInt8(ascii: "0") + part / 100) }
                if part >= 10 { append(UInt8(ascii: "0") + part / 10 % 10) }
                append(UInt8(ascii: "0") + part % 10)
                if shift > 0 { append(UInt8(ascii: ".")) }
            }
            return count
        }
    }
}
