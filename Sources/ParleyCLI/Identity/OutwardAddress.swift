#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The address of this machine that the network sees: the source address of its default route.
///
/// A UDP socket is connected, which looks up the route and sends nothing. The destinations are addresses for
/// documentation (RFC 5737, RFC 3849).
enum OutwardAddress {
    /// The numeric address, IPv4 first; nil without a default route.
    static func find(isIPv4Only: Bool) -> String? {
        source(toward: "192.0.2.1", AF_INET)
            ?? (isIPv4Only ? nil : source(toward: "2001:db8::1", AF_INET6))
    }

    private static func source(toward destination: String, _ family: Int32) -> String? {
        var hints = addrinfo()
        hints.ai_family = family
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        #if canImport(Darwin)
            hints.ai_socktype = SOCK_DGRAM
        #else
            hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        #endif
        var found: UnsafeMutablePointer<addrinfo>?
        // Port 9 is that of the discard service.
        guard getaddrinfo(destination, "9", &hints, &found) == 0, let target = found else { return nil }
        defer { freeaddrinfo(found) }
        let descriptor = socket(family, target.pointee.ai_socktype, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard connect(descriptor, target.pointee.ai_addr, target.pointee.ai_addrlen) == 0 else { return nil }
        return localHost(of: descriptor)
    }

    private static func localHost(of descriptor: Int32) -> String? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getsockname(descriptor, address, &length) == 0 else { return nil }
                var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
                let status = getnameinfo(
                    address,
                    length,
                    &host,
                    socklen_t(host.count),
                    nil,
                    0,
                    NI_NUMERICHOST
                )
                guard status == 0 else { return nil }
                return String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
        }
    }
}
