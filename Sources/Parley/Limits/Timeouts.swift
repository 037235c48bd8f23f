/// Time-outs of a transport and its peers. Nil, where a time-out is optional, means no limit.
///
/// None of them costs anything for each message. All of them work while nothing is read from a peer.
public struct Timeouts: Sendable, Hashable {
    /// How long a dial may take, from looking up the name to the connection.
    public var dial: Duration = .seconds(30)

    /// How long the handshake and `onPeer` together may take. On a connection with many streams, also how
    /// long the two sides may take to agree on the protocol of a stream, which is reset otherwise.
    public var handshake: Duration = .seconds(10)

    /// How long a peer may neither send nor be sent anything, heartbeats aside. It is then dropped (`idle`).
    public var idle: Duration?

    /// How long an open stream may go without a byte being read. The peer is then dropped (`timedOut`), also
    /// when its sender has sent nothing meanwhile. On a connection with many streams, one whose opening or
    /// whose bytes nobody takes for that long is reset alone.
    public var streamIdle: Duration? = .seconds(60)

    /// How long a frame, or a stream's header, may make no progress after it has begun. When fewer than
    /// ``leastBytesPerSecond`` of it arrive on average over this time, the peer is dropped (`timedOut`). Time
    /// in which this side does not read from the peer does not count. Detection takes up to 1.25 times this
    /// long. On a connection with many streams, a header that makes no progress ends its stream alone.
    public var frame: Duration? = .seconds(30)

    /// The slowest progress of an unfinished frame, averaged over ``frame``, and of what was sent, averaged
    /// over ``writeStall``, in bytes a second; at least 0. At 0, one byte in that time is enough.
    public var leastBytesPerSecond = 128

    /// How long a send may wait for room while the other side does not take what was sent. It then throws
    /// `timedOut`. The peer is kept: see ``writeStall``. Waiting for a turn behind a stream does not count.
    public var write: Duration? = .seconds(60)

    /// How long a peer's system may acknowledge fewer than ``leastBytesPerSecond`` of what was sent, on
    /// average. The peer is then dropped (`writeStalled`): it vanished or hardly reads. Detection takes up to
    /// 1.25 times this long.
    public var writeStall: Duration? = .seconds(120)

    /// How long closing may take to write out what was sent. In multiplexed and libp2p it also waits, within
    /// this time, until the other side has read that, which does not mean that its program has.
    public var close: Duration = .seconds(5)

    /// The pings that check whether a peer is there, in the wire forms that have them:
    /// ``WireForm/framed``, ``WireForm/multiplexed`` and ``WireForm/libp2p``. Nil sends none.
    public var heartbeat: Heartbeat?

    /// The defaults.
    public init() {}
}

/// When pings are sent, and how many may go unanswered before the peer is dropped.
///
/// Anything that arrives counts as an answer. ``PeerStatistics/roundTripTime`` holds the round-trip time.
public struct Heartbeat: Sendable, Hashable {
    /// The time between two pings; at least 10 ms.
    public var interval: Duration
    /// The peer is dropped (`heartbeatLost`) after this many pings without an answer; at least 1.
    public var maxMissed: Int

    /// A ping every 30 seconds; the peer is dropped after three without an answer.
    public init(interval: Duration = .seconds(30), maxMissed: Int = 3) {
        self.interval = interval
        self.maxMissed = maxMissed
    }
}
