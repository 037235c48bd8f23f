#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Sets one integer option of a socket, if the system lets us.
func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
    var value = value
    setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
}

/// What every connection's socket is told: to send at once, and to look after a silent other side (tcp(7); libuv's own
/// call fixes interval and count).
///
/// On Linux a listening socket hands these on to what it accepts, so there they cost nothing for each connection.
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
