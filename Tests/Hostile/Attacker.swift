import CLinux
import FaultProxy
import Foundation
import Gauges

#if canImport(Glibc)
    import Glibc
#endif

/// The other process: every kind of bad peer, on raw sockets and one thread.
///
/// It connects from many addresses of the loopback network and ends with resets: no connection leaves a port
/// in TIME_WAIT, so a million of them do not run out of ports.
struct Attacker {
    private struct Socket {
        var campaign: Int
        var output: ArraySlice<UInt8>
        var trickle: ArraySlice<UInt8>
        var isConnected = false
        var nextByteAt: Double = 0
        /// When it is reset at the latest.
        var endsAt: Double
        var resetsAtOnce = false
        /// Who talks to a secured node.
        var stranger: Stranger?
        /// Who talks to a multiplexed node.
        var streams: StreamAttack?
    }

    private var campaigns: [Campaign] = []
    private var port: UInt16 = 0
    private var made: [Int] = []
    private var open: [Int] = []
    /// When each campaign may connect again.
    private var mayConnectAt: [Double] = []
    private var sockets: [Int32: Socket] = [:]
    private var report = AttackReport()
    private var isStopped = false
    private var strangers: Strangers?
    private var random = SeededGenerator(seed: 1)
    private let poll = epoll_create1(0)
    private let started = ContinuousClock.now

    private static let standardInput: Int32 = 0
    private static let scanInterval = 0.02
    private static let fewestStrangers = 16
    /// How long an attack goes on after its time until there is enough to judge.
    private static let longestExtraSeconds = 20.0
    /// Where even a million connections take longer, there is no use in making them all.
    private static let longestSeconds = 600.0

    private var now: Double { seconds(since: started) }

    /// Does what standard input says, a line for each attack, and answers each with a line; until it ends.
    static func serve() {
        _ = pin(toCore: 1)
        // The good peers are there too, and shall not wait for the attacker.
        nice(19)
        var attacker = Attacker()
        while let order = RoleProcess.readOrder(AttackOrder.self) {
            RoleProcess.answer(attacker.run(order))
        }
    }

