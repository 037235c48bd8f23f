/// One stream above the session: its name, what has arrived, who waits for it, and how it ended. There may be
/// many thousands that are idle: what they have no use for is boxed.
///
/// `@unchecked Sendable`: everything that changes is guarded by the lock of its ``MultiplexedLink``.
final class Channel: @unchecked Sendable {
    let id: MuxStreamID
    /// Whether this side has opened it.
    let isOutbound: Bool
    /// The number of blocks at the end of ``received`` that may be parts of a much larger block. They are
    /// copied out of it before more is read.
    var lentBlocks: UInt16 = 0
    /// How many ``PeerStream``s refer to it.
    var handles: Int32 = 0
    /// The protocol; empty until both sides agree on it.
    var name = ""
    var phase: Phase
    /// What has arrived and was not read.
    var received = ByteQueue()
    /// Readers and writers.
    var waiters = WaitQueue()
    private var ends = LazyBox<Ends>()
    /// When a byte was last read, or when the first unread one came, in milliseconds.
    var readAt: UInt64
    /// Since when a writer finds no room, in milliseconds; `.max` while there is room.
    var blockedSince = UInt64.max

    /// Who gets the bytes that arrive. Boxed where it has a state: most streams are open most of the time.
    indirect enum Phase {
        /// This side has proposed the protocol.
        case proposing(NegotiationDialer)
        /// The same, and this side is done with the stream: it is closed once the answer has come.
        case abandoned(NegotiationDialer)
        /// The other side is to propose one.
        case answering(NegotiationListener)
        /// The header of a stream whose opening will be an RPC. It collects in ``received``. The length is
        /// nil until its bytes have arrived.
        case readingHeader(length: Int?)
        /// The opening is an RPC, which consumers may not have taken yet.
        case announced
        /// Its reader.
        case open
        /// The connection: they are its messages.
        case messages
        /// Nobody: this side is done with the stream.
        case closed
    }

    /// Stands for a stream that has ended and is forgotten.
    static func gone() -> Channel {
        let channel = Channel(MuxStreamID(id: 0, slot: .max), isOutbound: false, .closed, at: 0)
        channel.end(ParleyError(.closed, "the stream has ended"))
        return channel
    }

    enum InputEnd {
        case finished
        case failed(ParleyError)
    }

    private struct Ends: DefaultInitializable {
        var input: InputEnd?
        var output: ParleyError?
    }

    /// Why no more arrives; nil while some may.
    var inputEnd: InputEnd? {
        get { ends.value.input }
        set { ends.value.input = newValue }
    }

    /// Why writes are refused; nil while they are not.
    var outputEnd: ParleyError? {
        get { ends.value.output }
        set { ends.value.output = newValue }
    }

    init(_ id: MuxStreamID, isOutbound: Bool, _ phase: Phase, at now: UInt64) {
        self.id = id
        self.isOutbound = isOutbound
        self.phase = phase
        readAt = now
    }

    /// Whether both sides agree on the protocol.
    var isNegotiated: Bool {
        switch phase {
        case .proposing, .abandoned, .answering, .readingHeader: false
        case .announced, .open, .messages, .closed: true
        }
    }

    /// Ends both directions. The first end of each counts.
    func end(_ reason: ParleyError) {
        if inputEnd == nil { inputEnd = .failed(reason) }
        if outputEnd == nil { outputEnd = reason }
    }
}
