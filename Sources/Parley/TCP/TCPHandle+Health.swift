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
            isFull: unreadBytes > 0 && info.isWindowClosed,
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

    /// Whether the connection has failed or was reset. A socket that is not read does not report that by
    /// itself.
    var isDead: Bool { descriptor.map { TCPInfo($0).isClosed } ?? true }
}

/// The fields of the kernel's tcp_info that are used here (tcp(7)).
private struct TCPInfo {
    /// The connection has failed or was reset.
    var isClosed = false
    /// The other side may send next to nothing: the window that this side offers is used up. Where the kernel
    /// does not tell, unread bytes count as a full window.
    var isWindowClosed = true

    /// Where `tcpi_rcv_wnd` lies, which Linux 6.2 added; and the largest window that is as good as closed.
    private static let windowOffset = 232
    private static let closedWindowBytes = 4_096

    init(_ descriptor: Int32) {
        #if os(Linux)
            // tcpi_state is the first byte.
            withUnsafeTemporaryAllocation(byteCount: Self.windowOffset + 4, alignment: 8) { info in
                var size = socklen_t(info.count)
                guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, info.baseAddress, &size) == 0
                else {
                    return
                }
                isClosed = Int(info[0]) == Int(TCP_CLOSE)
                guard Int(size) >= info.count else { return }
                let window = info.load(fromByteOffset: Self.windowOffset, as: UInt32.self)
                isWindowClosed = window < Self.closedWindowBytes
            }
        #endif
    }
}
