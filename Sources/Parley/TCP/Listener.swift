import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A listening socket. Everything here happens on the loop's thread.
///
/// It polls the socket and accepts by itself instead of using `uv_listen`: out of descriptors, libuv closes the
/// waiting connections unseen or calls back without end; here they wait in the backlog while the listener
/// backs off (<https://docs.libuv.org/en/v1.x/poll.html>).
final class Listener: @unchecked Sendable {
    /// What happens on it.
    enum Event {
        /// A connection, where it comes from, and where it came to, if every connection comes there; whoever gets it
        /// owns the descriptor.
        case accepted(Int32, from: RawSocketAddress?, at: SocketAddress?)
        /// accept(2) failed and will be tried again after the delay.
        case backingOff(ParleyError, Duration)
        /// A delay, of that kind or as the permit said, is over.
        case resumed
    }

    private static let backlog: Int32 = 4_096
    private static let shortestBackOff = Duration.milliseconds(5)
    private static let longestBackOff = Duration.seconds(1)

    private let loop: EventLoop
    private let descriptor: Int32
    private let keepAlive: KeepAlive?
    private let poll: UnsafeMutablePointer<uv_poll_t>
    private let retry: LoopTimer
    private var backOff = shortestBackOff
    /// Asked before each accept(2): connections that there is no room for wait in the backlog, and cost no descriptor.
    private let permit: () -> Node.AcceptPermit
    /// Asked behind each accept(2), with the remote address.
    private let admit: (RawSocketAddress?) -> Node.AcceptDecision
    /// A connection that has to wait for the accept rate, and was taken out of the backlog because its address was not
    /// known before.
    private var held: (descriptor: Int32, remote: RawSocketAddress?)?
    private var deliver: ((Event) -> Void)?
    /// The real address, with the port that the system chose if it was asked to.
    let address: SocketAddress
    /// Whether it listens on every interface.
    private let isWildcard: Bool

    /// Binds and listens. An IPv6 wildcard takes IPv4 connections too.
    init(
        on loop: EventLoop,
        address: RawSocketAddress,
        keepAlive: KeepAlive?,
        permit: @escaping () -> Node.AcceptPermit,
        admit: @escaping (RawSocketAddress?) -> Node.AcceptDecision,
        deliver: @escaping (Event) -> Void
    ) throws(ParleyError) {
        loop.assertIsCurrent()
        self.loop = loop
        self.permit = permit
        self.admit = admit
        self.keepAlive = keepAlive
        descriptor = try Self.openSocket(at: address)
        setPeerOptions(of: descriptor, keepAlive)
        guard
            let bound = RawSocketAddress(filledBy: { [descriptor] in getsockname(descriptor, $0, &$1) == 0 })
        else {
            close(descriptor)
            throw ParleyError(.system, "a new listener has no address")
        }
        self.address = SocketAddress(bound)
        isWildcard = ["0.0.0.0", "::"].contains(self.address.host)
        poll = .allocate(capacity: 1)
        let status = uv_poll_init_socket(loop.uv, poll, descriptor)
        guard status == 0 else {
            close(descriptor)
            poll.deallocate()
            throw ParleyError(libuv: status, "cannot watch the listener at \(self.address)")
        }
        retry = LoopTimer(on: loop)
        self.deliver = deliver
        poll.pointee.data = Unmanaged.passRetained(self).toOpaque()
        watch()
    }

    deinit { poll.deallocate() }

    /// Stops listening; connections in the backlog are reset by the system. Idempotent.
    func stop() {
        loop.assertIsCurrent()
        let handle = clibuv_poll_as_handle(poll)
        guard uv_is_closing(handle) == 0 else { return }
        deliver = nil
        if let held { Self.refuse(held.descriptor) }
        held = nil
        retry.close()
        uv_close(handle) { handle in
            Unmanaged<Listener>.fromOpaque(handle!.pointee.data).release()
        }
        // libuv has let go of the descriptor when uv_close returns; the port is free at once.
        close(descriptor)
    }

    private func watch() {
        uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { poll, status, _ in
            Unmanaged<Listener>.fromOpaque(poll!.pointee.data).takeUnretainedValue().acceptNext()
        }
    }

