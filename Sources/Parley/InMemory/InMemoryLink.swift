/// One end of a pipe in memory, with the manners of a socket: it holds a bounded number of bytes, its writer waits
/// when it is full, and it ends in order or with a reset.
///
/// Unlike a socket it never merges two writes into one read.
///
/// `@unchecked Sendable`: `incoming` is locked, the rest belongs to the thread of `loop`.
final class InMemoryLink: Link, @unchecked Sendable {
    /// How much one direction holds; about what a socket's buffers do.
    static let capacityBytes = 256 * 1024
    /// What one read brings at most.
    static let readBytes = 64 * 1024

    private struct Pipe {
        var blocks = ByteQueue()
        /// The writer waits for room.
        var isFull = false
        /// Nothing more will be written.
        var end: ParleyError?
        /// Nothing more will be read.
        var isAbandoned = false
    }

    private let loop: EventLoop
    /// What the other end has written.
    private let incoming = Lock(Pipe())

    private var other: InMemoryLink?
    private var owner: (any LinkOwner)?
    private var isReading = false
    /// A write waits for room in the other end's pipe.
    private var isWriting = false
    private var isClosed = false

    init(on loop: EventLoop) { self.loop = loop }

    /// Joins two ends. Before either is used.
    static func join(_ one: InMemoryLink, _ two: InMemoryLink) {
        one.other = two
        two.other = one
    }

    /// Who hears about reads, writes and the end.
    func setOwner(_ owner: any LinkOwner) { self.owner = owner }

    func startReading() {
        isReading = true
        // Not from in here: the caller is in the middle of something.
        loop.execute { [self] in deliver() }
    }

    func stopReading() { isReading = false }

    func write(_ buffer: WireBuffer) throws(ParleyError) -> Bool {
        guard let other else { throw ParleyError(.closed, "the pipe is closed") }
        let isWritten = try other.incoming.withLock { pipe throws(ParleyError) in
            guard !pipe.isAbandoned else {
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

    func shutdown() { other?.end(ParleyError(.endOfStream, "the remote side closed the connection")) }

    var look: Health.Look.Link {
        var look = Health.Look.Link()
        // As with a kernel, what its buffer has room for is acknowledged.
        let written = other?.incoming.withLock { $0.blocks.count } ?? 0
        look.unacknowledgedBytes = max(0, written - Self.capacityBytes)
        incoming.withLock { pipe in
            look.unreadBytes = pipe.blocks.count
            look.isFull = pipe.isFull
            look.isDead = pipe.end?.code == .connectionReset
        }
        return look
    }

    /// What is written is in the other end's pipe already.
    var isAcknowledged: Bool { true }

    func close(abortively: Bool) {
        guard !isClosed else { return }
        isClosed = true
        let isUnread = incoming.withLock { pipe in
            pipe.isAbandoned = true
            defer { pipe.blocks.removeAll() }
            return !pipe.blocks.isEmpty
        }
        other?.end(
            abortively || isUnread
                ? ParleyError(.connectionReset, "the remote side reset the connection")
                : ParleyError(.endOfStream, "the remote side closed the connection")
        )
        loop.execute { [self] in
            owner?.linkDidClose()
            owner = nil
            other = nil
        }
    }

    /// Ends a pipe that was never used from this end.
    func abandon() {
        other?.end(ParleyError(.connectionReset, "the remote side reset the connection"))
        owner = nil
        other = nil
    }

    /// The other end writes no more. Any thread.
    private func end(_ reason: ParleyError) {
        incoming.withLock { pipe in
            if pipe.end == nil || reason.code == .connectionReset { pipe.end = reason }
        }
        loop.execute { [self] in
            deliver()
            // The reader whom a write waits for has gone.
            if other?.incoming.withLock({ $0.isAbandoned }) == true { wrote() }
        }
    }

    /// Hands over what has arrived. The loop's thread only.
    private func deliver() {
        while isReading, !isClosed {
            guard incoming.withLock({ !$0.blocks.isEmpty || $0.end != nil }) else { return }
            // Only bytes need a place: an end is told in any case.
            let target = incoming.withLock({ !$0.blocks.isEmpty }) ? owner?.linkWillRead() : .shared
            guard let target else { return }
            let limit = target.limit
            let (block, end, hasRoomAgain) = incoming.withLock { pipe in
                let block = pipe.blocks.popFirst(upTo: limit)
                let hasRoomAgain = pipe.isFull && pipe.blocks.count <= Self.capacityBytes / 2
                if hasRoomAgain { pipe.isFull = false }
                return (block, block == nil ? pipe.end : nil, hasRoomAgain)
            }
            if hasRoomAgain, let other { other.loop.execute { other.wrote() } }
            if let block { hand(block, to: target) }
            if let end {
                isReading = false
                owner?.linkDidEnd(end)
            }
        }
    }

    private func hand(_ block: ArraySlice<UInt8>, to target: consuming ReadTarget) {
        guard case .frame(var frame) = target else { return owner?.linkDidRead(block.span) ?? () }
        frame.bytes.append(contentsOf: block)
        owner?.linkDidRead(into: frame)
    }

    /// The write that waited is done, or never will be. The loop's thread only.
    private func wrote() {
        guard isWriting, !isClosed, let other else { return }
        isWriting = false
        let isAbandoned = other.incoming.withLock { $0.isAbandoned }
        var none = WireBuffer()
        owner?.linkDidWrite(
            isAbandoned ? ParleyError(.connectionReset, "the remote side closed the connection") : nil,
            returning: &none
        )
    }
}

extension ReadTarget {
    /// How much one read brings at most.
    fileprivate var limit: Int {
        switch self {
        case .shared, .block: InMemoryLink.readBytes
        case .frame(let frame): min(frame.missing, InMemoryLink.readBytes)
        }
    }
}
