import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

// What the kernel knows about a connection and reports only when asked (tcp(7)).

extension TCPHandle {
    var isAcknowledged: Bool {
        guard let descriptor else { return true }
        // The count of a socket that was reset never changes again.
        return kernelUnacknowledgedBytes(descriptor) == 0 || isDead
    }

    var look: Health.Look.Link {
        guard let descriptor else { return .init(isDead: true) }
        let unreadBytes = unreadBytes(descriptor)
        let info = TCPInfo(descriptor)
        return .init(
            unacknowledgedBytes: uv_stream_get_write_queue_size(stream)
                + kernelUnacknowledgedBytes(descriptor),
            unreadBytes: unreadBytes,
            isFull: unreadBytes > 0 && isFull(descriptor, segmentBytes: info.segmentBytes),
            isDead: info.isClosed
        )
    }

    /// Bytes that were written and are not acknowledged, including a FIN.
    private func kernelUnacknowledgedBytes(_ descriptor: Int32) -> Int {
        var count: Int32 = 0
        #if canImport(Darwin)
            var size = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, SO_NWRITE, &count, &size) == 0 ? Int(count) : 0
        #else
            return ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 ? Int(count) : 0
        #endif
    }

    private func unreadBytes(_ descriptor: Int32) -> Int {
        var count: Int32 = 0
        return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
    }

    /// Whether unread bytes fill the socket's buffer so far that the kernel offers the other side no more
    /// room: less than a segment or a sixteenth of the buffer is free. About half of the buffer's memory is
    /// for bytes.
    ///
    /// Source: `SO_MEMINFO` in socket(7); `__tcp_select_window` of Linux.
    private func isFull(_ descriptor: Int32, segmentBytes: Int) -> Bool {
        #if os(Linux)
            // SK_MEMINFO_RMEM_ALLOC and SK_MEMINFO_RCVBUF are the first two of nine.
            var info: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) =
                (0, 0, 0, 0, 0, 0, 0, 0, 0)
            var size = socklen_t(MemoryLayout.size(ofValue: info))
            let socketMemoryInfo: Int32 = 55
            guard getsockopt(descriptor, SOL_SOCKET, socketMemoryInfo, &info, &size) == 0 else {
                return false
            }
            let (used, all) = (Int(info.0), Int(info.1))
            let free = (all - used) / 2
            return free < min(segmentBytes, all / 2) || free < all / 32
        #else
            return true
        #endif
    }

    /// Whether the connection has failed or was reset. A socket that is not read does not report that by
    /// itself.
    var isDead: Bool { descriptor.map { TCPInfo($0).isClosed } ?? true }
}

/// The fields of the kernel's tcp_info that are used here (tcp(7)).
private struct TCPInfo {
    /// The connection has failed or was reset.
    var isClosed = false
    /// The size of the segments that arrive.
    var segmentBytes = 65_536

    init(_ descriptor: Int32) {
        #if os(Linux)
            // tcpi_state is the first byte, tcpi_rcv_mss the sixth word.
            var words: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0, 0)
            var size = socklen_t(MemoryLayout.size(ofValue: words))
            guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &words, &size) == 0 else { return }
            isClosed = withUnsafeBytes(of: words) { Int($0[0]) == Int(TCP_CLOSE) }
            segmentBytes = Int(words.5)
        #endif
    }
}
