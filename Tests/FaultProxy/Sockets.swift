import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The proxy's socket calls: IPv4 on loopback, non-blocking.
enum Sockets {
    static func listener() -> (descriptor: Int32, port: UInt16) {
        let descriptor = make()
        var address = loopback(port: 0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withSockaddr(&address) { pointer in
            precondition(bind(descriptor, pointer, size) == 0 && listen(descriptor, 512) == 0)
            getsockname(descriptor, pointer, &size)
        } read: {
            UInt16(bigEndian: $0.sin_port)
        }
        return (descriptor, port)
    }

    /// Begins to connect; nil when that fails at once.
    static func connect(to port: UInt16) -> Int32? {
        let descriptor = make()
        guard descriptor >= 0 else { return nil }
        var address = loopback(port: port)
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        var status: Int32 = 0
        withSockaddr(&address) { pointer in
            #if canImport(Glibc)
                status = Glibc.connect(descriptor, pointer, size)
            #else
                status = Darwin.connect(descriptor, pointer, size)
            #endif
        } read: { _ in
        }
        guard status == 0 || errno == EINPROGRESS else {
            close(descriptor)
            return nil
        }
        return descriptor
    }

    /// Accepts a waiting connection; nil when there is none.
    static func accept(from listener: Int32) -> Int32? {
        #if canImport(Glibc)
            let descriptor = Glibc.accept(listener, nil, nil)
        #else
            let descriptor = Darwin.accept(listener, nil, nil)
        #endif
        guard descriptor >= 0 else { return nil }
        prepare(descriptor)
        return descriptor
    }

    /// The socket's pending error, which this call clears; 0 when there is none.
    static func failure(of descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno
    }

    /// Closes so that the other side sees a reset.
    static func reset(_ descriptor: Int32) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        close(descriptor)
    }

    private static func make() -> Int32 {
        #if canImport(Glibc)
            let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = Darwin.socket(AF_INET, SOCK_STREAM, 0)
        #endif
        prepare(descriptor)
        return descriptor
    }

    private static func prepare(_ descriptor: Int32) {
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    private static func loopback(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    private static func withSockaddr<Result>(
        _ address: inout sockaddr_in,
        _ body: (UnsafeMutablePointer<sockaddr>) -> Void,
        read: (sockaddr_in) -> Result
    ) -> Result {
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) }
        }
        return read(address)
    }
}