    /// Accepts one connection. A flood of them leaves room for the peers there are, since each costs as much as a dozen
    /// messages: the next one gets the next turn, and until then it waits in the backlog at no cost.
    private func acceptNext() {
        loop.noteEvent()
        guard deliver != nil else { return }
        if let held {
            self.held = nil
            return take(held.descriptor, from: held.remote)
        }
        switch permit() {
        case .now: break
        case .after(let delay): return pause(for: delay)
        case .whenThereIsRoom:
            uv_poll_stop(poll)
            return
        }
        var remote: RawSocketAddress?
        let accepted = acceptNonBlocking(descriptor, &remote)
        if accepted >= 0 {
            #if !os(Linux)
                setPeerOptions(of: accepted, keepAlive)
            #endif
            backOff = Self.shortestBackOff
            return take(accepted, from: remote)
        }
        switch errno {
        // Nothing there any more, or the connection went away while it waited; accept(2) lists what a caller should
        // treat alike. There will be another call if there is another connection.
        case EAGAIN, EWOULDBLOCK, EINTR, ECONNABORTED, EPROTO: return
        case let code: pause(because: ParleyError(libuv: uv_translate_sys_error(code), "cannot accept"))
        }
    }

    /// Hands on a connection that was accepted, turns it away, or holds it.
    private func take(_ descriptor: Int32, from remote: RawSocketAddress?) {
        switch admit(remote) {
        case .admitted: deliver?(.accepted(descriptor, from: remote, at: isWildcard ? nil : address))
        case .refused: Self.refuse(descriptor)
        case .after(let delay):
            held = (descriptor, remote)
            pause(for: delay)
        }
    }

    private func pause(because error: ParleyError) {
        let delay = backOff
        backOff = min(backOff * 2, Self.longestBackOff)
        pause(for: delay)
        deliver?(.backingOff(error, delay))
    }

    private func pause(for delay: Duration) {
        uv_poll_stop(poll)
        retry.start(after: delay) { [unowned self] in
            deliver?(.resumed)
            resume()
            // The backlog may be empty, and the poll never call.
            if held != nil { acceptNext() }
        }
    }

    /// Looks at the backlog again, after a permit that said to wait until there is room.
    func resume() {
        loop.assertIsCurrent()
        if uv_is_closing(clibuv_poll_as_handle(poll)) == 0 { watch() }
    }

    /// Turns a connection away with a reset: that leaves nothing behind, neither here nor in the kernel.
    static func refuse(_ descriptor: Int32) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        close(descriptor)
    }
}

// MARK: - System calls

extension Listener {
    private static func openSocket(at address: RawSocketAddress) throws(ParleyError) -> Int32 {
        let name = SocketAddress(address)
        func failure(_ code: Int32) -> ParleyError {
            ParleyError(libuv: uv_translate_sys_error(code), "cannot listen on \(name)")
        }
        #if canImport(Glibc)
            let type = Int32(SOCK_STREAM.rawValue)
        #else
            let type = SOCK_STREAM
        #endif
        let descriptor = socket(address.isIPv6 ? AF_INET6 : AF_INET, type, 0)
        guard descriptor >= 0 else { throw failure(errno) }
        setNonBlockingAndCloseOnExec(descriptor)
        setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if address.isIPv6 { setOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        let bound = address.withSockaddr { bind(descriptor, $0, $1) }
        guard bound == 0, listen(descriptor, backlog) == 0 else {
            let code = errno
            close(descriptor)
            throw failure(code)
        }
        return descriptor
    }

}

private func setNonBlockingAndCloseOnExec(_ descriptor: Int32) {
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
}

private func acceptNonBlocking(_ listener: Int32, _ remote: inout RawSocketAddress?) -> Int32 {
    var descriptor: Int32 = -1
    remote = RawSocketAddress { address, size in
        #if canImport(Glibc)
            let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            descriptor = accept4(listener, address, &size, flags)
        #else
            descriptor = accept(listener, address, &size)
            if descriptor >= 0 { setNonBlockingAndCloseOnExec(descriptor) }
        #endif
        return descriptor >= 0
    }
    return descriptor
}
