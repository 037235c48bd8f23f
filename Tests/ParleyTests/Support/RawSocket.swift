import Dispatch
import Testing

@testable import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A blocking TCP socket, for sending what a Parley node never sends.
final class RawSocket: Sendable {
    private let descriptor: Int32
    private let isOpen = Lock(true)

    fileprivate init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        // A time-out: a test that waits for bytes that never come fails instead of hanging.
        var limit = timeval(tv_sec: 120, tv_usec: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &limit,
            socklen_t(MemoryLayout<timeval>.size)
        )
    }

    /// Connects to a port of this host.
    ///
    /// - Parameter receiveBufferBytes: the size of the kernel's receive buffer, which doubles it; nil leaves
    ///   it to the kernel. With a small one, what is not read stays with the sender.
    convenience init(connectingTo address: String, receiveBufferBytes: Int32? = nil) throws {
        let port = try SocketAddress(address).port
        self.init(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        if var room = receiveBufferBytes {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        }
        let target = try #require(RawSocketAddress(numericHost: "127.0.0.1", port: port))
        let status = target.withSockaddr { connect(descriptor, $0, $1) }
        guard status == 0 else { throw POSIXFailure(call: "connect", code: errno) }
    }

    deinit { close() }

    func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw POSIXFailure(call: "send", code: errno) }
            rest.removeFirst(count)
        }
    }

    /// Writes without waiting for room. Returns how many bytes there was room for.
    func writeWhatFits(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBytes {
            max(0, send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)))
        }
    }

    /// Whether what was written is with the other side's kernel.
    var hasArrived: Bool {
        var unacknowledged: Int32 = 0
        #if canImport(Glibc)
            return ioctl(descriptor, UInt(TIOCOUTQ), &unacknowledged) == 0 && unacknowledged == 0
        #else
            var size = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, SO_NWRITE, &unacknowledged, &size) == 0
                && unacknowledged == 0
        #endif
    }

    /// The bytes of one read; empty at the end, nil when the connection was reset.
    func read(upTo count: Int = 65_536) async -> [UInt8]? { await offPool { self.readBlocking(upTo: count) } }

    private func readBlocking(upTo count: Int) -> [UInt8]? {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let received = recv(descriptor, buffer.baseAddress, count, 0)
            failed = received < 0
            initialized = max(0, received)
        }
        return failed ? nil : bytes
    }

    func read(exactly count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard let more = await read(upTo: count - bytes.count) else {
                throw POSIXFailure(call: "recv", code: errno)
            }
            guard !more.isEmpty else { throw POSIXFailure(call: "recv: early end", code: 0) }
            bytes += more
        }
        return bytes
    }

    /// Reads and drops so many bytes.
    func skip(_ count: Int) async throws {
        var left = count
        while left > 0 { left -= try await read(exactly: min(left, 65_536)).count }
    }

    /// Half-closes: nothing more will be written.
    func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

    func close() {
        let wasOpen = isOpen.withLock { isOpen in
            defer { isOpen = false }
            return isOpen
        }
        #if canImport(Glibc)
            if wasOpen { _ = Glibc.close(descriptor) }
        #else
            if wasOpen { _ = Darwin.close(descriptor) }
        #endif
    }

    /// Ends the connection with a RST.
    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor,
            SOL_SOCKET,
            SO_LINGER,
            &linger,
            socklen_t(MemoryLayout.size(ofValue: linger))
        )
        close()
    }
}

/// Runs a blocking function on a thread of its own: Swift's pool has only as many threads as cores.
func offPool<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(returning: body()) }
    }
}

/// A system call that failed.
struct POSIXFailure: Error {
    let call: String
    let code: Int32
}

/// A listening socket that accepts only on request.
final class RawListener: Sendable {
    private let descriptor: Int32
    let port: UInt16

    init(host: String = "127.0.0.1", port: UInt16 = 0, backlog: Int32 = 128) throws {
        let wanted = try #require(RawSocketAddress(numericHost: host, port: port))
        descriptor = socket(wanted.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard wanted.withSockaddr({ [descriptor] in bind(descriptor, $0, $1) }) == 0,
            listen(descriptor, backlog) == 0
        else {
            throw POSIXFailure(call: "listen", code: errno)
        }
        let name = RawSocketAddress { [descriptor] in getsockname(descriptor, $0, &$1) == 0 }
        self.port = name.map { SocketAddress($0).port } ?? 0
    }

    var address: String { "127.0.0.1:\(port)" }

    /// Accepts the next connection.
    func accept() async throws -> RawSocket {
        let accepted = await offPool { [descriptor] in
            #if canImport(Glibc)
                Glibc.accept(descriptor, nil, nil)
            #else
                Darwin.accept(descriptor, nil, nil)
            #endif
        }
        guard accepted >= 0 else { throw POSIXFailure(call: "accept", code: errno) }
        return RawSocket(accepted)
    }

    deinit {
        #if canImport(Glibc)
            _ = Glibc.close(descriptor)
        #else
            _ = Darwin.close(descriptor)
        #endif
    }
}
