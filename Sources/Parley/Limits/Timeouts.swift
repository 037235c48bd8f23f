/// How long things may take. Nil is for ever, where it is possible. None of them costs anything for each message, and all
/// of them work while nothing is read from a peer.
public struct Timeouts: Sendable, Hashable {
    /// A dial, from looking up the name to the connection.
    public var dial: Duration = .seconds(30)

    /// The handshake and `onPeer` together.
    public var handshake: Duration = .seconds(10)

    /// A peer from which nothing comes and to which nothing goes, heartbeats aside, is dropped (`idle`).
    public var idle: Duration?

    /// An open stream may go so long without a byte being read; the peer is then dropped (`timedOut`).
    public var streamIdle: Duration? = .seconds(60)

    /// A frame, or a stream's header, that has begun has to go on: when less than ``leastBytesPerSecond`` of it have come
    /// for so long, and it is not whole, the peer is dropped (`timedOut`). Time in which this side does not read from
    /// the peer does not count. It is noticed within 1.25 of it.
    public var frame: Duration? = .seconds(30)

    /// What an unfinished frame and what is sent have to move at least, in bytes a second, averaged over ``frame`` and
    /// ``writeStall``; at least 0, which leaves it at one byte in that time.
    public var leastBytesPerSecond = 128

    /// A send that finds no room, because the other side does not take what was sent, throws `timedOut` after so long.
    /// The peer is kept: see ``writeStall``. Waiting for one's turn behind a stream does not count.
    public var write: Duration? = .seconds(60)

    /// A peer whose system acknowledges less than ``leastBytesPerSecond`` of what was sent for so long is dropped
    /// (`writeStalled`): it is gone without a word, or it hardly reads. It is noticed within 1.25 of it.
    public var writeStall: Duration? = .seconds(120)

    /// Closing may take so long to write out what was sent.
    public var close: Duration = .seconds(5)

    /// Asks each peer now and then whether it is there, in wire forms that can (``WireForm/framed``); nil never asks.
    public var heartbeat: Heartbeat?

    /// The defaults.
    public init() {}
}

/// Questions whether a peer is there, and when their silence means that it is not.
///
/// Whatever arrives counts as an answer. The round trips are in ``PeerStatistics/roundTripTime``.
public struct Heartbeat: Sendable, Hashable {
    /// The time between two questions; at least 10 ms.
    public var interval: Duration
    /// After so many without an answer the peer is dropped (`heartbeatLost`); at least 1.
    public var maxMissed: Int

    /// A question every 30 seconds; the third without an answer is the last.
    public init(interval: Duration = .seconds(30), maxMissed: Int = 3) {
        self.interval = interval
        self.maxMissed = maxMissed
    }
}
