#if canImport(Glibc)
    import Glibc
#endif

/// The system calls of the attacker: IPv4 on loopback, nothing blocks, and every end is a reset.
enum AttackSocket {
    /// SOCK_NONBLOCK and IP_BIND_ADDRESS_NO_PORT, which Swift's module of the C library leaves out.
    private static let nonBlocking: Int32 = 0o4000
    private static let bindAddressNoPort: Int32 = 24

    /// Nil when the process has no descriptors left.
    static func make(receiveBufferBytes: Int32?) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | nonBlocking, 0)
        guard descriptor >= 0 else { return nil }
        var on: Int32 = 1
        // The port is chosen when it is known where the connection goes.
        setsockopt(descriptor, Int32(IPPROTO_IP), bindAddressNoPort, &on, 4)
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        // The window is agreed on when the connection is made.
        if var bytes = receiveBufferBytes { setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, 4) }
        return descriptor
    }

    /// Begins to connect.
    ///
    /// - Returns: false when that fails at once.
    static func connect(_ descriptor: Int32, from source: UInt32, to port: UInt16) -> Bool {
        _ = withAddress(source, 0) { bind(descriptor, $0, $1) }
        let status = withAddress(0x7f00_0001, port) { Glibc.connect(descriptor, $0, $1) }
        return status == 0 || errno == EINPROGRESS
    }

    /// Reads up to `limit` bytes and forgets them.
    ///
    /// - Returns: false when the connection is over.
    static func read(_ descriptor: Int32, atMost limit: Int) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: limit, alignment: 1) { buffer in
            let count = recv(descriptor, buffer.baseAddress, limit, 0)
            return count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR)
        }
    }

    /// Reads what is there, up to a limit.
    ///
    /// - Returns: nil when the connection is over.
    static func receive(_ descriptor: Int32, atMost limit: Int) -> [UInt8]? {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            let received = recv(descriptor, buffer.baseAddress, limit, 0)
            if received < 0 { failure = errno }
            count = max(0, received)
        }
        return !bytes.isEmpty || failure == EAGAIN || failure == EINTR ? bytes : nil
    }

    /// Says that nothing more will come.
    static func finish(_ descriptor: Int32) { shutdown(descriptor, Int32(SHUT_WR)) }

    /// - Returns: how many bytes were taken; negative when none can be now.
    static func send(_ bytes: ArraySlice<UInt8>, on descriptor: Int32) -> Int {
        bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    private static func withAddress<Result>(
        _ host: UInt32,
        _ port: UInt16,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = host.bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
