// A send's second way to the socket: on the sender's own thread, past the loop.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension WireBuffer {
    /// Writes what it can to the socket, past the event loop and without blocking, and removes that from the
    /// buffer. Any thread. The caller makes sure that no other thread writes, and that the socket stays open.
    ///
    /// Linux only: elsewhere a send on an application's thread could raise SIGPIPE.
    ///
    /// - Returns: the number of bytes written; 0 on failure. The loop's next write reports the failure.
    mutating func writeDirectly(to socket: Int32, keeping kept: Int = idleBytes) -> Int {
        #if os(Linux)
            guard segments.isEmpty else { return 0 }
            let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
            let written = tail.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, flags) }
            guard written > 0 else { return 0 }
            removeFirst(written, keeping: kept)
            return written
        #else
            return 0
        #endif
    }
}
