public import Logging

/// TCP keep-alive probes, as in tcp(7): the defaults are those of Go's listener and dialer.
public struct KeepAlive: Sendable {
    /// How long a connection is silent before the first probe; whole seconds.
    public var idle: Duration
    /// The time between probes; whole seconds.
    public var interval: Duration
    /// How many probes go unanswered before the connection is `timedOut`.
    public var count: Int

    /// 15 seconds of silence, then 9 probes 15 seconds apart.
    public init(idle: Duration = .seconds(15), interval: Duration = .seconds(15), count: Int = 9) {
        self.idle = idle
        self.interval = interval
        self.count = count
    }
}

/// Everything that can be chosen about a transport. Each option has a default that is safe to leave.
public struct TransportOptions: Sendable {
    /// Where to listen: `host:port` as in Go. `:3000` is every interface, IPv6 and IPv4; port 0 lets the system
    /// choose one.
    public var listenAddress: String

    /// Greets each new peer before its messages are decoded; nil is ``nopHandshake``.
    public var handshake: HandshakeFunc?

    /// The wire form. Both ends of a connection must use the same one.
    public var decoder: WireForm

    /// Called once for each peer when its handshake is done and before its first RPC is delivered, in a task of
    /// its own. Throwing refuses the peer. It is bounded, together with the handshake, by ``handshakeTimeout``.
    public var onPeer: (@Sendable (any Peer) async throws -> Void)?

    /// Called exactly once for each connection that got as far as the handshake, when it is closed, in a task of
    /// its own, with the reason: `endOfStream` when the other side closed, `closed` when this one did, or what went
    /// wrong. When `onPeer` is still running, it waits for it.
    public var onDisconnect: (@Sendable (any Peer, ParleyError) async -> Void)?

    /// Which of two connections with the same node stays; nil keeps them all. See ``DuplicateRule``.
    public var duplicates: DuplicateRule?

    /// Who may connect at all; nil is everyone. See ``Gate``.
    public var gate: Gate?

    /// How many peers there may be, and how much memory they may take; see ``Limits``.
    public var limits = Limits()

    /// How many RPCs may wait for a consumer before the peers that send more are not read any further. Each of several
    /// ``loops`` has its part of it, at least one.
    public var inboxCapacity = 1_024

    /// How many bytes of payload may wait for a consumer, alike; one RPC, of each loop, may exceed it.
    public var inboxCapacityBytes = 64 << 20

    /// How long things may take; see ``Timeouts``.
    public var timeouts = Timeouts()

    /// How the kernel finds out that a silent peer is gone; nil leaves it to find out when something is sent.
    public var keepAlive: KeepAlive? = KeepAlive()

    /// From this many unwritten bytes of one peer on, sends to it suspend; at least 1.
    public var sendHighWaterBytes = 1 << 20 { didSet { sendHighWaterBytes = max(1, sendHighWaterBytes) } }

    /// At this many unwritten bytes, suspended sends go on; at least 0.
    public var sendLowWaterBytes = 1 << 18 { didSet { sendLowWaterBytes = max(0, sendLowWaterBytes) } }

    /// How many event loops, each with a thread, share the work, 1 to 256. More than one makes sense for a node whose
    /// many busy peers keep one core from keeping up: then one for each core.
    ///
    /// Each peer stays on the loop that it was given to when it came, the one that had the fewest: whatever is told or
    /// delivered of one peer keeps its order, but what concerns different peers happens at the same time. The limits are
    /// those of the whole transport, but for the inbox's, of which each loop has its part. An ``InMemoryTransport`` has one
    /// loop in any case.
    public var loops = 1 {
        didSet { loops = min(max(Self.loopCounts.lowerBound, loops), Self.loopCounts.upperBound) }
    }

    /// What ``loops`` may be: anything else becomes what is nearest.
    package static let loopCounts = 1...256

    /// How long a loop polls without blocking after the last thing that happened on it; nil, or zero, blocks at once.
    ///
    /// It trades a core for time: waking a thread that sleeps takes longer than a whole round trip between two that do not.
    /// 50 microseconds are enough for a peer that answers at once. Between polls it gives the core to others (sched_yield),
    /// and sends from other threads need not wake it. A node with nothing to do blocks as ever.
    public var busyPoll: Duration?

    /// Where the transport logs; nowhere by default. The library never prints.
    public var logger = Logger(label: "parley") { _ in SwiftLogNoOpLogHandler() }

    /// The defaults, with the three choices that most programs make.
    public init(
        listenAddress: String = ":0",
        decoder: WireForm = .default,
        onPeer: (@Sendable (any Peer) async throws -> Void)? = nil
    ) {
        self.listenAddress = listenAddress
        self.decoder = decoder
        self.onPeer = onPeer
    }
}

/// The same as in ``TransportOptions/timeouts``.
extension TransportOptions {
    /// How long a dial may take from looking up the name to the connection: ``Timeouts/dial``.
    public var dialTimeout: Duration {
        get { timeouts.dial }
        set { timeouts.dial = newValue }
    }

    /// How long the handshake and `onPeer` may take together: ``Timeouts/handshake``.
    public var handshakeTimeout: Duration {
        get { timeouts.handshake }
        set { timeouts.handshake = newValue }
    }

    /// How long an open stream may go without a byte being read; the peer is then dropped: ``Timeouts/streamIdle``.
    public var streamIdleTimeout: Duration? {
        get { timeouts.streamIdle }
        set { timeouts.streamIdle = newValue }
    }

    /// How long a send may wait for room before it throws `timedOut`: ``Timeouts/write``.
    public var writeTimeout: Duration? {
        get { timeouts.write }
        set { timeouts.write = newValue }
    }

    /// How long closing may take to write out what was sent: ``Timeouts/close``.
    public var closeTimeout: Duration {
        get { timeouts.close }
        set { timeouts.close = newValue }
    }
}
