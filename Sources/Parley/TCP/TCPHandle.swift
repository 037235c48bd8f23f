// One socket. Read: kernel -> LinkOwner.linkDidRead. Write: write -> uv_try_write, uv_write or sendfile.

import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// One TCP socket: the link under a connection. Every `uv_tcp_*` and `uv_stream_*` call of the library is in
/// this file or `TCPHandle+Health.swift`.
///
/// The loop's thread only. The `uv_tcp_t` is on the heap and keeps this object alive from a successful init
/// to the close callback. A request is kept only if the call that took it returned 0
/// (<https://docs.libuv.org/en/v1.x/handle.html>).
final class TCPHandle {
    private let loop: EventLoop
    private let tcp: UnsafeMutablePointer<uv_tcp_t>
    /// Kept alive by the open socket, and released in the close callback.
    private var owner: (any LinkOwner)?
    /// The write that the socket had no room for.
    private var writing: PendingWrite?

    /// The bytes of the current part of a file that the kernel does not have yet.
    var unwrittenFileBytes: Int { writing?.file?.count ?? 0 }

    /// A connect in progress. Its request holds it until libuv calls back, which it always does: with
    /// `UV_ECANCELED` when the handle is closed before.
    private final class Connecting {
        let handle: TCPHandle
        let completion: (_ status: Int32) -> Void

        init(_ handle: TCPHandle, _ completion: @escaping (_ status: Int32) -> Void) {
            self.handle = handle
            self.completion = completion
        }
    }

    // Boxed: most sockets have none most of the time, and take less memory then.

    private final class PendingWrite {
        /// The bytes that `uv_write` sends. libuv has pointers into it.
        var buffer: WireBuffer
        /// The part of a file that follows these bytes.
        var file: FileRange?
        let request = UnsafeMutablePointer<uv_write_t>.allocate(capacity: 1)

        init(_ buffer: WireBuffer) { self.buffer = buffer }

        deinit { request.deallocate() }
    }

    init(on loop: EventLoop) throws(ParleyError) {
        loop.assertIsCurrent()
        self.loop = loop
        tcp = .allocate(capacity: 1)
        let status = uv_tcp_init(loop.uv, tcp)
        guard status == 0 else {
            tcp.deallocate()
            throw ParleyError(libuv: status, "cannot create a socket")
        }
        tcp.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    deinit { tcp.deallocate() }

    /// Sets the owner, which hears about reads, writes and the end.
    func setOwner(_ owner: any LinkOwner) { self.owner = owner }

    fileprivate static func from(_ data: UnsafeMutableRawPointer) -> TCPHandle {
        Unmanaged<TCPHandle>.fromOpaque(data).takeUnretainedValue()
    }

    var stream: UnsafeMutablePointer<uv_stream_t> { clibuv_tcp_as_stream(tcp) }
    private var handle: UnsafeMutablePointer<uv_handle_t> { clibuv_tcp_as_handle(tcp) }
}

// MARK: - Opening

extension TCPHandle {
    /// Takes over a socket that a ``Listener`` has accepted. Closes it on failure.
    convenience init(adopting descriptor: Int32, on loop: EventLoop) throws(ParleyError) {
        do {
            try self.init(on: loop)
        } catch {
            closeDescriptor(descriptor)
            throw error
        }
        let status = uv_tcp_open(tcp, descriptor)
        guard status == 0 else {
            closeDescriptor(descriptor)
            close(abortively: false)
            throw ParleyError(libuv: status, "cannot take over a socket")
        }
    }

    /// Connects to `address`, whose text is `name`. `completion` is called once, unless the handle is closed
    /// first.
    func connect(
        to address: RawSocketAddress,
        _ name: SocketAddress,
        keepAlive: KeepAlive?,
        completion: @escaping (ParleyError?) -> Void
    ) throws(ParleyError) {
        try openSocket(for: address, name)
        let connecting = Connecting(self) { [unowned self] status in
            guard status == 0 else {
                return completion(ParleyError(libuv: status, "cannot connect to \(name)"))
            }
            if let descriptor { setPeerOptions(of: descriptor, keepAlive) }
            completion(nil)
        }
        let request = UnsafeMutablePointer<uv_connect_t>.allocate(capacity: 1)
        request.pointee.data = Unmanaged.passRetained(connecting).toOpaque()
        let status = address.withSockaddr { address, _ in
            uv_tcp_connect(request, tcp, address) { request, status in
                let connecting = Unmanaged<Connecting>.fromOpaque(request!.pointee.data).takeRetainedValue()
                request!.deallocate()
                connecting.handle.connected(status, connecting)
            }
        }
        guard status == 0 else {
            Unmanaged.passUnretained(connecting).release()
            request.deallocate()
            throw ParleyError(libuv: status, "cannot connect to \(name)")
        }
    }

    /// Makes the socket, which libuv would leave on one of the descriptors 0 to 2 that is closed.
    private func openSocket(for address: RawSocketAddress, _ name: SocketAddress) throws(ParleyError) {
        let descriptor = newSocket(for: address)
        guard descriptor >= 0 else { throw ParleyError(errno: errno, "cannot connect to \(name)") }
        let status = uv_tcp_open(tcp, descriptor)
        guard status == 0 else {
            closeDescriptor(descriptor)
            throw ParleyError(libuv: status, "cannot connect to \(name)")
        }
    }

