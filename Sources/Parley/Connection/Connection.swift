import Logging
import Synchronization

/// A peer's connection over a link, which is a socket or a pipe in memory. Bytes come from the link and leave
/// to the inbox; sends go to the link.
///
/// The receiving half (`inbound`) and the sending half (`outbound`) have a lock each, so any thread may read,
/// send and close. The link and the time-outs belong to the loop's thread. Values decide: `Lifecycle` (the
/// state from handshake to end), `Intake` and `PeerState` (what happens to bytes that arrive), `SendQueue`
/// (what is written next, and who waits), `Health` (whether the connection is alive).
///
/// `Connection+Receiving`: from bytes to RPCs. `+Reading`: raw reads and streams. `+Sending`, `+Streams`:
/// from sends to the queue; `+Flushing`: from there to the link. `+Requests`: requests and their answers.
/// `+Blocking`: the same for threads that may block. `+Consuming`: what consumers are not done with.
/// `+Multiplexed`: what the link with many streams reports; `+Identify`: what a libp2p node says of itself.
/// `+Timeouts`: time-outs, heartbeats, deadlines. `+Ending`: the end.
///
/// `@unchecked Sendable`: the two locks and the loop's thread guard all mutable state.
public class Connection: @unchecked Sendable {
    // Field order minimises padding: an idle peer should take little memory.

    /// See ``Peer/localAddress``.
    public let localAddress: SocketAddress
    /// What the next bytes belong to, which decides where they are read to. The loop's thread only.
    var upcoming = PeerState.Upcoming.raw
    /// Whether the last read filled the loop's shared buffer. The next one goes to a block of its own then,
    /// which the messages keep: no copy. The loop's thread only.
    var expectsMuch = false
    /// Whether the link has bytes that it has not written yet: ``SendQueue/linkBytes``. The loop's thread
    /// only.
    var isWriting = false
    /// See ``Peer/remoteAddress``.
    public let remoteAddress: SocketAddress
    /// The remote IP address; nil when the link has none.
    let remoteIP: IPAddress?
    /// See ``Peer/isOutbound``.
    public let isOutbound: Bool
    /// Whether something has arrived since the last direct write. The next send may be its answer. True also
    /// before the first direct write: a dialer's greeting has nothing to be collected with.
    let arrivedSinceDirectWrite = Atomic(true)

    /// The connection's number in its node, unique for ever; zero until the node has adopted it. Set before
    /// another thread knows the connection.
    package internal(set) var number: UInt64 {
        get { storedNumber.load(ordering: .relaxed) }
        set { storedNumber.store(newValue, ordering: .relaxed) }
    }
    private let storedNumber = Atomic<UInt64>(0)
    /// Twice the number of RPCs that were delivered to the inbox and that consumers are not done with, plus 1
    /// once the input is over; see ``consumed(_:)``.
    let unconsumed = Atomic(0)

    /// The link that carries many streams; nil where there is one at a time.
    let multiplexed: MultiplexedLink?
    package let node: Node
    /// The loop context whose thread its link and time-outs belong to.
    package let context: LoopContext
    let began = MonotonicTime.now
    let inbound: Lock<Inbound>
    let outbound: Lock<Outbound>

    // From here on: the loop's thread only.

    /// Nil once it is closed.
    var link: (any Link)?
    // Unchecked: each time-out that is set would pay for the check.
    @exclusivity(unchecked) var health = Health()
    /// When the time-outs are checked next; see ``ConnectionTimers``.
    var nextCheck = UInt64.max
    var rareTimes = LazyBox<RareTimes>()

    /// An id that the other side has proven, and what its secured link has received and written, handshake
    /// and tags included. A class, so that a connection without one takes one word for it.
    final class Proven: Sendable {
        let id: PeerID
        /// The session, for direct writes; nil once the link is about to close, so that its keys are gone
        /// with it. Guarded by the lock of the sending half. Whoever seals has the order of sending: the loop
        /// while the link writes, otherwise the thread that holds that lock.
        nonisolated(unsafe) var session: (any SecureSession)?
        let wireBytesReceived: Atomic<UInt64>
        let wireBytesSent: Atomic<UInt64>

        init(_ id: PeerID, _ session: any SecureSession, received: UInt64, sent: UInt64) {
            self.id = id
            self.session = session
            wireBytesReceived = Atomic(received)
            wireBytesSent = Atomic(sent)
        }

        func noteReceived(_ bytes: UInt64) { wireBytesReceived.wrappingAdd(bytes, ordering: .relaxed) }

        func noteSent(_ bytes: UInt64) { wireBytesSent.wrappingAdd(bytes, ordering: .relaxed) }
    }

    /// The receiving half.
    struct Inbound {
        // Field order minimises padding: the small fields follow those of the state.

        var state: PeerState
        var intake = Intake()
        /// Whether the event of this connection's end still has to follow its last messages into the inbox.
        var owesEvent = false
        var readWaiters = WaitQueue()
        var heartbeats = LazyBox<HeartbeatRecord>()
        var counters = ReceiveCounters()
        /// When bytes last arrived, in milliseconds.
        var lastArrival: UInt64
        /// The same, except for heartbeats.
        var lastActivity: UInt64
        /// When a stream's reader last got bytes, or when the stream began, in milliseconds.
        var streamReadAt: UInt64 = 0
        /// The bytes that a secured link has received and not passed on. Once the link is closed: what the
        /// connection costs while messages of it are undelivered.
        var linkBytes = 0
        /// What this connection has added to ``Node/heldBytes``.
        var held = HeldBytes()
        /// Set once this side has closed. Reads throw it, even when input is left.
        var closed: ParleyError?
        var readDeadline = MonotonicTime.never
    }

