// What the kernel knows about a connection and reports only when asked (tcp(7)).

import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

extension TCPHandle {
    var isAcknowledged: Bool {
        guard let descriptor else { return true }
        // The count of a socket that was reset never changes again.
        return kernelUnacknowledgedBytes(descriptor) == 0 || isDead
    }

    var hasUnread: Bool { descriptor.map { unreadBytes($0) > 0 } ?? false }

    var status: Health.LinkStatus {
        guard let descriptor else { return .init(isDead: true) }
        let unreadBytes = unreadBytes(descriptor)
        let info = TCPInfo(descriptor)
        return .init(
            unacknowledgedBytes: unwrittenFileBytes + uv_stream_get_write_queue_size(stream)
                + kernelUnacknowledgedBytes(descriptor),
            socketUnreadBytes: unreadBytes,
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

/// What the kernel tells of a connection, as far as it is used here (tcp(7)).
private struct TCPInfo {
    /// The connection has failed or was reset.
    var isClosed = false
    /// The other side may send next to nothing: the window that this side offers is used up. Where the kernel
    /// tells nothing, unread bytes count as a full window.
    var isWindowClosed = true

    #if os(Linux)
        /// Where `tcpi_rcv_mss` lies; and `tcpi_rcv_wnd`, which Linux 6.2 added.
        private static let segmentOffset = 20
        private static let windowOffset = 232
        /// The largest window that is as good as closed.
        private static let closedWindowBytes = 4_096
    #endif

    init(_ descriptor: Int32) {
        #if os(Linux)
            // tcpi_state is the first byte.
            withUnsafeTemporaryAllocation(byteCount: Self.windowOffset + 4, alignment: 8) { info in
                var size = socklen_t(info.count)
                let status = getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, info.baseAddress, &size)
                guard status == 0, Int(size) >= Self.segmentOffset + 4 else { return }
                isClosed = Int(info[0]) == Int(TCP_CLOSE)
                if Int(size) >= info.count {
                    let window = info.load(fromByteOffset: Self.windowOffset, as: UInt32.self)
                    isWindowClosed = window < Self.closedWindowBytes
                } else {
                    let segment = info.load(fromByteOffset: Self.segmentOffset, as: UInt32.self)
                    isWindowClosed = Self.isBufferFull(descriptor, segmentBytes: Int(segment))
                }
            }
        #endif
    }

    #if os(Linux)
        /// Whether unread bytes fill the socket's buffer so far that the kernel offers the other side no more
        /// room: less than half of the buffer is free, and less than a segment or a sixteenth of it. About
        /// half of the buffer's memory is for bytes. The half matters where segments are large, as on
        /// loopback: one unread segment is not a full buffer.
        ///
        /// Source: `SO_MEMINFO` in socket(7); `__tcp_select_window` of Linux.
        private static func isBufferFull(_ descriptor: Int32, segmentBytes: Int) -> Bool {
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
            return free < all / 4 && (free < segmentBytes || free < all / 32)
        }
    #endif
}
