public import Logging

/// TCP keep-alive probes, as in tcp(7): the defaults are those of Go's listener and dialer.
public struct KeepAlive: Sendable {
    /// How long a connection is silent before the first probe, in whole seconds: 1 s to 32,767 s.
    public var idle: Duration
    /// The time between probes, in whole seconds: 1 s to 32,767 s.
    public var interval: Duration
    /// How many probes go unanswered before the connection ends with `timedOut`: 1 to 127.
    public var count: Int

    /// 15 seconds of silence, then 9 probes 15 seconds apart.
    public init(idle: Duration = .seconds(15), interval: Duration = .seconds(15), count: Int = 9) {
        self.idle = idle
        self.interval = interval
        self.count = count
    }
}

/// The options of a transport. Every option has a safe default.
///
/// An option that is out of its range is refused: ``validate()`` throws `invalidArgument`, and so
/// do ``Transport/listenAndAccept()``, ``Transport/dial(_:)`` and `keepConnected` of a transport that has it.
public struct TransportOptions: Sendable {
    /// Where to listen: `host:port` as in Go. `:3000` is every interface, IPv6 and IPv4. Port 0 lets the
    /// system choose a port.
    public var listenAddress: String

    /// The handshake with each new peer, before its messages are decoded; nil is ``nopHandshake``.
    public var handshake: HandshakeFunc?

    /// The wire form; ``WireForm/framed`` by default. Both ends of a connection must use the same one. A node
    /// of the reference speaks ``WireForm/unframed``.
    public var decoder: WireForm

    /// Called once for each peer, when its handshake is done and before its first RPC is delivered, in a task
    /// of its own. Throwing refuses the peer. ``handshakeTimeout`` bounds the handshake and `onPeer`
    /// together. Nothing of the peer is delivered before this returns, not even the answer to a request, so
    /// requests belong in another task.
    public var onPeer: (@Sendable (any Peer) async throws -> Void)?

    /// Called exactly once for each connection that passed the gates by address, also when it failed before
    /// ``onPeer`` was called for it: when it is closed, in a task of its own. It gets the reason:
    /// `endOfStream` when the other side closed, `closed` when this side did, otherwise the failure. While
    /// `onPeer` runs, the call waits for it, for at most ``handshakeTimeout``. A
    /// connection for which `onPeer` was not called, such as a refused duplicate, may be with a node that is
    /// still connected by another one.
    public var onDisconnect: (@Sendable (any Peer, ParleyError) async -> Void)?

    /// How links are secured: not at all, or with the Noise protocol of the product ParleyNoise. Both sides
    /// of a connection must use the same.
    ///
    /// It comes after ``gate`` and before ``handshake``, and ``handshakeTimeout`` bounds it together with
    /// that. A node without security never gets as far as the handshake with one that has it.
    public var security = Security.none

    /// Which of two connections with the same node stays; nil keeps them all. See ``DuplicateRule``.
    public var duplicates: DuplicateRule?

    /// Decides by address which connections are allowed; nil allows all. See ``Gate``.
    public var gate: Gate?

    /// How many peers there may be and how much memory they may take; see ``Limits``.
    public var limits = Limits()

    /// How many RPCs may wait for a consumer. Peers that send more are not read until half of it is free.
    /// Several ``loops`` divide it, at least one RPC for each loop.
    public var inboxCapacity = 1_024

    /// How many bytes of payload may wait for a consumer. Peers that send more are not read until half of it
    /// is free. Several ``loops`` divide it. One RPC of each loop may exceed it.
    public var inboxCapacityBytes = 64 << 20

    /// The time-outs; see ``Timeouts``.
    public var timeouts = Timeouts()

    /// How the kernel detects that a silent peer is gone; nil sends no probes, so that only a send detects
    /// it.
    public var keepAlive: KeepAlive? = KeepAlive()

    /// The high-water mark: sends to a peer suspend while it has this many unwritten bytes; at least 1.
    public var sendHighWaterBytes = 1 << 20

    /// The low-water mark: suspended sends resume at this many unwritten bytes; at most
    /// ``sendHighWaterBytes``. Unless it is set it is 256 KiB, or a quarter of ``sendHighWaterBytes`` if that
    /// is less.
    public var sendLowWaterBytes: Int {
        get { givenLowWaterBytes ?? min(1 << 18, sendHighWaterBytes / 4) }
        set { givenLowWaterBytes = newValue }
    }
    private var givenLowWaterBytes: Int?

    /// How many event loops, each with its own thread, share the work: 1 to 256. Use one for each core when
    /// the peers keep more than one core busy.
    ///
    /// A new peer goes to the loop with the fewest peers and stays there. Events and RPCs of one peer keep
    /// their order; those of different peers may be concurrent. Limits apply to the whole transport, except
    /// the inbox's, which the loops divide. An ``InMemoryTransport`` always has one loop.
    public var loops = 1

    /// How long a loop polls without blocking after its last event; nil or zero blocks at once.
    ///
    /// Polling trades processor time for latency: waking a sleeping thread takes longer than a round trip
    /// between two running threads. 50 microseconds are enough for a peer that answers at once. Between polls
    /// the loop yields the core (sched_yield). Sends from other threads need not wake a polling loop. An idle
    /// node blocks.
    public var busyPoll: Duration?

    /// How many events of peers the inbox may hold before new peers are refused; 0 puts no events there.
    package var peerEventCapacity = 0

    /// Where the transport logs. The default discards everything. The library never prints.
    public var logger = Logger(label: "parley") { _ in SwiftLogNoOpLogHandler() }

    /// The defaults, with the three options that most programs set.
    public init(
        listenAddress: String = ":0",
        decoder: WireForm = .framed,
        onPeer: (@Sendable (any Peer) async throws -> Void)? = nil
    ) {
        self.listenAddress = listenAddress
        self.decoder = decoder
        self.onPeer = onPeer
    }
}

/// Shorthands for the time-outs in ``TransportOptions/timeouts``.
extension TransportOptions {
    /// How long a dial may take, from looking up the name to the connection: ``Timeouts/dial``.
    public var dialTimeout: Duration {
        get { timeouts.dial }
        set { timeouts.dial = newValue }
    }

    /// How long the handshake and `onPeer` may take together: ``Timeouts/handshake``.
    public var handshakeTimeout: Duration {
        get { timeouts.handshake }
        set { timeouts.handshake = newValue }
    }

    /// How long an open stream may go without a byte being read: ``Timeouts/streamIdle``.
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