    /// The sending half and the lifecycle, under one lock: a send is accepted or refused in one step.
    struct Outbound {
        // As in the receiving half, the small fields are together.

        var lifecycle = Lifecycle()
        var queue = SendQueue()
        var encoder: Encoder
        /// Whether this connection waits for the node's budget.
        var awaitsBudget = false
        /// What sends that may not wait would have waited for, since ``whenWritable(_:)`` was called last.
        var refused: SendQueue.Wait.Mask = []
        /// Whether the handshake's callback runs on another thread; see ``handshakeBegins()``.
        var isInHandshakeCallback = false
        /// Whether the decoder gets what arrives: the loop has heard that the connection is open.
        var isDecoding = false
        /// The socket for direct writes by a sender's thread. Nil when there is none or it is about to close.
        var socket: Int32? {
            get { socketOrNone < 0 ? nil : socketOrNone }
            set { socketOrNone = newValue ?? -1 }
        }
        /// Negative for none: an optional takes more room.
        private var socketOrNone: Int32 = -1
        var writeDeadline = MonotonicTime.never
        /// The application's own value for this peer: a C program's.
        var tag: UInt = 0
        /// A Swift program's. A reference takes less room than the value.
        var userValue: UserValue?
        /// Who the other side is, once its link is secured.
        var proven: Proven?
        /// The requests of this side; see ``openRequests``. Nil before the first.
        var requestsBox: RequestsBox?
        /// When the link was closed.
        var ended = MonotonicTime.never
        var sendWaiters = WaitQueue()
        /// Waiters for the connection to open or to end.
        var openOrEndWaiters = WaitQueue()

        init(_ encoder: Encoder) { self.encoder = encoder }
    }

    // Where those wait. Types of their own, because a key path costs a dial several hundred instructions.

    struct Readers: WaitPlace {
        @inline(__always)
        func change<Result>(_ inbound: inout Inbound, _ body: (inout WaitQueue) -> Result) -> Result {
            body(&inbound.readWaiters)
        }
    }

    struct Senders: WaitPlace {
        @inline(__always)
        func change<Result>(_ outbound: inout Outbound, _ body: (inout WaitQueue) -> Result) -> Result {
            body(&outbound.sendWaiters)
        }
    }

    struct OpenOrEnd: WaitPlace {
        @inline(__always)
        func change<Result>(_ outbound: inout Outbound, _ body: (inout WaitQueue) -> Result) -> Result {
            body(&outbound.openOrEndWaiters)
        }
    }

    final class UserValue: Sendable {
        let value: any Sendable
        init(_ value: any Sendable) { self.value = value }
    }

    /// Times that most connections never need. Boxed on first write. In milliseconds.
    struct RareTimes: DefaultInitializable {
        /// The next deadline of a read or a write.
        var ioDeadline = UInt64.max
        /// When an orderly end stops waiting, and a half-closed connection ends.
        var closeDeadline = UInt64.max
        /// The delay until the next check whether the other side has everything.
        var acknowledgementInterval: UInt64 = 1
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
        multiplexed = link as? MultiplexedLink
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
        outbound = Lock(Outbound(node.options.decoder.makeEncoder()))
    }

    deinit {
        // Bytes that a stream's reader never read.
        node.heldBytes.subtract(inbound.withLock { $0.held.bytes }, ordering: .relaxed)
    }

    package var loop: EventLoop { context.loop }

    /// See ``Peer/id``.
    public var id: PeerID? { ForkedChild.isThisProcess ? nil : outbound.withLock { $0.proven?.id } }

    /// See ``Peer/executor``.
    public var executor: (any TaskExecutor)? { loop }

    /// The application's own value for this peer, one word. Any thread.
    package var tag: UInt {
        get { ForkedChild.isThisProcess ? 0 : outbound.withLock { $0.tag } }
        set { if !ForkedChild.isThisProcess { outbound.withLock { $0.tag = newValue } } }
    }

    /// See ``Peer/connectionID``.
    public var connectionID: ConnectionID { ConnectionID(node: node.number, number: number) }

    /// See ``Peer/userValue``.
    public var userValue: (any Sendable)? {
        get { ForkedChild.isThisProcess ? nil : outbound.withLock { $0.userValue }?.value }
        set {
            if ForkedChild.isThisProcess { return }
            let box = newValue.map(UserValue.init)
            // The old value is released after the lock: its deinit may use this peer.
            let old = outbound.withLock { outbound in
                defer { outbound.userValue = box }
                return outbound.userValue
            }
            _ = old
        }
    }

    /// Whether it counts as a peer: it was opened and has not ended. Any thread.
    var isPeer: Bool { outbound.withLock { $0.lifecycle.isPeer } }

    /// Whether it is or was an open peer. Any thread.
    var wasOpen: Bool { outbound.withLock { $0.lifecycle.wasOpen } }

    /// Whether its end has not started. Any thread.
    var isLive: Bool { outbound.withLock { $0.lifecycle.end == nil } }

    /// Whether what arrives is still delivered: this side has not begun to close. Any thread.
    var isDelivering: Bool { inbound.withLock { $0.closed == nil } }

    /// Whether the other side sends nothing more and still reads. Any thread.
    var isHalfClosed: Bool {
        outbound.withLock { if case .halfClosed = $0.lifecycle.state { true } else { false } }
    }
}

extension Connection: CustomStringConvertible {
    /// `peer 127.0.0.1:51514 (inbound)`
    public var description: String { "peer \(remoteAddress) (\(isOutbound ? "outbound" : "inbound"))" }
}
