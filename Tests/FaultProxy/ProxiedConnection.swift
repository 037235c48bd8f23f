import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Two connected sockets and the bytes between them. The proxy's thread only.
final class ProxiedConnection {
    typealias Instant = ContinuousClock.Instant

    /// One direction: the bytes that were read and not written, and its faults.
    private struct Way {
        var schedule: FaultSchedule
        /// The bytes that were read; those from `taken` on are not forwarded yet.
        var bytes: [UInt8] = []
        var taken = 0
        /// The number of bytes forwarded so far.
        var passed = 0
        /// The bytes left of the current piece.
        var pieceLeft = 0
        var resumesAt: Instant?
        /// The direction waits for this many bytes, until `resumesAt` at the latest.
        var wantedBytes = 0
        var hasSeenEnd = false
        var hasEnded = false

        var waiting: Int { bytes.count - taken }

        func isHeld(at now: Instant) -> Bool {
            guard let resumesAt, now < resumesAt else { return false }
            return wantedBytes == 0 || waiting < wantedBytes && !hasSeenEnd
        }
    }

    private enum Phase { case connecting, open, cut, vanished }

    /// The sockets of the connecting side and of the target's side.
    private let sockets: [Int32]
    private var ways: [Way]
    private var phase = Phase.connecting
    private var stalledUntil: Instant?
    private let count: (Fault) -> Void
    private(set) var isOver = false
    /// What was corrupted; nil when nothing was.
    private(set) var corruption: Corruption?

    struct Corruption {
        var began: Instant
        var bytes = 0
    }

    private static let bufferBytes = 256 * 1024
    private static let readBytes = 64 * 1024

    init(
        incoming: Int32,
        outgoing: Int32,
        _ plan: FaultPlan,
        number: Int,
        count: @escaping (Fault) -> Void
    ) {
        sockets = [incoming, outgoing]
        ways = Direction.allCases.map {
            Way(schedule: FaultSchedule(plan, connection: number, direction: $0))
        }
        self.count = count
    }

    /// What to poll for now, and when to continue even if nothing happens.
    func interests(at now: Instant) -> (polls: [pollfd], wakesAt: Instant?) {
        var events: [Int16] = [0, 0]
        var wakesAt = stalledUntil.flatMap { $0 > now ? $0 : nil }
        let isStalled = wakesAt != nil
        switch phase {
        case .connecting: events[1] = Int16(POLLOUT)
        case .cut, .vanished: for way in 0...1 where !ways[way].hasSeenEnd { events[way] = Int16(POLLIN) }
        case .open:
            for way in 0...1 {
                if !ways[way].hasSeenEnd, ways[way].waiting < Self.bufferBytes {
                    events[way] |= Int16(POLLIN)
                }
                guard ways[way].waiting > 0, !isStalled else { continue }
                if ways[way].isHeld(at: now) {
                    wakesAt = min(wakesAt ?? ways[way].resumesAt!, ways[way].resumesAt!)
                } else {
                    events[1 - way] |= Int16(POLLOUT)
                }
            }
        }
        // A socket without events of interest is left out: poll would report its hang-up again and again.
        let polls = (0...1).map {
            pollfd(fd: events[$0] == 0 ? -1 : sockets[$0], events: events[$0], revents: 0)
        }
        return (polls, wakesAt)
    }

    /// Reads and writes what is possible without blocking, and injects the faults that are due.
    func proceed(_ polls: ArraySlice<pollfd>, at now: Instant) {
        let happened = polls.map(\.revents)
        if phase == .connecting {
            guard happened[1] != 0 else { return }
            guard Sockets.failure(of: sockets[1]) == 0 else { return reset() }
            phase = .open
        }
        for way in 0...1 where !isOver && happened[way] & Int16(POLLIN | POLLHUP | POLLERR) != 0 { read(way) }
        for way in 0...1 where !isOver && phase == .open { write(way, at: now) }
        if phase != .open, phase != .connecting, ways.allSatisfy(\.hasSeenEnd) { close() }
        if ways.allSatisfy(\.hasEnded) { close() }
    }