    private func connected(_ status: Int32, _ connecting: Connecting) {
        guard uv_is_closing(handle) == 0 else { return }
        loop.noteEvent()
        connecting.completion(status)
    }

    /// Whether the kernel has connected the socket to itself. It does so when nobody listens at the address,
    /// and the port that it chooses for the socket is that of the address (simultaneous open, RFC 9293, 3.5).
    ///
    /// - Parameter local: its local address; nil when it no longer has one.
    func isConnectedToItself(at address: SocketAddress, from local: RawSocketAddress?) -> Bool {
        guard let local, local.port == address.port else { return false }
        let remote = RawSocketAddress { address, size in
            var length = Int32(size)
            return uv_tcp_getpeername(tcp, address, &length) == 0
        }
        // The text also has the zone. It costs more to make, so it is compared last.
        guard let remote, remote.port == local.port, remote.ip == local.ip else { return false }
        return SocketAddress(remote) == SocketAddress(local)
    }

    /// The socket's local address; nil when it no longer has one.
    var localAddress: RawSocketAddress? {
        RawSocketAddress { address, size in
            var length = Int32(size)
            return uv_tcp_getsockname(tcp, address, &length) == 0
        }
    }
}

// MARK: - Reading

extension TCPHandle: Link {
    /// libuv reports that there is something to read, and does not read it: it would read one socket up to 32
    /// times in a row, and into one place only. Here each socket has one read per turn, straight to where its
    /// bytes belong.
    ///
    /// `UV_ENOBUFS` exists for that purpose: <https://docs.libuv.org/en/v1.x/handle.html#c.uv_alloc_cb>.
    func startReading() {
        loop.assertIsCurrent()
        guard uv_is_closing(handle) == 0 else { return }
        let status = uv_read_start(
            stream,
            { _, _, buffer in buffer!.pointee = uv_buf_t(base: nil, len: 0) },
            { stream, count, _ in
                Unmanaged<TCPHandle>.fromOpaque(stream!.pointee.data).withBorrowed {
                    count == UV_ENOBUFS.rawValue ? $0.read() : $0.ended(Int32(truncatingIfNeeded: count))
                }
            }
        )
        guard status != 0, status != UV_EALREADY.rawValue else { return }
        owner?.linkDidEnd(ParleyError(libuv: status, "cannot read"))
    }

    func stopReading() {
        loop.assertIsCurrent()
        if uv_is_closing(handle) == 0 { uv_read_stop(stream) }
    }

    /// Reads once, to where the owner wants the bytes.
    private func read() {
        loop.noteEvent()
        guard let owner, let descriptor else { return }
        switch owner.linkWillRead() {
        case .shared:
            let slab = loop.slabToRead()
            let received = receive(from: descriptor, into: slab)
            guard received > 0 else { return readNothing(received) }
            let bytes = UnsafeBufferPointer(rebasing: slab.bindMemory(to: UInt8.self)[..<received])
            owner.linkDidRead(bytes.span)
        case .block(let room): readBlock(from: descriptor, room: room, to: owner)
        case .frame(let frame): read(into: consume frame, from: descriptor, to: owner)
        }
    }

    /// Reads a part of a stream into a block, which the reader may keep.
    private func readBlock(from descriptor: Int32, room: Int, to owner: any LinkOwner) {
        var block = ReadBlock()
        exchangeSpare(&block)
        let received = block.read(from: descriptor, atMost: max(room, ReadSlab.byteCount))
        if block.isWorthKeeping { return owner.linkDidRead(block.bytes[...]) }
        if received > 0 { owner.linkDidRead(block.bytes.span) }
        exchangeSpare(&block)
        if received <= 0 { readNothing(received) }
    }

    /// Takes the loop's spare block in exchange for an empty one, or returns it.
    private func exchangeSpare(_ block: inout ReadBlock) {
        if let local = LoopContext.localOfThisThread { swap(&block, &local.value.spareBlock) }
    }

    /// Reads a part of a large frame into the frame's buffer. The frame is consumed: with a second reference
    /// to it, an append would copy all of it.
    private func read(
        into frame: consuming PeerState.LargeFrame,
        from descriptor: Int32,
        to owner: any LinkOwner
    ) {
        let received = frame.bytes.append(from: descriptor, atMost: frame.missing)
        owner.linkDidRead(into: consume frame)
        if received <= 0 { readNothing(received) }
    }

    /// Handles a read that returned no bytes: 0 for the end of the input, or a negated errno.
    private func readNothing(_ result: Int) {
        switch Int32(truncatingIfNeeded: -result) {
        case EAGAIN, EWOULDBLOCK, EINTR: return
        case 0: ended(UV_EOF.rawValue)
        case let code: ended(uv_translate_sys_error(code))
        }
    }

