import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

// What the kernel knows of a connection and tells nobody who does not ask (tcp(7)).

extension TCPHandle {
    var isAcknowledged: Bool {
        guard let descriptor else { return true }
        // On a socket that was reset it stays as it was, and nothing will change it.
        return kernelUnacknowledgedBytes(descriptor) == 0 || isDead
    }

    var unacknowledgedBytes: Int {
        guard let descriptor else { return 0 }
        return uv_stream_get_write_queue_size(stream) + kernelUnacknowledgedBytes(descriptor)
    }

    /// What was written and is not acknowledged yet, a FIN included.
    private func kernelUnacknowledgedBytes(_ descriptor: Int32) -> Int {
        var count: Int32 = 0
        #if canImport(Darwin)
            var size = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, SO_NWRITE, &count, &size) == 0 ? Int(count) : 0
        #else
            return ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 ? Int(count) : 0
        #endif
    }

    var hasUnreadBytes: Bool {
        guard let descriptor else { return false }
        var count: Int32 = 0
        return ioctl(descriptor, UInt(FIONREAD), &count) == 0 && count > 0
    }

    var isDead: Bool {
        guard let descriptor else { return true }
        #if canImport(Darwin)
            return false
        #else
            var state: UInt8 = 0
            var size = socklen_t(MemoryLayout<UInt8>.size)
            let isKnown = getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &state, &size) == 0
            return isKnown && Int(state) == Int(TCP_CLOSE)
        #endif
    }
}
