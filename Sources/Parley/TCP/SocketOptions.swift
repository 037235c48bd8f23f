import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Makes a TCP socket for the family of `address`: non-blocking, close-on-exec and above 2.
///
/// - Returns: its descriptor; -1 on failure, with `errno` set.
func newSocket(for address: RawSocketAddress) -> Int32 {
    let family = address.isIPv6 ? AF_INET6 : AF_INET
    #if canImport(Glibc)
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        return aboveStandard(socket(family, type, 0))
    #else
        let descriptor = aboveStandard(socket(family, SOCK_STREAM, 0))
        if descriptor >= 0 { setNonBlockingAndCloseOnExec(descriptor) }
        return descriptor
    #endif
}

func setNonBlockingAndCloseOnExec(_ descriptor: Int32) {
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
}

/// Sets one integer option of a socket. A failure is ignored.
func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
}

/// Sets the options of every connection's socket: no delay of small writes, and keep-alive probes (tcp(7)).
/// It does not use libuv's call, which fixes the probes' interval and count.
///
/// On Linux an accepted socket inherits the listening socket's options, so there they cost no system calls
/// for each connection.
func setPeerOptions(of descriptor: Int32, _ keepAlive: KeepAlive?) {
    let tcp = Int32(IPPROTO_TCP)
    setOption(descriptor, tcp, TCP_NODELAY, 1)
    guard let keepAlive else { return }
    #if canImport(Darwin)
        setOption(descriptor, tcp, TCP_KEEPALIVE, keepAlive.idle.wholeSeconds)
    #else
        setOption(descriptor, tcp, TCP_KEEPIDLE, keepAlive.idle.wholeSeconds)
    #endif
    setOption(descriptor, tcp, TCP_KEEPINTVL, keepAlive.interval.wholeSeconds)
    setOption(descriptor, tcp, TCP_KEEPCNT, Int32(clamping: max(1, keepAlive.count)))
    setOption(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
}
