import Logging
import Synchronization

/// What every peer of this library is: one greeted conversation over a link, be it a socket or a pipe in memory.
///
/// The receiving half (`inbound`) and the sending half (`outbound`) each have a lock, so any thread may read, send
/// and close; the link and the timers belong to the loop's thread. The pieces:
/// `Connection+Receiving` (bytes to RPCs), `Connection+Reading` (raw reads and streams),
/// `Connection+Sending`, `Connection+Ending`.
///
/// `@unchecked Sendable`: the locks and the loop's thread between them guard everything that changes.
public class Connection: @unchecked Sendable {
    // Small things follow what leaves room for them: an idle peer is to take little memory.

    /// See ``Peer/localAddress``.
    public let localAddress: SocketAddress
    /// See ``Peer/remoteAddress``.
    public let remoteAddress: SocketAddress
    /// See ``Peer/isOutbound``.
    public let isOutbound: Bool
    /// Something has arrived since this side last wrote from a sender's thread.
    let hasReceived = Atomic(false)

    /// What it is known by in its node: unique there for ever, and never zero once the node has taken it in. Set
    /// before anybody else knows the connection.
    package internal(set) var number: UInt64 {
        get { storedNumber.load(ordering: .relaxed) }
        set { storedNumber.store(newValue, ordering: .relaxed) }
    }
    private let storedNumber = Atomic<UInt64>(0)

    package let node: Node
    /// Whose thread its link and its timers belong to.
    package let context: LoopContext
    let began = MonotonicTime.now
    let inbound: Lock<Inbound>
    let outbound: Lock<Outbound>

    // The loop's thread only, from here on.

    /// Nil once it is closed.
    var link: (any Link)?
    /// Bytes that the link has taken and not written yet.
    var writingBytes = 0
    /// What the timers look back on.
    var watch = Watch()
    /// The inbox will call when it has room; until then nothing is read.
    var isWaitingForInbox = false
    /// Where what comes next is read to.
    var upcoming = PeerState.Upcoming.anything
    var ending = Ending.no
    /// What this connection last contributed to ``LoopContext/bufferedBytes``.
    var bufferedBytes = 0
    /// How much of a large frame was there when it was lent to the link.
    var lentFrameBytes = 0
    var timers = LazyBox<Timers>()

    struct Inbound {
        var state: PeerState
        /// What the link was last told.
        var isReading = false
        /// The inbox has no room: nothing is read until it calls.
        var isPausedForInbox = false
        var readers = WaitQueue()
        /// When a stream's reader last got bytes, or the stream began.
        var streamActivity = MonotonicTime.now
        var heartbeats = LazyBox<HeartbeatRecord>()
        var counters = ReceiveCounters()
        /// When bytes last came, by ``EventLoop/milliseconds``.
        var lastArrival: UInt64
        /// The same, but for heartbeats.
        var lastActivity: UInt64
        /// This side has closed: reads throw this, whatever is left to read.
        var closed: ParleyError?
        var readDeadline = MonotonicTime.never
    }

    struct Outbound {
        var encoder: any Decoder
        /// Accepted, and not yet handed to the link: first this, when there are files in between …
        var queue: [Outgoing] = []
        /// … then this.
        var buffer = WireBuffer()
        /// Accepted and not yet written, the link's share included.
        var unwrittenBytes = 0
        /// What may be unwritten without asking for more of the node's budget: what was taken of it, and what is free.
        var reservedBytes = SendBudget.freeBytes
        /// What a sender's thread may write to by itself; nil when there is no such thing, or it is about to be closed.
        var socket: Int32?
        var isFlushRequested = false
        /// Whether handshake and `onPeer` went well, whatever came later.
        var isOpened = false
        /// The send that was refused last waits for the end of the open stream, not for room.
        var awaitsTurn = false
        /// The number of the stream that a writer has open; they start at 1, and zero is none.
        var openStream: UInt64 = 0
        var life = Life.handshake
        var writeDeadline = MonotonicTime.never
        /// What the application keeps with this peer.
        var tag: UInt = 0
        /// Since when there has been no room for a sender, by ``EventLoop/milliseconds``; `.max` while there is.
        var blockedSince = UInt64.max
        var counters = SendCounters()
        var end = LazyBox<End>()
        var senders = WaitQueue()
        var lifeWaiters = WaitQueue()
    }

    /// What is known of the end when there is one.
    struct End: DefaultInitializable {
        var moment = MonotonicTime.never
        /// What a dial rethrows.
        var handshakeFailure: (any Error)?
    }

    /// What a link is given to write.
    enum Outgoing {
        case bytes(WireBuffer)
        case file(FileRange)
    }

    /// From the handshake to the end.
    enum Life {
        case handshake
        case open
        /// Refuses sends, and writes out what it has.
        case closing(ParleyError)
        case ended(ParleyError)

        var reason: ParleyError? {
            switch self {
            case .handshake, .open: nil
            case .closing(let reason), .ended(let reason): reason
            }
        }
    }

    /// How far the end has come.
    enum Ending {
        case no
        /// The link takes nothing any more, but may still have something to deliver.
        case draining
        /// An orderly end writes out what was sent.
        case flushing
        /// All of it is written; not all has arrived at the other side.
        case lingering
        case over
    }

    /// Made when they are first needed: most peers never need most of them.
    struct Timers: DefaultInitializable {
        var stream: LoopTimer?
        var deadline: LoopTimer?
        var ending: LoopTimer?
        /// When an orderly end gives up.
        var closeDeadline = MonotonicTime.never
    }

    init(
        context: LoopContext,
        link: any Link,
        isOutbound: Bool,
        localAddress: SocketAddress,
        remoteAddress: SocketAddress
    ) {
        node = context.node
        self.context = context
        self.link = link
        self.isOutbound = isOutbound
        self.localAddress = localAddress
        self.remoteAddress = remoteAddress
        inbound = Lock(
            Inbound(
                state: PeerState(decoder: node.options.decoder.makeDecoder(), bounds: node.bounds),
                lastArrival: MonotonicTime.millisecondsNow,
                lastActivity: MonotonicTime.millisecondsNow
            )
        )
        outbound = Lock(Outbound(encoder: node.options.decoder.makeDecoder()))
    }

    package var loop: EventLoop { context.loop }

    /// See ``Peer/executor``.
    public var executor: (any TaskExecutor)? { loop }

    /// A word that the application keeps with this peer. Any thread.
    package var tag: UInt {
        get { outbound.withLock { $0.tag } }
        set { outbound.withLock { $0.tag = newValue } }
    }

    /// The timer at `path`, made now if there is none. The loop's thread only.
    func timer(_ path: WritableKeyPath<Timers, LoopTimer?>) -> LoopTimer {
        if let timer = timers.value[keyPath: path] { return timer }
        let timer = LoopTimer(on: loop)
        timers.value[keyPath: path] = timer
        return timer
    }
}

extension Connection: CustomStringConvertible {
    /// `peer 127.0.0.1:51514 (inbound)`
    public var description: String { "peer \(remoteAddress) (\(isOutbound ? "outbound" : "inbound"))" }
}