    private func read(_ way: Int) {
        guard !ways[way].hasSeenEnd, ways[way].waiting < Self.bufferBytes else { return }
        ways[way].bytes.removeFirst(ways[way].taken)
        ways[way].taken = 0
        var failure: Int32 = 0
        let room = min(Self.readBytes, Self.bufferBytes - ways[way].bytes.count)
        let block = [UInt8](unsafeUninitializedCapacity: room) { buffer, initialized in
            let received = recv(sockets[way], buffer.baseAddress, room, 0)
            if received < 0 { failure = errno }
            if received == 0 { ways[way].hasSeenEnd = true }
            initialized = max(0, received)
        }
        if phase == .open { ways[way].bytes += block }
        guard failure != 0, failure != EAGAIN, failure != EINTR else { return }
        // A reset is forwarded, unless the connection has vanished.
        if phase == .vanished { ways[way].hasSeenEnd = true } else { reset() }
    }

    private func write(_ way: Int, at now: Instant) {
        while !isOver, phase == .open, stalledUntil.map({ $0 <= now }) ?? true, !ways[way].isHeld(at: now) {
            ways[way].resumesAt = nil
            ways[way].wantedBytes = 0
            let beforeFault = ways[way].schedule.next.map { $0.offset - ways[way].passed }
            if beforeFault == 0, ways[way].waiting > 0 {
                inject(way, at: now)
                continue
            }
            guard ways[way].waiting > 0 else { return endIfSeen(way) }
            if ways[way].pieceLeft == 0 { ways[way].pieceLeft = ways[way].schedule.pieceBytes() }
            let piece = min(ways[way].waiting, ways[way].pieceLeft, beforeFault ?? .max)
            let sent = ways[way].bytes.withUnsafeBytes { [taken = ways[way].taken] in
                send(sockets[1 - way], $0.baseAddress! + taken, piece, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else {
                if errno != EAGAIN, errno != EINTR { reset() }
                return
            }
            ways[way].taken += sent
            ways[way].passed += sent
            if ways[way].pieceLeft != .max { ways[way].pieceLeft -= sent }
        }
    }

    private func inject(_ way: Int, at now: Instant) {
        guard let fault = ways[way].schedule.next?.fault else { return }
        ways[way].schedule.removeNext()
        count(fault)
        switch fault {
        // Each send call makes a segment of its own: Nagle's algorithm is off.
        case .split: ways[way].pieceLeft = 0
        case .merge(let bytes, let within):
            ways[way].wantedBytes = min(bytes, Self.bufferBytes)
            ways[way].resumesAt = now + within
        case .delay(let duration): ways[way].resumesAt = now + duration
        case .stall(let duration): stalledUntil = now + duration
        case .corrupt(let mask):
            ways[way].bytes[ways[way].taken] ^= mask
            corruption = corruption ?? Corruption(began: now)
            corruption?.bytes += 1
        case .cut:
            phase = .cut
            for socket in sockets { shutdown(socket, Int32(SHUT_WR)) }
        case .reset: reset()
        case .vanish: phase = .vanished
        }
    }

    private func endIfSeen(_ way: Int) {
        guard ways[way].hasSeenEnd, !ways[way].hasEnded else { return }
        ways[way].hasEnded = true
        shutdown(sockets[1 - way], Int32(SHUT_WR))
    }

    /// Resets both sides.
    func reset() {
        guard !isOver else { return }
        isOver = true
        for socket in sockets { Sockets.reset(socket) }
    }

    private func close() {
        guard !isOver else { return }
        isOver = true
        for socket in sockets {
            #if canImport(Glibc)
                _ = Glibc.close(socket)
            #else
                _ = Darwin.close(socket)
            #endif
        }
    }
}
