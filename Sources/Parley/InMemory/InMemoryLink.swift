/// One end of an in-memory pipe that behaves like a socket: it buffers a bounded number of bytes, its writer
/// waits while it is full, and it ends in order or with a reset.
///
/// Unlike a socket it never merges two writes into one read.
///
/// `@unchecked Sendable`: `incoming` is locked; everything else belongs to the thread of `loop`.
final class InMemoryLink: Link, @unchecked Sendable {
    /// The buffer size of one direction; about that of a socket.
    static let capacityBytes = 256 * 1024
    /// The most bytes that one read brings.
    static let readBytes = 64 * 1024

    /// One direction of the pipe.
    private struct Pipe {
        var blocks = ByteQueue()
        /// Whether the writer waits for room.
        var isFull = false
        /// Why nothing more will be written.
        var end: ParleyError?
        /// Whether the reader has closed: nothing more will be read.
        var isReaderClosed = false
    }

    private let loop: EventLoop
    /// The direction that the other end writes and this end reads.
    private let incoming = Lock(Pipe())

    private var other: InMemoryLink?
    private var owner: (any LinkOwner)?
    private var isReading = false
    /// Whether a write waits for room in the other end's pipe.
    private var isWriting = false
    private var isClosed = false

    init(on loop: EventLoop) { self.loop = loop }

    /// Joins two ends. Call it before either is used.
    static func join(_ one: InMemoryLink, _ two: InMemoryLink) {
        one.other = two
        two.other = one
    }

    /// Sets who is told of reads, writes and the end.
    func setOwner(_ owner: any LinkOwner) { self.owner = owner }

    func startReading() {
        isReading = true
        // In a later turn: the owner must not be called from inside its own call.
        loop.execute { [self] in deliver() }
    }

    func stopReading() { isReading = false }

    func write(_ buffer: WireBuffer) throws(ParleyError) -> Bool {
        guard let other else { throw ParleyError(.closed, "the pipe is closed") }
        let isWritten = try other.incoming.withLock { pipe throws(ParleyError) in
            guard !pipe.isReaderClosed else {
                throw ParleyError(.connectionReset, "the remote side closed the connection")
            }
            pipe.blocks.append(buffer.contiguous[...])
            pipe.isFull = pipe.blocks.count > Self.capacityBytes
            return !pipe.isFull
        }
        isWriting = !isWritten
        other.loop.execute { other.deliver() }
        return isWritten
    }

    func write(_ range: FileRange) throws(ParleyError) -> Bool {
        var buffer = WireBuffer()
        buffer.append(try range.file.read(at: range.offset, count: range.count))
        return try write(buffer)
    }

    func shutdown() { other?.end(.remoteClosed) }

    var status: Health.LinkStatus {
        var status = Health.LinkStatus()
        // As with a kernel, what its buffer has room for is acknowledged: not all of a write that waits.
        status.unacknowledgedBytes =
            other?.incoming.withLock { $0.isFull ? max(1, $0.blocks.count - Self.capacityBytes) : 0 } ?? 0
        incoming.withLock { pipe in
            status.socketUnreadBytes = pipe.blocks.count
            status.isFull = pipe.isFull
            status.isDead = pipe.end?.code == .connectionReset
        }
        return status
    }

    var hasUnread: Bool { incoming.withLock { $0.blocks.count > 0 } }

    /// Always true: what was written is in the other end's pipe.
    var isAcknowledged: Bool { true }

    func close(abortively: Bool) {
        guard !isClosed else { return }
        isClosed = true
        let isUnread = incoming.withLock { pipe in
            pipe.isReaderClosed = true
            defer { pipe.blocks.removeAll() }
            return !pipe.blocks.isEmpty
        }
        other?.end(
            abortively || isUnread
                ? ParleyError(.connectionReset, "the remote side reset the connection")
                : .remoteClosed
        )
        loop.execute { [self] in
            owner?.linkDidClose()
            owner = nil
            other = nil
        }
    }

    /// Resets the other end. For a link that has not become a connection.
    func discard() {
        other?.end(ParleyError(.connectionReset, "the remote side reset the connection"))
        owner = nil
        other = nil
    }

    /// Notes that the other end writes no more. Any thread.
    private func end(_ reason: ParleyError) {
        incoming.withLock { pipe in
            if pipe.end == nil || reason.code == .connectionReset { pipe.end = reason }
        }
        loop.execute { [self] in
            deliver()
            // A write that waited for that reader will never be done.
            if other?.incoming.withLock({ $0.isReaderClosed }) == true { completeWrite() }
        }
    }

    /// Hands the owner what has arrived, while reading is on. The loop's thread only.
    private func deliver() {
        while isReading, !isClosed {
            guard incoming.withLock({ !$0.blocks.isEmpty || $0.end != nil }) else { return }
            // The owner is asked where to read to only when there are bytes; an end is reported in any case.
            let hasBytes = incoming.withLock { !$0.blocks.isEmpty }
            guard let target = hasBytes ? owner?.linkWillRead() : .shared else { return }
            let limit = target.limit
            let (block, end, hasRoomAgain) = incoming.withLock { pipe in
                let block = pipe.blocks.popFirst(upTo: limit)
                let hasRoomAgain = pipe.isFull && pipe.blocks.count <= Self.capacityBytes / 2
                if hasRoomAgain { pipe.isFull = false }
                return (block, block == nil ? pipe.end : nil, hasRoomAgain)
            }
            if hasRoomAgain, let other { other.loop.execute { other.completeWrite() } }
            if let block { hand(block, to: consume target) }
            if let end {
                isReading = false
                owner?.linkDidEnd(end)
            }
        }
    }

    /// Passes a block to the owner, in the frame's own buffer if there is one. The frame is consumed: with a
    /// second reference to it, an append would copy all of it.
    private func hand(_ block: ArraySlice<UInt8>, to target: consuming ReadTarget) {
        switch consume target {
        case .shared, .block: owner?.linkDidRead(block.span)
        case .frame(var frame):
            frame.bytes.append(contentsOf: block)
            owner?.linkDidRead(into: consume frame)
        }
    }

    /// Completes the write that waited, with an error when its reader has closed. The loop's thread only.
    private func completeWrite() {
        guard isWriting, !isClosed, let other else { return }
        isWriting = false
        let isReaderClosed = other.incoming.withLock { $0.isReaderClosed }
        var none = WireBuffer()
        owner?.linkDidWrite(
            isReaderClosed ? ParleyError(.connectionReset, "the remote side closed the connection") : nil,
            returning: &none
        )
    }
}

extension ReadTarget {
    /// The most bytes that one read brings into this target.
    fileprivate var limit: Int {
        switch self {
        case .shared, .block: InMemoryLink.readBytes
        case .frame(let frame): min(frame.missing, InMemoryLink.readBytes)
        }
    }
}
