import Foundation

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// A TCP proxy on loopback that disturbs its connections as networks do. As its ``FaultPlan`` says, it moves
/// boundaries, delays, stalls, corrupts, cuts, resets and vanishes. It runs on one thread of its own.
public final class FaultProxy: Sendable {
    /// The port to connect to.
    public let port: UInt16
    private let shared: Shared

    /// Starts to forward connections to `target`, a port of this host.
    public init(to target: UInt16, _ plan: FaultPlan) {
        let (listener, port) = Sockets.listener()
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "no descriptors for a proxy")
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        self.port = port
        shared = Shared(target: target, wakeUp: ends[1])
        Thread.detachNewThread { [shared, sleeper = ends[0]] in
            var loop = ProxyLoop(listener: listener, wakeUp: sleeper, plan, shared)
            loop.run()
        }
    }

    deinit { close() }

    /// Sets the target of later connections: a restarted target may have another port.
    public func setTarget(_ port: UInt16) { shared.withState { $0.target = port } }

    /// The number of injected faults of each kind.
    public var faults: [Fault.Kind: Int] { shared.withState { $0.faults } }

    /// Bytes that were corrupted.
    public struct Corruptions: Sendable {
        // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
        public var bytes = 0
        /// The connections that they belong to.
        public var connections = 0
        /// The longest time from the first corrupted byte of a connection to its end.
        public var longest = Duration.zero

        /// None.
        public init() {}

        /// Adds those of another proxy.
        public mutating func add(_ others: Corruptions) {
            bytes += others.bytes
            connections += others.connections
            longest = max(longest, others.longest)
        }
    }

    /// The corrupted bytes of all connections that are over; of all there were after ``close()``.
    public var corruptions: Corruptions { shared.withState { $0.corruptions } }

    /// Stops listening, resets every connection, and returns when no descriptor is left. Idempotent.
    public func close() { shared.stop() }
}

/// The state that the proxy shares with other threads.
private final class Shared: @unchecked Sendable {
    struct State {
        var target: UInt16
        var faults: [Fault.Kind: Int] = [:]
        var corruptions = FaultProxy.Corruptions()
        var isStopping = false
        var isOver = false
    }

    private let condition = NSCondition()
    private var state: State
    private let wakeUp: Int32

    init(target: UInt16, wakeUp: Int32) {
        state = State(target: target)
        self.wakeUp = wakeUp
    }

    func withState<Result>(_ body: (inout State) -> Result) -> Result { condition.withLock { body(&state) } }

    func stop() {
        condition.withLock {
            if !state.isStopping {
                state.isStopping = true
                // Closing one end of a pipe wakes a poll of the other end.
                close(wakeUp)
            }
            while !state.isOver { condition.wait() }
        }
    }

    func ended() {
        condition.withLock {
            state.isOver = true
            condition.broadcast()
        }
    }
}

/// The proxy's thread.
private struct ProxyLoop {
    let listener: Int32
    let wakeUp: Int32
    let plan: FaultPlan
    let shared: Shared
    var connections: [ProxiedConnection] = []
    var accepted = 0

    init(listener: Int32, wakeUp: Int32, _ plan: FaultPlan, _ shared: Shared) {
        self.listener = listener
        self.wakeUp = wakeUp
        self.plan = plan
        self.shared = shared
    }

    mutating func run() {
        while !shared.withState({ $0.isStopping }) {
            var polls = [wakeUp, listener].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            var wakesAt: ContinuousClock.Instant?
            let now = ContinuousClock.now
            for connection in connections {
                let interests = connection.interests(at: now)
                polls += interests.polls
                if let instant = interests.wakesAt { wakesAt = min(wakesAt ?? instant, instant) }
            }
            let timeout = wakesAt.map { Int32(min(now.duration(to: $0) / .milliseconds(1), 1e6)) + 1 } ?? -1
            poll(&polls, nfds_t(polls.count), timeout)
            let later = ContinuousClock.now
            for (index, connection) in connections.enumerated() {
                connection.proceed(polls[(2 + 2 * index)..<(4 + 2 * index)], at: later)
            }
            for connection in connections where connection.isOver { count(connection.corruption) }
            connections.removeAll { $0.isOver }
            if polls[1].revents != 0 { accept() }
        }
        for connection in connections {
            connection.reset()
            count(connection.corruption)
        }
        close(listener)
        close(wakeUp)
        shared.ended()
    }

    private func count(_ corruption: ProxiedConnection.Corruption?) {
        guard let corruption else { return }
        var new = FaultProxy.Corruptions()
        new.bytes = corruption.bytes
        new.connections = 1
        new.longest = corruption.began.duration(to: .now)
        shared.withState { $0.corruptions.add(new) }
    }

    private mutating func accept() {
        while let incoming = Sockets.accept(from: listener) {
            let number = accepted
            accepted += 1
            guard let outgoing = Sockets.connect(to: shared.withState({ $0.target })) else {
                Sockets.reset(incoming)
                continue
            }
            connections.append(
                ProxiedConnection(incoming: incoming, outgoing: outgoing, plan, number: number) {
                    [shared] fault in
                    shared.withState { $0.faults[fault.kind, default: 0] += 1 }
                }
            )
        }
    }
}
