/// The bytes under a ``Connection``: a socket, or a pipe in memory. Everything here happens on the loop's thread.
///
/// A link reports to its connection through ``LinkOwner``; after ``close(abortively:)`` it reports
/// ``LinkOwner/linkDidClose()`` once and then nothing any more.
protocol Link: AnyObject {
    /// Starts or stops reporting bytes. Idempotent.
    func setReading(_ isReading: Bool)

    /// Takes the whole buffer, writes what it can at once and the rest when it can.
    ///
    /// - Returns: true when everything is written; otherwise ``LinkOwner/linkDidWrite(_:)`` is called
    ///   later, and there is no further write before it.
    func write(_ buffer: WireBuffer) throws(ParleyError) -> Bool

    /// The same for a part of a file.
    func write(_ range: FileRange) throws(ParleyError) -> Bool

    /// Tells the other side that nothing more will come. Nothing may be waiting to be written.
    func shutdown()

    /// How much of what was written the other side's kernel does not have yet.
    var unacknowledgedBytes: Int { get }

    /// Whether something has arrived that was not reported, because nothing is read.
    var hasUnreadBytes: Bool { get }

    /// Whether the connection has failed or was reset, which a link that is not read does not report.
    var isDead: Bool { get }

    /// Whether the other side's kernel has everything that was written, the shutdown included.
    var isAcknowledged: Bool { get }

    /// Ends the link. `abortively` makes the other side see a reset rather than an orderly end.
    func close(abortively: Bool)
}

/// Where the next bytes of a link are best read to.
enum ReadTarget {
    /// Where everybody's are: they are lent, and gone with the next read.
    case shared
    /// A block that can be handed on without a copy, since there may be many; there is room for so many.
    case block(room: Int)
    /// A large frame, which wants so many.
    case frame(PeerState.LargeFrame)
}

/// What a link tells its connection, on the loop's thread.
protocol LinkOwner: AnyObject {
    /// Bytes are about to be read: where to, for links that have the choice.
    func linkWillRead() -> ReadTarget
    /// The frame that was lent, with what was read into it.
    func linkDidRead(into frame: consuming PeerState.LargeFrame)
    /// A block of bytes has arrived, to keep.
    func linkDidRead(_ block: [UInt8])
    /// Bytes have arrived; they are lent for the call.
    func linkDidRead(_ bytes: Span<UInt8>)
    /// Nothing more will arrive: `endOfStream` for an orderly end, or what went wrong.
    func linkDidEnd(_ reason: ParleyError)
    /// The write that was waiting is done, or has failed.
    func linkDidWrite(_ failure: ParleyError?)
    /// The link is gone.
    func linkDidClose()
}
