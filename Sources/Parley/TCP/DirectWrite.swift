#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension WireBuffer {
    /// Writes what it can to a socket without blocking, past the event loop, and removes it. Any thread; the caller sees to
    /// it that nobody else writes, and that the socket stays open.
    ///
    /// Only where a write can be kept from raising SIGPIPE: the threads are not ours.
    ///
    /// - Returns: how much was written; failures are left for the loop to meet again.
    mutating func writeDirectly(to socket: Int32) -> Int {
        #if os(Linux)
            guard segments.isEmpty else { return 0 }
            let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
            let written = tail.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, flags) }
            guard written > 0 else { return 0 }
            removeFirst(written)
            return written
        #else
            return 0
        #endif
    }
}
