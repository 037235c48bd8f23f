import Logging
import Synchronization

/// What every peer of this library is: one conversation over a link, be it a socket or a pipe in memory.
///
/// The receiving half (`inbound`) and the sending half (`outbound`) each have a lock, so any thread may read, send
/// and close; the link and the time-outs belong to the loop's thread. What is decided is decided by values:
/// ``Lifecycle`` (how far the connection has come), ``Intake`` and ``PeerState`` (what becomes of bytes that arrive),
/// ``SendQueue`` (what is written next, and who waits), ``Health`` (whether it is still alive).
///
/// `Connection+Receiving`: bytes to RPCs. `+Reading`: raw reads and streams. `+Sending`, `+Streams`: sends to the
/// link. `+Blocking`: the same for threads that may block. `+Timeouts`. `+Ending`.
///
/// `@unchecked Sendable`: the locks and the loop's thread between them guard everything that changes.
public class Connection: @unchecked Sendable {
    // Field order minimises padding: an idle peer should take little memory.

    /// See ``Peer/localAddress``.
    public let localAddress: SocketAddress
    /// See ``Peer/remoteAddress``.
    public let remoteAddress: SocketAddress
    /// The remote address as bits; nil when the road has none.
    let remoteIP: IPAddress?
    /// See ``Peer/isOutbound``.
    public let isOutbound: Bool
    /// Something has arrived since this side last wrote from a sender's thread: the next send may be its answer.
    let hasReceived = Atomic(false)

    /// What it is known by in its node: unique there for ever, and never zero once the node has taken it in. Set
    /// before anybody else knows the connection.
    package internal(set) var number: UInt64 {
        get { storedNumber.load(ordering: .relaxed) }
        set { storedNumber.store(newValue, ordering: .relaxed) }
    }
    private let storedNumber = Atomic<UInt64>(0)

    package let node: Node
    /// Whose thread its link and its time-outs belong to.
    package let context: LoopContext
    let began = MonotonicTime.now
    let inbound: Lock<Inbound>
    let outbound: Lock<Outbound>

    // The loop's thread only, from here on.

    /// Nil once it is closed.
    var link: (any Link)?
    /// Bytes that the link has taken and not written yet.
    var writingBytes = 0
    var health = Health()
    /// When the time-outs are checked next; see ``ConnectionTimers``.
    var nextCheck = UInt64.max
    var rareTimes = LazyBox<RareTimes>()
    /// How much of a large frame was there when the link got it to read into.
    var largeFrameBytes = 0
    /// Where what comes next is read to.
    var upcoming = PeerState.Upcoming.raw

    /// The receiving half.
    struct Inbound {
        var state: PeerState
        var intake = Intake()
        var readers = WaitQueue()
        var heartbeats = LazyBox<HeartbeatRecord>()
        var counters = ReceiveCounters()
        /// When bytes last came, in milliseconds.
        var lastArrival: UInt64
        /// The same, but for heartbeats.
        var lastActivity: UInt64
        /// When a stream's reader last got bytes, or the stream began, in milliseconds.
        var streamReadAt: UInt64 = 0
        /// What this connection has added to ``Node/heldBytes``.
        var heldBytes = 0
        /// Since when it has held some, without anything being handed on, in milliseconds.
        var heldSince: UInt64 = 0
        /// This side has closed: reads throw this, whatever is left to read.
        var closed: ParleyError?
        var readDeadline = MonotonicTime.never
    }

    /// The sending half, and how far the connection has come: a send is accepted or refused in one step.
    struct Outbound {
        var lifecycle = Lifecycle()
        var queue = SendQueue()
        var encoder: any Decoder
        /// What a sender's thread may write to by itself; nil when there is no such thing, or it is about to be closed.
        var socket: Int32?
        /// The node's budget has this connection in its queue.
        var awaitsBudget = false
        var writeDeadline = MonotonicTime.never
        /// What the application keeps with this peer.
        var tag: UInt = 0
        /// When the link was gone.
        var ended = MonotonicTime.never
        var senders = WaitQueue()
        /// Who waits for the connection to open, or to end.
        var lifeWaiters = WaitQueue()
    }

    /// Times that most connections never need, in milliseconds.
    struct RareTimes: DefaultInitializable {
        /// When the next deadline of a read or a write passes.
        var ioDeadline = UInt64.max
        /// When an orderly end gives up.
        var closeDeadline = UInt64.max
        /// How long to wait until the next look whether the other side has everything.
        var lingerInterval: UInt64 = 1
    }

    init(
        context: LoopContext,
        link: any Link,
        isOutbound: Bool,
        localAddress: SocketAddress,
        remoteAddress: SocketAddress,
        remoteIP: IPAddress?
    ) {
        node = context.node
        self.context = context
        self.link = link
        self.isOutbound = isOutbound
        self.localAddress = localAddress
        self.remoteAddress = remoteAddress
        self.remoteIP = remoteIP
        let now = MonotonicTime.millisecondsNow
        inbound = Lock(
            Inbound(
                state: PeerState(decoder: node.options.decoder.makeDecoder(), bounds: node.bounds),
                lastArrival: now,
                lastActivity: now
            )
        )
        outbound = Lock(Outbound(encoder: node.options.decoder.makeDecoder()))
    }

    deinit {
        // What the reader of a stream never took.
        node.heldBytes.subtract(inbound.withLock { $0.heldBytes }, ordering: .relaxed)
    }

    package var loop: EventLoop { context.loop }

    /// See ``Peer/executor``.
    public var executor: (any TaskExecutor)? { loop }

    /// A word that the application keeps with this peer. Any thread.
    package var tag: UInt {
        get { outbound.withLock { $0.tag } }
        set { outbound.withLock { $0.tag = newValue } }
    }

    /// Whether it counts as a peer: it has been open, and is not gone. Any thread.
    var isPeer: Bool { outbound.withLock { $0.lifecycle.isPeer } }

    /// Whether its handshake runs. Any thread.
    var isHandshaking: Bool {
        outbound.withLock { if case .handshake = $0.lifecycle.state { true } else { false } }
    }

    /// Whether its end has not begun. Any thread.
    var isLive: Bool { outbound.withLock { $0.lifecycle.end == nil } }
}

extension Connection: CustomStringConvertible {
    /// `peer 127.0.0.1:51514 (inbound)`
    public var description: String { "peer \(remoteAddress) (\(isOutbound ? "outbound" : "inbound"))" }
}
