import CLinux
import FaultProxy
import Foundation
import Gauges

#if canImport(Glibc)
    import Glibc
#endif

/// The other process: every kind of bad peer, on raw sockets and one thread.
///
/// It connects from many addresses of the loopback network and ends with resets: no connection leaves a port in
/// TIME_WAIT, so a million of them do not run out of ports.
struct Attacker {
    private struct Socket {
        var descriptor: Int32
        var campaign: Int
        var output: ArraySlice<UInt8>
        var isConnected = false
        var nextByteAt: Double = 0
        /// When it is reset at the latest.
        var endsAt: Double
        var resetsAtOnce = false
    }

    private var campaigns: [Campaign] = []
    private var made: [Int] = []
    private var open: [Int] = []
    private var sockets: [Int32: Socket] = [:]
    private var dropped = 0
    private var failed = 0
    private var sentBytes = 0
    private var random = SeededGenerator(seed: 1)
    private let port: UInt16
    private let poll = epoll_create1(0)
    private let started = ContinuousClock.now

    init(port: UInt16) { self.port = port }

    /// SOCK_NONBLOCK and IP_BIND_ADDRESS_NO_PORT, which Swift's module of the C library leaves out.
    private static let nonBlocking: Int32 = 0o4000
    private static let bindAddressNoPort: Int32 = 24

    private var now: Double { seconds(since: started) }

    /// Runs a campaign until all its connections are made, or several for a time; then resets what is left.
    mutating func run(_ campaigns: [Campaign], seconds: Double) {
        self.campaigns = campaigns
        made = campaigns.map { _ in 0 }
        open = made
        (dropped, failed, sentBytes) = (0, 0, 0)
        let begin = now
        let end = begin + seconds
        say("begin " + campaigns.map(\.behaviour.rawValue).joined(separator: "+"))
        var nextScan = begin
        while true {
            let isDone = campaigns.indices.allSatisfy { index in
                campaigns[index].isCounted
                    ? made[index] >= campaigns[index].total && open[index] == 0 : now >= end
            }
            if isDone || now >= end && campaigns.count > 1 { break }
            for index in campaigns.indices { connectMore(index) }
            handleEvents()
            if now >= nextScan {
                nextScan = now + 0.02
                scan()
            }
        }
        let total = made.reduce(0, +)
        for descriptor in sockets.keys.sorted() { drop(descriptor) }
        say(
            "end \(String(format: "%.1f", now - begin)) s, \(total) connections (\(Int(Double(total) / (now - begin))) per s), "
                + "\(dropped) ended by the server, \(failed) not made, \(sentBytes >> 20) MiB sent"
        )
    }

    private mutating func connectMore(_ index: Int) {
        var budget = 64
        while budget > 0, made[index] < campaigns[index].total, open[index] < campaigns[index].concurrency {
            budget -= 1
            connectOne(index)
        }
    }

    private mutating func connectOne(_ index: Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Self.nonBlocking, 0)
        guard descriptor >= 0 else { return }
        var on: Int32 = 1
        // The port is chosen when it is known where the connection goes.
        setsockopt(descriptor, Int32(IPPROTO_IP), Self.bindAddressNoPort, &on, 4)
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size))
        // 127.0.1.1 and up: nobody else's connections come from there.
        let source = 0x7f00_0101 + UInt32.random(in: 0..<200, using: &random)
        _ = Self.withAddress(source, 0) { bind(descriptor, $0, $1) }
        let status = Self.withAddress(0x7f00_0001, port) { Glibc.connect(descriptor, $0, $1) }
        made[index] += 1
        guard status == 0 || errno == EINPROGRESS else {
            failed += 1
            close(descriptor)
            return
        }
        let behaviour = campaigns[index].behaviour
        var socket = Socket(
            descriptor: descriptor,
            campaign: index,
            output: campaigns[index].opening(&random)[...],
            endsAt: behaviour == .random ? now + 0.1 : .infinity
        )
        socket.resetsAtOnce = behaviour == .random && random.oneIn(2)
        var event = epoll_event(
            events: EPOLLIN.rawValue | EPOLLOUT.rawValue,
            data: epoll_data_t(fd: descriptor)
        )
        epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event)
        sockets[descriptor] = socket
        open[index] += 1
    }

    private mutating func handleEvents() {
        var events = [epoll_event](repeating: epoll_event(), count: 512)
        let count = epoll_wait(poll, &events, Int32(events.count), 5)
        for event in events.prefix(Int(max(0, count))) {
            let descriptor = event.data.fd
            if event.events & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0,
                !read(descriptor)
            {
                let isConnected = sockets[descriptor]?.isConnected == true
                if isConnected { dropped += 1 } else { failed += 1 }
                drop(descriptor)
                continue
            }
            if event.events & EPOLLOUT.rawValue != 0 { write(descriptor) }
        }
    }

    /// - Returns: false when the connection is over.
    private func read(_ descriptor: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 1_024)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR)
    }

    private mutating func write(_ descriptor: Int32) {
        guard var socket = sockets[descriptor] else { return }
        socket.isConnected = true
        defer { if sockets[descriptor] != nil { sockets[descriptor] = socket } }
        let behaviour = campaigns[socket.campaign].behaviour
        if behaviour == .slow {
            guard now >= socket.nextByteAt, let byte = socket.output.popFirst() else {
                return stopWriting(descriptor)
            }
            _ = send([byte], on: descriptor)
            socket.nextByteAt = now + 1
            return stopWriting(descriptor)
        }
        while !socket.output.isEmpty {
            let sent = send(socket.output, on: descriptor)
            guard sent > 0 else { return }
            sentBytes += sent
            socket.output.removeFirst(sent)
            if socket.output.isEmpty, behaviour == .tiny { socket.output = Campaign.tinyFrames[...] }
        }
        if socket.resetsAtOnce { drop(descriptor) } else { stopWriting(descriptor) }
    }

    private func send(_ bytes: ArraySlice<UInt8>, on descriptor: Int32) -> Int {
        bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    }

    private func stopWriting(_ descriptor: Int32) {
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: descriptor))
        epoll_ctl(poll, EPOLL_CTL_MOD, descriptor, &event)
    }

    /// Slow ones say another byte; those that have waited long enough are reset.
    private mutating func scan() {
        let now = now
        for (descriptor, socket) in sockets {
            if socket.endsAt <= now {
                drop(descriptor)
            } else if campaigns[socket.campaign].behaviour == .slow, socket.isConnected,
                socket.nextByteAt <= now
            {
                write(descriptor)
            }
        }
    }

    /// Resets a connection.
    private mutating func drop(_ descriptor: Int32) {
        guard let socket = sockets.removeValue(forKey: descriptor) else { return }
        open[socket.campaign] -= 1
        close(descriptor)
    }

    private static func withAddress<Result>(
        _ host: UInt32,
        _ port: UInt16,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = host.bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
