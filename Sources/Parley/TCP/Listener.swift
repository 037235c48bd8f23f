// From a listening socket to accepted descriptors.

import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A listening socket. It accepts connections and delivers each descriptor to the transport. The loop's
/// thread only.
///
/// It polls the socket and calls accept(2) itself instead of using `uv_listen`. When descriptors run out,
/// libuv either closes the waiting connections unseen or calls back endlessly. Here they wait in the backlog
/// while the listener backs off (<https://docs.libuv.org/en/v1.x/poll.html>).
final class Listener: @unchecked Sendable {
    /// What the listener reports.
    enum Event {
        /// An accepted connection, its remote address, and its local address if that is the same for all
        /// connections. The receiver owns the descriptor.
        case accepted(Int32, from: RawSocketAddress?, at: SocketAddress?)
        /// accept(2) failed; the listener tries again after the delay.
        case backingOff(ParleyError)
        /// The delay after a failure, or the one that `permit` or `admit` asked for, is over.
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
    /// Asked before each accept(2). Connections over a limit wait in the backlog and take no descriptor.
    private let permit: () -> Node.AcceptPermit
    /// Asked after each accept(2), with the remote address.
    private let admit: (RawSocketAddress?) -> Node.AcceptDecision
    /// An accepted connection that waits for the accept rate: its address was not known before accept(2).
    private var held: (descriptor: Int32, remote: RawSocketAddress?)?
    private var deliver: ((Event) -> Void)?
    /// The real address, with the port that the system chose for port 0.
    let address: SocketAddress
    /// Whether it listens on all interfaces.
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

    /// Stops listening. The system resets connections in the backlog. Idempotent.
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
        // libuv no longer uses the descriptor when uv_close returns, so the port is free at once.
        close(descriptor)
    }

    private func watch() {
        uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { poll, status, _ in
            Unmanaged<Listener>.fromOpaque(poll!.pointee.data).takeUnretainedValue().acceptNext()
        }
    }

    /// Accepts one connection. One accept per turn, so that a flood cannot starve the peers: an accept costs
    /// as much as a dozen messages.
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
        // The backlog is empty, or the connection ended while it waited: accept(2) lists the errors of a
        // connection that are reported here. The poll calls again for the next one.
        case EAGAIN, EWOULDBLOCK, EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, EHOSTUNREACH,
            EOPNOTSUPP, ENETUNREACH:
            return
        case let code: pause(because: ParleyError(libuv: uv_translate_sys_error(code), "cannot accept"))
        }
    }

    /// Delivers an accepted connection, refuses it, or holds it until the accept rate allows it.
    private func take(_ descriptor: Int32, from remote: RawSocketAddress?) {
        switch admit(remote) {
        case .admitted: deliver?(.accepted(descriptor, from: remote, at: isWildcard ? nil : address))
        case .refused: Self.refuse(descriptor)
        case .after(let delay):
            held = (descriptor, remote)
            pause(for: delay)
        case .whenThereIsRoom:
            held = (descriptor, remote)
            uv_poll_stop(poll)
        }
    }

    private func pause(because error: ParleyError) {
        let delay = backOff
        backOff = min(backOff * 2, Self.longestBackOff)
        pause(for: delay)
        deliver?(.backingOff(error))
    }

    private func pause(for delay: Duration) {
        uv_poll_stop(poll)
        retry.start(after: delay) { [unowned self] in
            deliver?(.resumed)
            resume()
        }
    }

    /// Accepts again after a permit said to wait for room.
    func resume() {
        loop.assertIsCurrent()
        guard uv_is_closing(clibuv_poll_as_handle(poll)) == 0 else { return }
        watch()
        // The backlog may be empty, and then the poll does not call.
        if held != nil { acceptNext() }
    }

    /// Closes a connection with a reset, which leaves no state behind, here or in the kernel.
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
        let descriptor = newSocket(for: address)
        guard descriptor >= 0 else { throw failure(errno) }
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
    return aboveStandard(descriptor)
}
