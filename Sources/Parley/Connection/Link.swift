/// The transport under a ``Connection``: a socket, or a pipe in memory. The loop's thread only.
///
/// A link passes what it reads to its connection through ``LinkOwner``. After ``close(abortively:)`` it calls
/// ``LinkOwner/linkDidClose()`` once, and nothing else.
protocol Link: AnyObject {
    /// Starts to read. Idempotent. A new link is not read.
    func startReading()

    /// Stops reading. Idempotent.
    func stopReading()

    /// Takes the whole buffer, writes what it can at once, and the rest later.
    ///
    /// - Returns: true when everything is written. Otherwise ``LinkOwner/linkDidWrite(_:returning:)`` is
    ///   called later, and no further write comes before it.
    func write(_ buffer: WireBuffer) throws(ParleyError) -> Bool

    /// The same for a part of a file.
    func write(_ range: FileRange) throws(ParleyError) -> Bool

    /// The same for what a sender's thread has sealed, and ``directSocket`` did not take.
    func write(sealed bytes: [UInt8]) throws(ParleyError) -> Bool

    /// The socket that other threads may write to as well, when this link has nothing to write; nil when
    /// everything has to go through the link.
    var directSocket: Int32? { get }

    /// Tells the other side that nothing more will come. Nothing may wait to be written.
    func shutdown()

    /// The state of the link, for ``Health``.
    var status: Health.LinkStatus { get }

    /// Whether something has arrived that was not read.
    var hasUnread: Bool { get }

    /// Whether the other side has everything that was written, including the shutdown: its kernel, or its
    /// program where both speak a protocol that tells.
    var isAcknowledged: Bool { get }

    /// Closes the link. `abortively`: with a reset instead of an orderly end.
    func close(abortively: Bool)

    /// Checks the link's own time-outs. Returns when to check again, in milliseconds; `.max` for never.
    func checkTimeouts(at now: UInt64) -> UInt64
}

extension Link {
    /// A socket and a pipe have none.
    func checkTimeouts(at now: UInt64) -> UInt64 { .max }

    var directSocket: Int32? { nil }

    func write(sealed bytes: [UInt8]) throws(ParleyError) -> Bool {
        preconditionFailure("only a secured link has sealed bytes")
    }
}

/// Where a link reads the next bytes to.
enum ReadTarget {
    /// The loop's shared buffer. The bytes are borrowed until the next read.
    case shared
    /// A block that can be handed on without a copy, since there may be many bytes. The owner has room for
    /// `room` bytes; a read may exceed that, up to 64 KiB.
    case block(room: Int)
    /// A large frame, which lacks ``PeerState/LargeFrame/missing`` bytes.
    case frame(PeerState.LargeFrame)
}

/// The owner of a link: the connection that it reports to. Called on the loop's thread.
protocol LinkOwner: AnyObject {
    /// There is something to read. Returns where to. The link reports the read before it does anything else.
    func linkWillRead() -> ReadTarget
    /// Bytes were read into the frame, or none.
    func linkDidRead(into frame: consuming PeerState.LargeFrame)
    /// A block of bytes was read. The owner may keep it.
    func linkDidRead(_ block: ArraySlice<UInt8>)
    /// Bytes were read. They are borrowed for the call.
    func linkDidRead(_ bytes: Span<UInt8>)
    /// The input has ended: `endOfStream` for an orderly end, otherwise the failure.
    func linkDidEnd(_ reason: ParleyError)
    /// The pending write is done or has failed. The owner may take the memory of its buffer.
    func linkDidWrite(_ failure: ParleyError?, returning buffer: inout WireBuffer)
    /// The link is closed.
    func linkDidClose()
}

extension LinkOwner {
    /// Takes bytes that a link made of others, to where the owner wants them, while `isOpen`.
    func take(_ content: Span<UInt8>, while isOpen: () -> Bool) {
        var start = 0
        while start < content.count, isOpen() {
            start += take(content.extracting(start..<content.count), into: linkWillRead())
        }
    }

    /// The same for bytes that the owner may keep: it gets them as they are, except for a large frame's.
    func take(_ content: ArraySlice<UInt8>, while isOpen: () -> Bool) {
        var rest = content
        while !rest.isEmpty, isOpen() {
            switch linkWillRead() {
            case .shared, .block: return linkDidRead(rest)
            case .frame(let frame): rest.removeFirst(take(rest.span, into: .frame(frame)))
            }
        }
    }

    /// Takes bytes to one target. A frame is consumed: with a second reference to it, an append would copy
    /// all of it.
    ///
    /// - Returns: how many bytes the target took.
    @inline(never)
    private func take(_ content: Span<UInt8>, into target: consuming ReadTarget) -> Int {
        switch consume target {
        case .shared, .block:
            linkDidRead(content)
            return content.count
        case .frame(var frame):
            let count = min(frame.missing, content.count)
            frame.bytes.append(copying: content.extracting(0..<count))
            linkDidRead(into: consume frame)
            return count
        }
    }
}
