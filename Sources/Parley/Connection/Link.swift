/// The bytes under a ``Connection``: a socket, or a pipe in memory. Everything here happens on the loop's thread.
///
/// A link reports to its connection through ``LinkOwner``; after ``close(abortively:)`` it reports
/// ``LinkOwner/linkDidClose()`` once and then nothing any more.
protocol Link: AnyObject {
    /// Starts to report what arrives. The owner calls this and ``stopReading()`` in turns; a new link is not read.
    func startReading()

    /// Stops to report what arrives.
    func stopReading()

    /// Takes the whole buffer, writes what it can at once and the rest when it can.
    ///
    /// - Returns: true when everything is written; otherwise ``LinkOwner/linkDidWrite(_:returning:)`` is called
    ///   later, and there is no further write before it.
    func write(_ buffer: WireBuffer) throws(ParleyError) -> Bool

    /// The same for a part of a file.
    func write(_ range: FileRange) throws(ParleyError) -> Bool

    /// Tells the other side that nothing more will come. Nothing may be waiting to be written.
    func shutdown()

    /// What there is to know of the link and its other side.
    var look: Health.Look.Link { get }

    /// Whether the other side's kernel has everything that was written, the shutdown included.
    var isAcknowledged: Bool { get }

    /// Ends the link. `abortively` makes the other side see a reset rather than an orderly end.
    func close(abortively: Bool)
}

/// Where the next bytes of a link are best read to.
enum ReadTarget {
    /// Where everybody's are: they are borrowed, and gone with the next read.
    case shared
    /// A block that can be handed on without a copy, since there may be many; there is room for so many.
    case block(room: Int)
    /// A large frame, which wants so many.
    case frame(PeerState.LargeFrame)
}

/// What a link tells its connection, on the loop's thread.
protocol LinkOwner: AnyObject {
    /// Bytes can be read: where to? What was read is reported before anything else happens.
    func linkWillRead() -> ReadTarget
    /// The frame that was to be read into, with what was.
    func linkDidRead(into frame: consuming PeerState.LargeFrame)
    /// A block of bytes has arrived, to keep.
    func linkDidRead(_ block: [UInt8])
    /// Bytes have arrived; they are borrowed for the call.
    func linkDidRead(_ bytes: Span<UInt8>)
    /// Nothing more will arrive: `endOfStream` for an orderly end, or what went wrong.
    func linkDidEnd(_ reason: ParleyError)
    /// The write that was waiting is done, or has failed; the owner may keep the room of its buffer.
    func linkDidWrite(_ failure: ParleyError?, returning buffer: inout WireBuffer)
    /// The link is gone.
    func linkDidClose()
}
