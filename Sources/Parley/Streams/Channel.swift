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
    private var rare = LazyBox<Rare>()
    /// When a byte was last read, when the first unread one came, or when this side closed the stream, in
    /// milliseconds.
    var readAt: UInt64
    /// When it was opened, in milliseconds.
    let openedAt: UInt64
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

    enum OutputEnd {
        /// This side has sent all that it wanted to send.
        case finished
        /// This side is done with the stream.
        case closed
        case failed(ParleyError)

        /// What a write throws.
        var error: ParleyError {
            switch self {
            case .finished: ParleyError(.closed, "this side has ended the stream")
            case .closed: ParleyError(.closed, "this side has closed the stream")
            case .failed(let reason): reason
            }
        }
    }

    /// What most streams have no use for while they are open.
    private struct Rare: DefaultInitializable {
        var inputEnd: InputEnd?
        var outputEnd: OutputEnd?
        var putBackBytes = 0
        var unsentBytes = Int.max
        var header = Health.Progress()
    }

    /// Why no more arrives; nil while some may.
    var inputEnd: InputEnd? {
        get { rare.value.inputEnd }
        set { rare.value.inputEnd = newValue }
    }

    /// Why writes are refused; nil while they are not.
    var outputEnd: OutputEnd? {
        get { rare.value.outputEnd }
        set { rare.value.outputEnd = newValue }
    }

    /// How much of a stream that this side has closed waited to be sent when that was last looked at.
    var unsentBytes: Int {
        get { rare.value.unsentBytes }
        set { rare.value.unsentBytes = newValue }
    }

    /// How much of its header had arrived at the last check, and when that was.
    var header: Health.Progress {
        get { rare.value.header }
        set { rare.value.header = newValue }
    }

    /// Puts bytes that were read back in front of what was not.
    func putBack(_ bytes: ArraySlice<UInt8>) {
        received.prepend(bytes)
        rare.value.putBackBytes += bytes.count
    }

    /// Whether there is more than what was read and put back since: that was too little for its reader.
    var hasUnread: Bool { received.count > (rare.isDefault ? 0 : rare.value.putBackBytes) }

    /// How many of the next `count` bytes were read before. They are taken now.
    func takePutBack(_ count: Int) -> Int {
        guard !rare.isDefault else { return 0 }
        let taken = min(count, rare.value.putBackBytes)
        rare.value.putBackBytes -= taken
        return taken
    }

    init(_ id: MuxStreamID, isOutbound: Bool, _ phase: Phase, at now: UInt64) {
        self.id = id
        self.isOutbound = isOutbound
        self.phase = phase
        readAt = now
        openedAt = now
    }

    /// Whether both sides agree on the protocol.
    var isNegotiated: Bool {
        switch phase {
        case .proposing, .abandoned, .answering, .readingHeader: false
        case .announced, .open, .messages, .closed: true
        }
    }

    /// Ends both directions. The first end of each counts.
    func end(_ reason: ParleyError) { end(.failed(reason)) }

    /// This side ends both directions. The first end of each counts.
    func close() { end(.closed) }

    private func end(_ end: OutputEnd) {
        if inputEnd == nil { inputEnd = .failed(end.error) }
        if outputEnd == nil { outputEnd = end }
    }
}
