#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

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