    /// Runs a campaign until all its connections are made, or several for a time; then resets what is left.
    /// Whatever comes on standard input stops it.
    private mutating func run(_ order: AttackOrder) -> AttackReport {
        campaigns = order.behaviours.map { Campaign($0, connections: order.connections) }
        port = order.port
        made = campaigns.map { _ in 0 }
        open = made
        mayConnectAt = campaigns.map { _ in 0 }
        report = AttackReport()
        isStopped = false
        strangers = order.unwanted.map { Strangers(unwanted: $0) }
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: Self.standardInput))
        epoll_ctl(poll, EPOLL_CTL_ADD, Self.standardInput, &event)
        let begin = now
        let end = begin + (order.seconds ?? Self.longestSeconds)
        var nextScan = begin
        while !isStopped, now < begin + Self.longestSeconds, !isDone(end) {
            for index in campaigns.indices { connectMore(index) }
            handleEvents()
            if now >= nextScan {
                nextScan = now + Self.scanInterval
                scan()
            }
        }
        epoll_ctl(poll, EPOLL_CTL_DEL, Self.standardInput, &event)
        report.seconds = now - begin
        report.made = made.reduce(0, +)
        report.held = sockets.count
        for descriptor in sockets.keys.sorted() { drop(descriptor) }
        return report
    }

    private func isDone(_ end: Double) -> Bool {
        guard campaigns.count == 1, campaigns[0].isCounted else {
            return now >= end && (isEnough || now >= end + Self.longestExtraSeconds)
        }
        return made[0] >= campaigns[0].total && open[0] == 0
    }

    /// Whether enough has happened to be judged. On a busy machine that takes longer than the attack.
    private var isEnough: Bool {
        let behaviours = campaigns.map(\.behaviour)
        switch behaviours[0].aim {
        case .plain: return behaviours != [.partial] || report.dropped > 0
        case .secured:
            return report.dropped >= Self.fewestStrangers
                || behaviours == [.first] && report.answered >= Self.fewestStrangers
        case .multiplexed:
            guard behaviours.contains(where: { $0.fate == .dropped }) else { return !sockets.isEmpty }
            // More than there are at a time: all of these may have greeted too late.
            let atATime = campaigns.reduce(0) { $0 + $1.concurrency }
            return report.dropped > min(Self.fewestStrangers, atATime)
        }
    }

    private mutating func connectMore(_ index: Int) {
        var budget = 64
        let campaign = campaigns[index]
        while budget > 0, made[index] < campaign.total, open[index] < campaign.concurrency,
            now >= mayConnectAt[index]
        {
            budget -= 1
            mayConnectAt[index] = now + campaign.interval
            connectOne(index)
        }
    }

    private mutating func connectOne(_ index: Int) {
        let campaign = campaigns[index]
        guard let descriptor = AttackSocket.make(receiveBufferBytes: campaign.receiveBufferBytes) else {
            return
        }
        // 127.0.1.1 and up: nobody else's connections come from there.
        let source = 0x7f00_0101 + UInt32.random(in: 0..<200, using: &random)
        made[index] += 1
        guard AttackSocket.connect(descriptor, from: source, to: port) else {
            report.failed += 1
            close(descriptor)
            return
        }
        let stranger = strangers?.make(campaign.behaviour, &random)
        let streams =
            campaign.behaviour.aim == .multiplexed
            ? StreamAttack(campaign.behaviour, random.next(), strangers?.makeHonestSession()) : nil
        let opening = stranger?.opening() ?? streams?.opening() ?? campaign.opening(&random)
        var socket = Socket(
            campaign: index,
            output: opening[...],
            trickle: campaign.trickle,
            endsAt: now + campaign.lifetime
        )
        socket.resetsAtOnce = campaign.behaviour == .random && random.oneIn(2)
        socket.stranger = stranger
        socket.streams = streams
        var event = epoll_event(
            events: isDeaf(socket) ? EPOLLOUT.rawValue : EPOLLIN.rawValue | EPOLLOUT.rawValue,
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
            if descriptor == Self.standardInput {
                isStopped = true
            } else if isOver(descriptor, event.events) {
                lose(descriptor)
            } else if event.events & EPOLLOUT.rawValue != 0 {
                write(descriptor)
            }
        }
    }

    private mutating func isOver(_ descriptor: Int32, _ events: UInt32) -> Bool {
        guard let socket = sockets[descriptor] else { return false }
        let isEnding = events & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0
        if isDeaf(socket) { return isEnding }
        guard isEnding || events & EPOLLIN.rawValue != 0 else { return false }
        if let stranger = socket.stranger { return !hear(descriptor, stranger) }
        guard let streams = socket.streams else { return !AttackSocket.read(descriptor, atMost: 1_024) }
        guard !streams.isOpen else { return !AttackSocket.read(descriptor, atMost: 65_536) }
        return !hear(descriptor, streams)
    }

    private func isDeaf(_ socket: Socket) -> Bool {
        campaigns[socket.campaign].isDeaf && socket.streams?.isOpen ?? true
    }

    /// The handshake goes on, and then the attack begins.
    ///
    /// - Returns: false when the connection is over.
    private mutating func hear(_ descriptor: Int32, _ streams: StreamAttack) -> Bool {
        guard let bytes = AttackSocket.receive(descriptor, atMost: 1_024) else { return false }
        let answer = streams.hear(bytes)
        guard !answer.isEmpty, var socket = sockets[descriptor] else { return true }
        socket.output += answer
        sockets[descriptor] = socket
        watch(descriptor, for: isDeaf(socket) ? EPOLLOUT.rawValue : EPOLLIN.rawValue | EPOLLOUT.rawValue)
        return true
    }

    /// Lets a stranger answer what has arrived.
    ///
    /// - Returns: false when the connection is over.
    private mutating func hear(_ descriptor: Int32, _ stranger: Stranger) -> Bool {
        guard let bytes = AttackSocket.receive(descriptor, atMost: 1_024) else { return false }
        let wasAnswered = stranger.isAnswered
        let answer = stranger.hear(bytes)
        if stranger.isAnswered, !wasAnswered { report.answered += 1 }
        if stranger.leaves { drop(descriptor) }
        guard !answer.isEmpty else { return true }
        sockets[descriptor]?.output += answer
        watch(descriptor, for: EPOLLIN.rawValue | EPOLLOUT.rawValue)
        return true
    }

    private func watch(_ descriptor: Int32, for events: UInt32) {
        var event = epoll_event(events: events, data: epoll_data_t(fd: descriptor))
        epoll_ctl(poll, EPOLL_CTL_MOD, descriptor, &event)
    }

    /// The node has ended a connection.
    private mutating func lose(_ descriptor: Int32) {
        guard let socket = sockets[descriptor] else { return }
        if socket.isConnected { report.dropped += 1 } else { report.failed += 1 }
        drop(descriptor)
    }

    private mutating func write(_ descriptor: Int32) {
        guard var socket = sockets[descriptor] else { return }
        socket.isConnected = true
        let behaviour = campaigns[socket.campaign].behaviour
        while !socket.output.isEmpty {
            let sent = AttackSocket.send(socket.output, on: descriptor)
            guard sent > 0 else { break }
            report.sentBytes += sent
            socket.output.removeFirst(sent)
            if socket.output.isEmpty, behaviour == .tiny { socket.output = Campaign.tinyFrames[...] }
        }
        // One more piece a turn, so that all of them have their turn.
        if socket.output.isEmpty, let streams = socket.streams { socket.output = streams.more()[...] }
        sockets[descriptor] = socket
        guard socket.output.isEmpty else { return }
        if socket.resetsAtOnce { return drop(descriptor) }
        if socket.stranger?.ends == true { AttackSocket.finish(descriptor) }
        // Whoever sips looks at what has arrived when it is time to, and not when there is some.
        watch(descriptor, for: isDeaf(socket) ? 0 : EPOLLIN.rawValue)
    }

    /// Slow ones say another byte, and sip one; those that have waited long enough are reset.
    private mutating func scan() {
        let now = now
        for (descriptor, socket) in sockets where socket.isConnected || socket.endsAt <= now {
            if socket.endsAt <= now {
                drop(descriptor)
            } else if campaigns[socket.campaign].behaviour == .sip {
                if !AttackSocket.read(descriptor, atMost: 1) { lose(descriptor) }
            } else if socket.output.isEmpty, socket.nextByteAt <= now, let byte = socket.trickle.first {
                _ = AttackSocket.send([byte], on: descriptor)
                sockets[descriptor]?.trickle.removeFirst()
                sockets[descriptor]?.nextByteAt = now + 1
            }
        }
    }

    /// Resets a connection.
    private mutating func drop(_ descriptor: Int32) {
        guard let socket = sockets.removeValue(forKey: descriptor) else { return }
        open[socket.campaign] -= 1
        close(descriptor)
    }
}
