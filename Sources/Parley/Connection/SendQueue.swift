/// What one connection has accepted and not written yet. Decides whose turn it is, whether there is room, and
/// what is written next. A value without I/O, guarded by the connection's sending lock.
///
/// A byte is accepted by a send, handed to the link, written by the link to the socket, and acknowledged by
/// the other side's kernel. Bytes and messages collect in ``buffer``. A part of a file comes after everything
/// that was collected before it.
package struct SendQueue {
    /// The kinds of sends. An open stream makes messages, requests and other streams wait.
    enum Kind { case raw, message, request, streamOpening, streamBytes(of: UInt64) }

    /// Why a send has to wait.
    enum Wait: UInt8, CaseIterable {
        /// A stream is open, or others have waited longer.
        case behindOthers
        /// Too many bytes are unwritten.
        case room
        /// ``Limits/maxOpenRequests`` requests have no answer yet.
        case place

        /// Several of them.
        struct Mask: OptionSet {
            let rawValue: UInt8
        }

        var mask: Mask { Mask(rawValue: 1 << rawValue) }
    }

    /// One item for the link to write.
    enum Item {
        case bytes(WireBuffer)
        /// What the socket did not take of a direct write on a secured link. It is sealed already, and is
        /// written as it is. `of` is the length of the whole write before it was sealed, and `heartbeats` how
        /// many of those bytes are heartbeats. The whole write counts as unwritten until this is written.
        case sealed([UInt8], of: Int, heartbeats: Int)
        case file(FileRange)
    }

    /// The next item to write.
    enum Next {
        /// Nothing. `hasLargeBuffer`: the buffer has more capacity than an idle connection keeps.
        case nothing(hasLargeBuffer: Bool)
        /// The bytes that are now in the buffer that was passed in.
        case bytes
        case sealed([UInt8], of: Int)
        case file(FileRange)
    }

    /// What a direct write did with the buffer.
    enum DirectWrite {
        /// It removed so many of its first bytes: they are written.
        case written(Int)
        /// It sealed all of it, and the socket did not take these bytes.
        case sealed(rest: [UInt8])
    }

    /// The marks of unwritten bytes between which sends wait.
    struct Marks: Sendable {
        /// At this many sends begin to wait.
        let high: Int
        /// At this many they continue.
        let low: Int
    }

    /// Accepted, and not yet handed to the link. These come first; empty unless there are files.
    private(set) var items: [Item] = []
    /// The bytes after ``items``.
    private(set) var buffer = WireBuffer()
    /// Accepted and not written, including what the link has.
    private(set) var unwrittenBytes = 0
    /// How many bytes may be unwritten without more of the node's budget: the part that was taken of it, plus
    /// the free bytes.
    private(set) var reservedBytes = SendBudget.freeBytes
    private(set) var isFlushRequested = false
    /// Whether the acknowledgement watch runs.
    private(set) var isWatched = false
    /// Whether the open stream lacks something: a file or a long write is under way, or it was aborted.
    /// Otherwise what was accepted of it may be all; in a wire form without an end mark a program may close
    /// the connection to end its stream. False while no stream is open.
    private(set) var isStreamPartial = false
    /// How many senders wait for room. Later senders wait behind them.
    private(set) var waitingForRoom: UInt32 = 0
    /// The number of the open stream. Numbers start at 1; zero is none.
    private(set) var openStream: UInt64 = 0
    /// Since when senders find no room, in milliseconds; `.max` while there is room.
    private(set) var blockedSince = UInt64.max
    /// Bytes that were handed to the link or written directly, in all.
    private(set) var handedBytes: UInt64 = 0
    /// How many of the bytes handed over are known to be acknowledged: all of them when the last watch ended.
    private(set) var acknowledgedBytes: UInt64 = 0
    /// Bytes of heartbeats in ``buffer``.
    private(set) var heartbeatBytes = 0
    /// When something other than heartbeats was last handed over, in milliseconds.
    private(set) var lastHanded: UInt64 = 0
    private(set) var counters = SendCounters()

    /// Whether everything that was accepted is handed over.
    var isEmpty: Bool { items.isEmpty && buffer.isEmpty }

    /// Handed to the link, and not written yet.
    var linkBytes: Int { Int(truncatingIfNeeded: handedBytes &- counters.bytes) }

    /// Accepted, and not yet handed to the link.
    var unhandedBytes: Int { unwrittenBytes &- linkBytes }

    /// Whether a close now would lose accepted bytes or leave a stream without its end. The other side must
    /// then see a reset, not an orderly end.
    var isCutOff: Bool { unwrittenBytes > 0 || openStream != 0 }

    // MARK: Accepting

    /// Whether a send has to wait, as far as this queue knows. The node's budget may still refuse it.
    ///
    /// - Parameter waited: what the same send waited for before. It no longer counts as waiting.
    /// - Returns: nil when it may be appended, provided that ``isWithinReserve`` is true.
    @inline(__always)
    func wait(for kind: Kind, marks: Marks, waited: Wait? = nil) -> Wait? {
        switch kind {
        case .raw, .streamBytes: break
        case .message, .request, .streamOpening: if openStream != 0 { return .behindOthers }
        }
        guard unwrittenBytes < marks.high else { return .room }
        return waited == nil && waitingForRoom > 0 ? .behindOthers : nil
    }

    /// Whether the stream that the bytes belong to is still open. True for other kinds.
    func isOpen(_ kind: Kind) -> Bool {
        if case .streamBytes(let stream) = kind { stream == openStream } else { true }
    }

    /// Whether one more send may be appended without more of the node's budget.
    @inline(__always)
    var isWithinReserve: Bool { unwrittenBytes < reservedBytes }

    /// Whether the last append exceeded what is reserved. ``reserveRest()`` then returns by how much.
    @inline(__always)
    var isBeyondReserve: Bool { unwrittenBytes > reservedBytes }

    /// Adds a part of the node's budget that was taken for this connection.
    mutating func reserve(_ bytes: Int) { reservedBytes &+= bytes }

    /// Reserves everything that was appended. Returns how much more that is than before.
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

    /// Appends a part of a file after everything else.
    mutating func append(_ range: FileRange) {
        if !buffer.isEmpty {
            items.append(.bytes(buffer))
            buffer = WireBuffer()
            // A heartbeat queued before a file counts as activity.
            heartbeatBytes = 0
        }
        items.append(.file(range))
        unwrittenBytes &+= range.count
    }

    /// Counts an accepted send.
    @inline(__always)
    mutating func accepted(_ kind: Kind) {
        switch kind {
        case .message, .request: counters.messages &+= 1
        case .streamOpening:
            counters.streams &+= 1
            openStream = counters.streams
        case .raw, .streamBytes: break
        }
    }

    /// The number of the next stream.
    var nextStream: UInt64 { counters.streams &+ 1 }

    mutating func endStream() {
        openStream = 0
        isStreamPartial = false
    }

    /// Notes that the open stream, or the one whose opening is appended now, is not complete without more.
    mutating func beginPart() { isStreamPartial = true }

    /// Notes that what was accepted of the open stream may be all of it.
    mutating func endPart() { isStreamPartial = false }

    /// Marks the last appended bytes as a heartbeat, which is not activity.
    mutating func noteHeartbeat(_ bytes: Int) { heartbeatBytes &+= bytes }

    // MARK: Waiting

    /// Counts a refused send.
    mutating func noteRefusal() { counters.waits &+= 1 }

    /// Counts a sender that begins to wait.
    mutating func beginWait(_ wait: Wait) { if wait == .room { waitingForRoom &+= 1 } }

    /// Counts a sender that stops waiting: it tries again or gives up.
    ///
    /// - Returns: whether senders that had to wait behind it may go on.
    mutating func endWait(_ wait: Wait) -> Bool {
        guard wait == .room else { return false }
        waitingForRoom &-= 1
        return waitingForRoom == 0
    }

    /// Records that there is no room for a sender. Returns whether that is new.
    mutating func noteBlocked(at now: UInt64) -> Bool {
        defer { blockedSince = min(blockedSince, now) }
        return blockedSince == .max
    }

    // MARK: Writing

    /// Whether the loop has to be asked for a flush now: there is something to write, and it was not asked
    /// yet.
    @inline(__always)
    mutating func requestFlush() -> Bool {
        guard !isFlushRequested, !isEmpty else { return false }
        isFlushRequested = true
        return true
    }

    /// The most bytes of a direct write. More are left to the loop.
    static let directBytes = 4_096

    /// Whether a sender's own thread may write the buffer: it is short, and nothing else waits. A heartbeat
    /// in the buffer has requested a flush, so that no direct write mistakes it for activity.
    @inline(__always)
    var mayWriteDirectly: Bool { !isFlushRequested && isShort }

    /// Whether the buffer is short, and the link has nothing to write before it.
    @inline(__always)
    private var isShort: Bool { unwrittenBytes == buffer.count && buffer.count <= Self.directBytes }

    /// Lets `write` write from the buffer, past the loop, and accounts for what it wrote.
    ///
    /// - Parameter now: the time in milliseconds; nil when the time of the last write is not needed.
    @inline(__always)
    mutating func writeDirectly(
        at now: @autoclosure () -> UInt64?,
        _ write: (inout WireBuffer) -> DirectWrite
    ) {
        let count = buffer.count
        let written: Int
        switch write(&buffer) {
        case .written(let bytes): written = bytes
        case .sealed(let rest) where rest.isEmpty: written = count
        case .sealed(let rest):
            // The link writes it before everything else, and only then it is written.
            items.append(.sealed(rest, of: count, heartbeats: heartbeatBytes))
            heartbeatBytes = 0
            return
        }
        guard written > 0 else { return }
        unwrittenBytes &-= written
        counters.bytes &+= UInt64(written)
        handedBytes &+= UInt64(written)
        if let now = now() { lastHanded = now }
    }

    /// Lets the loop write the whole buffer past the link, when it is short and the link has nothing to
    /// write.
    ///
    /// - Returns: false when something is left: it goes through the link.
    @inline(__always)
    mutating func writeShort(at now: UInt64, _ write: (inout WireBuffer) -> DirectWrite) -> Bool {
        guard !buffer.isEmpty, isShort else { return false }
        let isActivity = buffer.count > heartbeatBytes
        writeDirectly(at: isActivity ? now : nil, write)
        guard unwrittenBytes == 0 else { return false }
        heartbeatBytes = 0
        isFlushRequested = false
        return true
    }

    /// Counts bytes that the link handed over by itself. `now` in milliseconds; nil when they are heartbeats.
    mutating func noteLinkHanded(_ bytes: Int, at now: UInt64?) {
        handedBytes &+= UInt64(bytes)
        counters.bytes &+= UInt64(bytes)
        if let now { lastHanded = now }
    }

    /// Starts the acknowledgement watch. Returns whether it did not run before.
    @inline(__always)
    mutating func beginWatch() -> Bool {
        guard !isWatched, handedBytes > acknowledgedBytes else { return false }
        isWatched = true
        return true
    }

    /// Ends the acknowledgement watch: the first `handed` bytes are acknowledged.
    ///
    /// - Returns: whether that is everything that was handed over. Otherwise the watch continues.
    mutating func endWatch(of handed: UInt64) -> Bool {
        acknowledgedBytes = handed
        isWatched = handedBytes != handed
        return !isWatched
    }

    /// Takes the next item to write. A filled buffer is swapped with the empty one that is passed in.
    @inline(__always)
    mutating func takeNext(into empty: inout WireBuffer, at now: UInt64) -> Next {
        if !items.isEmpty {
            switch items.removeFirst() {
            case .file(let range):
                noteHanded(range.count, heartbeats: 0, at: now)
                return .file(range)
            case .sealed(let bytes, let count, let heartbeats):
                noteHanded(count, heartbeats: heartbeats, at: now)
                return .sealed(bytes, of: count)
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
        /// Whether senders may go on.
        var hasRoom = false
        /// The part of the node's budget that is no longer needed.
        var releasedBytes = 0
    }

    /// Counts written bytes.
    @inline(__always)
    mutating func written(_ bytes: Int, marks: Marks) -> Written {
        unwrittenBytes &-= bytes
        counters.bytes &+= UInt64(bytes)
        guard unwrittenBytes <= marks.low else { return Written() }
        blockedSince = .max
        return Written(hasRoom: true, releasedBytes: releaseUnneeded())
    }

    /// Drops what is not handed to the link, which takes no more. It stays counted as unwritten.
    mutating func dropUnhanded() {
        items = []
        buffer = WireBuffer()
    }

    /// Releases an empty buffer's memory.
    mutating func dropEmptyBuffer() { if buffer.isEmpty { buffer = WireBuffer() } }

    /// Releases the part of the budget that the unwritten bytes do not need. Returns how much that was.
    mutating func releaseUnneeded() -> Int {
        let needed = max(SendBudget.freeBytes, unwrittenBytes)
        guard reservedBytes > needed else { return 0 }
        defer { reservedBytes = needed }
        return reservedBytes &- needed
    }

    /// Releases all of the budget: the connection has ended. Returns how much that was.
    mutating func releaseAll() -> Int {
        defer { reservedBytes = SendBudget.freeBytes }
        return reservedBytes &- SendBudget.freeBytes
    }
}