    private func ended(_ told: Int32) {
        stopReading()
        let status = told == UV_EOF.rawValue ? pendingFailure ?? told : told
        owner?.linkDidEnd(
            status == UV_EOF.rawValue
                ? Self.orderlyEnd : ParleyError(libuv: status, "the connection failed")
        )
    }

    private static let orderlyEnd = ParleyError(
        .endOfStream,
        ParleyError.remoteClosed.message,
        systemCode: UV_EOF.rawValue
    )

    /// The failure that an end of the input hides; nil for an orderly end.
    ///
    /// The kernel reports a socket's error once. A direct write, or a write whose callback is pending, may
    /// have received it. So a socket in the closed state that this side has not shut down was reset. A reset
    /// after the other side's FIN (EPIPE) lost no input.
    private var pendingFailure: Int32? {
        guard let descriptor else { return nil }
        #if !canImport(Darwin)
            guard isDead else { return nil }
        #endif
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0, code != EPIPE else {
            return nil
        }
        #if !canImport(Darwin)
            if code == 0 { code = ECONNRESET }
        #endif
        return code == 0 ? nil : uv_translate_sys_error(code)
    }
}

// MARK: - Writing

extension TCPHandle {
    func write(_ buffer: WireBuffer) throws(ParleyError) -> Bool {
        loop.assertIsCurrent()
        assert(writing == nil, "a write is under way")
        guard !buffer.isEmpty else { return true }
        var written: Int32 = 0
        buffer.withBuffers { written = uv_try_write(stream, $0.baseAddress, UInt32($0.count)) }
        if Int(written) == buffer.count { return true }
        // Stored before libuv keeps pointers into it. The pointers stay valid while `writing` holds the
        // slices: nothing else mutates them, and native array storage does not move.
        let pending = PendingWrite(buffer)
        writing = pending
        var status = written
        if written >= 0 || written == UV_EAGAIN.rawValue {
            buffer.withBuffers { status = queue($0.dropBytes(Int(max(0, written))), pending.request) }
        }
        guard status == 0 else {
            writing = nil
            throw ParleyError(libuv: status, "the connection failed while writing")
        }
        return false
    }

    private func queue(
        _ buffers: UnsafeMutableBufferPointer<uv_buf_t>.SubSequence,
        _ request: UnsafeMutablePointer<uv_write_t>
    ) -> Int32 {
        request.pointee.data = tcp.pointee.data
        let slice = UnsafeMutableBufferPointer(rebasing: buffers)
        return uv_write(request, stream, slice.baseAddress, UInt32(slice.count)) { request, status in
            TCPHandle.from(request!.pointee.data).didWrite(status)
        }
    }

    private func didWrite(_ status: Int32) {
        loop.noteEvent()
        let written = writing.take()
        if uv_is_closing(handle) != 0 { return }
        var failure = status == 0 ? nil : ParleyError(libuv: status, "the connection failed while writing")
        if failure == nil, let rest = written?.file {
            do {
                guard try write(rest) else { return }
            } catch { failure = error }
        }
        var buffer = WireBuffer()
        if let written { swap(&buffer, &written.buffer) }
        owner?.linkDidWrite(failure, returning: &buffer)
    }

    /// Lets the kernel copy bytes from the file to the socket. When the socket is full, the next piece goes
    /// through `uv_write`, whose callback tells that there is room again.
    func write(_ range: FileRange) throws(ParleyError) -> Bool {
        loop.assertIsCurrent()
        var rest = range
        while rest.count > 0 {
            if let descriptor, let sent = try rest.file.send(to: descriptor, rest) {
                rest.removeFirst(sent)
                continue
            }
            var piece = WireBuffer()
            piece.append(try rest.file.read(at: rest.offset, count: min(rest.count, Self.fileReadBytes)))
            rest.removeFirst(piece.count)
            guard try write(piece) else {
                writing?.file = rest
                return false
            }
        }
        return true
    }

    /// What is read of a file on the loop's thread when the kernel cannot send from it directly.
    private static let fileReadBytes = 64 * 1024

    func shutdown() {
        // The system call suffices: nothing is queued that uv_shutdown would wait for.
        guard let descriptor else { return }
        #if canImport(Darwin)
            _ = Darwin.shutdown(descriptor, SHUT_WR)
        #elseif canImport(Musl)
            _ = Musl.shutdown(descriptor, SHUT_WR)
        #else
            _ = Glibc.shutdown(descriptor, Int32(SHUT_WR))
        #endif
    }

    /// The socket's descriptor; nil when it is closed.
    var descriptor: Int32? {
        var descriptor = uv_os_fd_t()
        return uv_fileno(handle, &descriptor) == 0 ? descriptor : nil
    }

    var directSocket: Int32? { descriptor }
}

// MARK: - Closing

extension TCPHandle {
    func close(abortively: Bool) {
        loop.assertIsCurrent()
        guard uv_is_closing(handle) == 0 else { return }
        let closed: uv_close_cb = { handle in
            let handle = Unmanaged<TCPHandle>.fromOpaque(handle!.pointee.data).takeRetainedValue()
            handle.owner?.linkDidClose()
            handle.owner = nil
        }
        if !abortively || uv_tcp_close_reset(tcp, closed) != 0 { uv_close(handle, closed) }
    }
}
