import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A TCP proxy on loopback that hands every byte on in its order, and moves every boundary: what one side sends in a
/// segment arrives in pieces, what it sends in pieces arrives together.
public final class SplittingProxy: Sendable {
    /// Where the boundaries go.
    public enum Cut: Sendable {
        /// Pieces of random size, mostly small, some of whole buffers; the seed repeats them.
        case random(seed: UInt64)
        /// Every byte by itself.
        case singleBytes
    }

    /// The port to connect to.
    public let port: UInt16
    private let listener: Int32
    private let cut: Cut

    /// Starts to pass connections on to `target`, a port of this host.
    public init(to target: UInt16, cut: Cut) {
        self.cut = cut
        listener = Self.socket()
        var address = Self.loopback(port: 0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        port = withUnsafeMutablePointer(to: &address) { [listener] address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                precondition(bind(listener, address, size) == 0 && listen(listener, 16) == 0)
                getsockname(listener, address, &size)
            }
            return UInt16(bigEndian: address.pointee.sin_port)
        }
        Thread.detachNewThread { [listener, cut] in
            while case let incoming = accept(listener, nil, nil), incoming >= 0 {
                Self.connect(incoming, to: target, cut)
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func connect(_ incoming: Int32, to target: UInt16, _ cut: Cut) {
        let outgoing = socket()
        var address = loopback(port: target)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #if canImport(Glibc)
                    Glibc.connect(outgoing, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                #else
                    Darwin.connect(outgoing, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                #endif
            }
        }
        guard status == 0 else {
            close(incoming)
            close(outgoing)
            return
        }
        setNoDelay(incoming)
        setNoDelay(outgoing)
        // The one that ends last closes both.
        let open = Countdown(2) {
            close(incoming)
            close(outgoing)
        }
        for (from, to) in [(incoming, outgoing), (outgoing, incoming)] {
            Thread.detachNewThread {
                pump(from, to, cut)
                shutdown(to, Int32(SHUT_WR))
                open.down()
            }
        }
    }

    private static func pump(_ from: Int32, _ to: Int32, _ cut: Cut) {
        var random = Pieces(cut)
        var buffer = [UInt8](repeating: 0, count: 256 * 1024)
        while case let count = recv(from, &buffer, min(buffer.count, random.next()), 0), count > 0 {
            var sent = 0
            while sent < count {
                let piece = min(random.next(), count - sent)
                let written = buffer.withUnsafeBytes {
                    send(to, $0.baseAddress! + sent, piece, Int32(MSG_NOSIGNAL))
                }
                guard written > 0 else { return }
                sent += written
            }
        }
    }

    /// Sizes of pieces.
    private struct Pieces {
        private var state: UInt64
        private let isSingle: Bool

        init(_ cut: Cut) {
            switch cut {
            case .random(let seed): (state, isSingle) = (seed | 1, false)
            case .singleBytes: (state, isSingle) = (1, true)
            }
        }

        mutating func next() -> Int {
            guard !isSingle else { return 1 }
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            // Up to 2^18, every power of two as likely as the next; one in eight is down to a few bytes.
            let bits = Int(state >> 8 & 7) == 0 ? Int(state >> 16 & 3) : 10 + Int(state >> 16 & 7)
            return max(1, Int(state >> 32) & ((1 << bits) - 1))
        }
    }

    private static func socket() -> Int32 {
        #if canImport(Glibc)
            Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
            Darwin.socket(AF_INET, SOCK_STREAM, 0)
        #endif
    }

    private static func loopback(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return address
    }

    private static func setNoDelay(_ descriptor: Int32) {
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }
}

/// Calls `action` when it was counted down to zero.
private final class Countdown: @unchecked Sendable {
    private let lock = NSLock()
    private var count: Int
    private let action: @Sendable () -> Void

    init(_ count: Int, _ action: @escaping @Sendable () -> Void) {
        self.count = count
        self.action = action
    }

    func down() {
        let isZero = lock.withLock {
            count -= 1
            return count == 0
        }
        if isZero { action() }
    }
}
