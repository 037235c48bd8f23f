/// What one connection has accepted and not yet written: whose turn it is, whether there is room, and what is written
/// next. A value without I/O; the connection's sending lock guards it.
///
/// Bytes and messages gather in ``buffer``; a part of a file goes behind what had gathered before it.
package struct SendQueue {
    /// What a send is made of, since an open stream keeps messages and other streams waiting.
    enum Kind { case raw, message, streamOpening, streamBytes(of: UInt64) }

    /// Why a send has to wait.
    package enum Wait: Sendable {
        /// A stream is open, or others have waited longer.
        case turn
        /// Too much is unwritten.
        case room
    }

    /// What a link is given to write.
    enum Item {
        case bytes(WireBuffer)
        case file(FileRange)
    }

    /// What is to be written next.
    enum Next {
        /// Nothing; and whether the buffer has more room than an idle connection keeps.
        case nothing(hasLargeBuffer: Bool)
        /// What the buffer that was passed in holds now.
        case bytes
        case file(FileRange)
    }

    /// How much may be unwritten.
    struct Marks: Sendable {
        /// From here on sends wait.
        let high: Int
        /// Down here they go on.
        let low: Int
    }

    /// Accepted, and not yet handed to the link: first this, when there are files in between …
    private(set) var items: [Item] = []
    /// … then this.
    private(set) var buffer = WireBuffer()
    /// Accepted and not yet written, the link's share included.
    private(set) var unwrittenBytes = 0
    /// What may be unwritten without asking for more of the node's budget: what was taken of it, and what is free.
    private(set) var reservedBytes = SendBudget.freeBytes
    private(set) var isFlushRequested = false
    /// How many senders wait for room. Later ones wait behind them.
    private(set) var waitingForRoom: UInt32 = 0
    /// The number of the stream that a writer has open; they start at 1, and zero is none.
    private(set) var openStream: UInt64 = 0
    /// Since when there has been no room for a sender, in milliseconds; `.max` while there is.
    private(set) var blockedSince = UInt64.max
    /// Bytes that were handed to the link or to the socket, in all.
    private(set) var handedBytes: UInt64 = 0
    /// Up to here all that was handed over was found acknowledged; `.max` while somebody looks whether it is.
    private var settledBytes: UInt64 = 0
    /// Bytes of heartbeats in ``buffer``.
    private(set) var heartbeatBytes = 0
    /// When something other than heartbeats was last handed over, in milliseconds.
    private(set) var lastHanded: UInt64 = 0
    private(set) var counters = SendCounters()

    /// Somebody looks some time whether what was handed over is acknowledged.
    var isWatched: Bool { settledBytes == .max }

    /// Whether nothing accepted is left to hand over.
    var isEmpty: Bool { items.isEmpty && buffer.isEmpty }

    /// Accepted, and not yet handed to the link.
    var unhandedBytes: Int { unwrittenBytes &- Int(truncatingIfNeeded: handedBytes &- counters.bytes) }

    /// Whether closing now loses something that was accepted, or leaves a stream without its end: the other side shall
    /// see a reset then, not an orderly end.
    var isCutOff: Bool { unwrittenBytes > 0 || openStream != 0 }

    // MARK: Accepting

    /// Whether a send has to wait, as far as this queue knows; the node's budget may still say no.
    ///
    /// - Parameter waited: what the same send waited for before, and no longer counts as waiting for.
    /// - Returns: nil when it may be appended. Needs ``isWithinReserve`` then.
    @inline(__always)
    func wait(for kind: Kind, marks: Marks, waited: Wait? = nil) -> Wait? {
        switch kind {
        case .raw, .streamBytes: break
        case .message, .streamOpening: if openStream != 0 { return .turn }
        }
        guard unwrittenBytes < marks.high else { return .room }
        return waited == nil && waitingForRoom > 0 ? .turn : nil
    }

    /// Whether the stream whose bytes these are is still open. True for everything else.
    func isOpen(_ kind: Kind) -> Bool {
        if case .streamBytes(let stream) = kind { stream == openStream } else { true }
    }

    /// Whether one more send may be appended without more of the node's budget.
    @inline(__always)
    var isWithinReserve: Bool { unwrittenBytes < reservedBytes }

    /// Whether the last append went beyond what is reserved; ``reserveRest()`` says by how much.
    @inline(__always)
    var isBeyondReserve: Bool { unwrittenBytes > reservedBytes }

    /// A part of the node's budget was taken for this connection.
    mutating func reserve(_ bytes: Int) { reservedBytes &+= bytes }

    /// Reserves all that was appended; returns how much that is more than before.
    mutating func reserveRest() -> Int {
        defer { reservedBytes = unwrittenBytes }
        return unwrittenBytes &- reservedBytes
    }

    /// Lets `body` append to the buffer, and counts what it appended.
    @inline(__always)
    mutating func append<Result>(
        _ body: (inout WireBuffer) throws(ParleyError) -> Result
    ) throws(ParleyError) -> Result {
        let before = buffer.count
        let result = try body(&buffer)
        unwrittenBytes &+= buffer.count &- before
        return result
    }

    /// Queues a part of a file behind everything else.
    mutating func append(_ range: FileRange) {
        if !buffer.isEmpty {
            items.append(.bytes(buffer))
            buffer = WireBuffer()
            // Where a heartbeat goes before a file, that is used.
            heartbeatBytes = 0
        }
        items.append(.file(range))
        unwrittenBytes &+= range.count
    }

    /// Counts a send that was accepted.
    @inline(__always)
    mutating func accepted(_ kind: Kind) {
        switch kind {
        case .message: counters.messages &+= 1
        case .streamOpening:
            counters.streams &+= 1
            openStream = counters.streams
        case .raw, .streamBytes: break
        }
    }

    /// The number that the next stream gets.
    var nextStream: UInt64 { counters.streams &+ 1 }

    mutating func endStream() { openStream = 0 }

    /// Bytes that were just appended are a heartbeat's: they are no sign of use.
    mutating func noteHeartbeat(_ bytes: Int) { heartbeatBytes &+= bytes }

    // MARK: Waiting

    /// Counts a send that has to wait.
    mutating func noteRefusal() { counters.waits &+= 1 }

    /// A sender begins to wait.
    mutating func beginWait(_ wait: Wait) { if wait == .room { waitingForRoom &+= 1 } }

    /// The same sender waits no more: it tries again, or gives up.
    ///
    /// - Returns: whether others may now go on that had to wait behind it.
    mutating func endWait(_ wait: Wait) -> Bool {
        guard wait == .room else { return false }
        waitingForRoom &-= 1
        return waitingForRoom == 0
    }

    /// There is no room for a sender; returns whether that is new.
    mutating func noteBlocked(at now: UInt64) -> Bool {
        defer { blockedSince = min(blockedSince, now) }
        return blockedSince == .max
    }

    // MARK: Writing

    /// Whether the loop has to be asked for a flush now: there is something to write, and it was not asked yet.
    @inline(__always)
    mutating func requestFlush() -> Bool {
        guard !isFlushRequested, !isEmpty else { return false }
        isFlushRequested = true
        return true
    }

    /// More than this is left to the loop.
    static let directBytes = 4_096

    /// Whether a sender's own thread may write what has gathered: it is short, and nothing else waits.
    @inline(__always)
    var mayWriteDirectly: Bool {
        !isFlushRequested && unwrittenBytes == buffer.count && buffer.count <= Self.directBytes
    }

    /// Lets `write` write from the buffer past the loop, and accounts for what it wrote.
    ///
    /// - Parameter now: the time in milliseconds; nil when nobody asks when something was last written.
    mutating func writeDirectly(at now: @autoclosure () -> UInt64?, _ write: (inout WireBuffer) -> Int) {
        let written = write(&buffer)
        guard written > 0 else { return }
        unwrittenBytes &-= written
        counters.bytes &+= UInt64(written)
        handedBytes &+= UInt64(written)
        if let now = now() { lastHanded = now }
    }

    /// Lets somebody look whether what was handed over is acknowledged; returns whether nobody did so far.
    @inline(__always)
    mutating func beginWatch() -> Bool {
        guard handedBytes > settledBytes else { return false }
        settledBytes = .max
        return true
    }

    /// Everything that had been handed over when it was so many bytes is acknowledged.
    ///
    /// - Returns: whether that is all; otherwise the watch goes on.
    mutating func endWatch(of handed: UInt64) -> Bool {
        guard handedBytes == handed else { return false }
        settledBytes = handed
        return true
    }

    /// Takes what is to be written next. A filled buffer changes places with the empty one that is passed in.
    @inline(__always)
    mutating func takeNext(into empty: inout WireBuffer, at now: UInt64) -> Next {
        if !items.isEmpty {
            switch items.removeFirst() {
            case .file(let range):
                noteHanded(range.count, heartbeats: 0, at: now)
                return .file(range)
            case .bytes(let bytes):
                empty = bytes
                noteHanded(bytes.count, heartbeats: 0, at: now)
                return .bytes
            }
        }
        guard !buffer.isEmpty else {
            isFlushRequested = false
            return .nothing(hasLargeBuffer: buffer.isLarge)
        }
        swap(&buffer, &empty)
        noteHanded(empty.count, heartbeats: heartbeatBytes, at: now)
        heartbeatBytes = 0
        return .bytes
    }

    private mutating func noteHanded(_ bytes: Int, heartbeats: Int, at now: UInt64) {
        handedBytes &+= UInt64(bytes)
        if bytes > heartbeats { lastHanded = now }
    }

    /// What follows from a write.
    struct Written {
        /// Senders may go on.
        var hasRoom = false
        /// Part of the node's budget that is not needed any more.
        var releasedBytes = 0
    }

    /// So many bytes are written.
    @inline(__always)
    mutating func written(_ bytes: Int, marks: Marks) -> Written {
        unwrittenBytes &-= bytes
        counters.bytes &+= UInt64(bytes)
        guard unwrittenBytes <= marks.low else { return Written() }
        blockedSince = .max
        return Written(hasRoom: true, releasedBytes: releaseUnneeded())
    }

    /// Drops what waits: the link takes nothing more. It stays counted as unwritten.
    mutating func dropUnsent() {
        items = []
        buffer = WireBuffer()
    }

    /// Drops an empty buffer's room.
    mutating func dropEmptyBuffer() { if buffer.isEmpty { buffer = WireBuffer() } }

    /// Lets go of all of the budget that is not needed for what is unwritten; returns how much that was.
    mutating func releaseUnneeded() -> Int {
        let needed = max(SendBudget.freeBytes, unwrittenBytes)
        guard reservedBytes > needed else { return 0 }
        defer { reservedBytes = needed }
        return reservedBytes &- needed
    }

    /// The same for all of it: the connection has ended.
    mutating func releaseAll() -> Int {
        defer { reservedBytes = SendBudget.freeBytes }
        return reservedBytes &- SendBudget.freeBytes
    }
}
