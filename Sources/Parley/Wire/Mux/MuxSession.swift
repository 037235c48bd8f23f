/// A yamux session as a value: bytes in, events out; calls in, frames out. It has no sockets, clocks or
/// threads. All times are nanoseconds of one clock.
///
/// How a connection uses it, under one lock:
///
/// - **Reading.** For each block that is read: ``next(_:at:)`` until it returns nil. An event's data is a
///   slice of the block. The shell keeps it for the reader (``ByteQueue/append(_:keeping:)``) and reports
///   what the reader took with ``consumed(_:of:at:)``. The link is read always: a reader that is slow, or an
///   inbox that is full, does not consume, and the other side's window for that stream runs out. Nothing
///   else waits for it.
/// - **Writing.** ``write(_:to:)`` accepts bytes up to ``MuxLimits/maxUnsentBytes`` for each stream. When the
///   link takes more, ``takeFrames(into:upTo:at:)`` encodes what is next. Which stream's bytes go out is
///   decided then and not earlier, so `upTo` bounds how long a stream waits for the others.
/// - **After each group of calls**, and before the lock is released: ``nextNotice()`` until it returns nil;
///   and a flush when ``hasFrames``.
/// - **Streams.** Each stream that was opened, by either side, is the shell's until the notice `ended`. The
///   shell brings it there by reading to the end and ``finish(_:)``, by ``close(_:)`` or by
///   ``abort(_:code:)``. All three do nothing for a stream that is gone, as all calls with names do.
/// - **The end.** When ``next(_:at:)`` throws, the session is over: one last ``takeFrames(into:upTo:at:)``
///   gives the go-away frame, and the connection ends with the error. For an orderly end:
///   ``goAway(_:)``, write until ``isDrained``, receive until ``isAllRead``, close the link. When the link
///   ends by itself, ``streams`` are those that have to be told.
///
/// Memory is bounded as ``MuxLimits`` says. `Sendable`, but not to be copied while in use.
struct MuxSession: Sendable {
    /// May be changed at any time. What is granted or accepted already stays.
    var limits: MuxLimits
    /// Whether this side dialed: its streams have odd ids then.
    let isDialer: Bool
    /// How the other side broke the rules. Nothing after it is decoded.
    private(set) var violation: MuxViolation?
    /// The round trip in nanoseconds; nil before the first answer to a ping. Windows do not grow until it is
    /// known. A shorter measurement replaces it, and a longer one raises it by an eighth of the difference: a
    /// ping mostly takes longer because it waits behind other bytes, and larger windows would let more bytes
    /// wait. A shell that knows the round trip from elsewhere may set it.
    var roundTrip: UInt64?
    /// What the other side said last about its end.
    var remoteGoAway: GoAwayCode?
    /// What this side says at its end.
    var localGoAway: GoAwayCode?
    var isGoAwayWritten = false

    var table = MuxStreamTable()
    var control = MuxControlQueue()
    /// Streams that take more bytes, and streams that have ended, for ``nextNotice()``.
    var notices: [MuxNotice] = []
    var noticeHead = 0
    /// Whether an opening had to wait, and whether one that did may use the kept windows.
    var wantsToOpen = false
    var wantsKeptWindow = false
    /// How many windows are kept for streams to come. Other streams neither take them nor grow into them.
    var keptWindows = 0

    /// The next id of this side. Beyond 32 bits when all are used.
    var nextID: UInt64
    var remoteIDs: UsedStreamIDs
    /// Streams of this side that are not acknowledged.
    var unacknowledged = 0
    /// Streams of the other side, and those of them that are not acknowledged.
    var remoteStreams = 0
    var unaccepted = 0
    /// Bytes that wait to be sent on all streams.
    var unsentBytes = 0
    /// How many bytes were sent since a stream said little, up to ``expectedBytes``.
    var bytesSinceLittle = MuxSession.expectedBytes
    /// How many bytes streams that say little have sent while a full one waits for its turn.
    var bytesAhead = 0
    /// What all streams together may receive or have received and not consumed.
    var grantedBytes = 0
    /// How much of it is beyond the initial windows.
    var grownBytes = 0

    // Receiving
    var header = PartialYamuxHeader()
    var frame = IncomingFrame()
    /// How many bytes of the session have been used, for error messages.
    var position: UInt64 = 0
    /// How many bytes may still arrive for streams that are gone: what was left of their windows.
    var lateBytes = 0
    /// How many frames without data may still arrive for them before they count as idle ones.
    var lateFrames = 0

    /// How many more frames ``next(_:at:)`` takes before it returns nil with input left. An opening counts as
    /// ``framesOfOpening``. Whoever bounds the work of one turn sets it.
    var framesLeft = Int.max

    // Floods
    var openings = RateLimit()
    var refusals = RateLimit()
    var pings = RateLimit()
    var idleFrames = RateLimit()
    var lateUpdates = RateLimit()
    var waitingPongs = 0

    /// The ping that is not answered: its number, and when it was written.
    var ping: Ping?
    var pingNumber: UInt32 = 0

    struct Ping: Sendable {
        let number: UInt32
        var sentAt: UInt64?
    }

    /// The number of the ping that was written right before an orderly go-away.
    var lastPing: UInt32?
    /// Whether the other side has answered that ping, and so has read all data before it. The socket stays
    /// open until then. The other side writes by itself, such as answers to pings, and a closed socket
    /// answers that with a reset, which drops what it has not read. The go-away behind the ping may still be
    /// unread.
    var isAllRead = false

    /// What is left of the frame that is being received.
    struct IncomingFrame: Sendable {
        struct Rest: OptionSet, Sendable {
            let rawValue: UInt8

            static let opened = Rest(rawValue: 1)
            static let acknowledged = Rest(rawValue: 2)
            static let finished = Rest(rawValue: 4)
            /// The data has no stream and is dropped.
            static let isDropped = Rest(rawValue: 8)
        }

        var stream = MuxStreamID(id: 0, slot: 0)
        var bytesLeft: UInt32 = 0
        /// The events that are not delivered yet.
        var rest: Rest = []
    }

    init(isDialer: Bool, limits: MuxLimits = MuxLimits()) {
        self.limits = limits
        self.isDialer = isDialer
        nextID = isDialer ? 1 : 2
        remoteIDs = UsedStreamIDs(first: isDialer ? 2 : 1)
    }

    // MARK: - What it holds

    var streamCount: Int { table.count }

    /// All streams, in no particular order.
    var streams: [MuxStreamID] { table.ids }

    func contains(_ stream: MuxStreamID) -> Bool { table.contains(stream) }

    /// Whether everything that was accepted is written, the go-away too.
    var isDrained: Bool {
        unsentBytes == 0 && control.isEmpty && !table.hasSenders
            && (localGoAway == nil || isGoAwayWritten)
    }

    /// Whether the bytes so far end inside a frame. The end of the connection is then `truncated`.
    var isInsideFrame: Bool { header.count > 0 || frame.bytesLeft > 0 }

    // MARK: - Notices

    /// The next of what follows from the calls so far; nil when there is no more.
    mutating func nextNotice() -> MuxNotice? {
        while noticeHead < notices.count {
            let notice = notices[noticeHead]
            noticeHead += 1
            // The stream may have ended since, or have been filled again.
            if case .room(let stream) = notice {
                guard table.contains(stream), table[stream.slot].isWritable, room(in: stream) > 0 else {
                    continue
                }
            }
            return notice
        }
        if !notices.isEmpty {
            notices.empty(keeping: Self.keptNotices)
            noticeHead = 0
        }
        guard wantsToOpen, violation == nil,
            localGoAway != nil || remoteGoAway != nil || hasRoomToOpen(intoKept: wantsKeptWindow)
        else { return nil }
        (wantsToOpen, wantsKeptWindow) = (false, false)
        return .openable
    }

    private static let keptNotices = 16

    // MARK: - Changes of streams

    /// Changes a stream and counts what it grants.
    mutating func change<Result>(_ slot: UInt32, _ body: (inout MuxStream) -> Result) -> Result {
        let (granted, grown) = (table[slot].grantedBytes, table[slot].grownBytes)
        defer {
            grantedBytes &+= table[slot].grantedBytes &- granted
            grownBytes &+= table[slot].grownBytes &- grown
        }
        return body(&table[slot])
    }

    mutating func insert(_ stream: MuxStream) -> MuxStreamID {
        grantedBytes += stream.grantedBytes
        return table.insert(stream)
    }

    /// Applies an event to a stream. The caller performs what follows.
    mutating func apply(_ event: MuxStream.Event, to slot: UInt32) -> MuxStream.Actions {
        let wasOver = table[slot].state == .over
        let actions = change(slot) { $0.apply(event) }
        guard table[slot].state == .over, !wasOver else { return actions }
        forgetUnsent(of: slot)
        allowLate(Int(table[slot].receiveWindow))
        return actions
    }

    /// Resets a stream that this side has closed, once the other side has used its window up.
    ///
    /// Until then what arrives is dropped, and nothing is said: some implementations forget what they have
    /// received and not read when a reset comes, and that may be the answer.
    mutating func resetIfFull(_ slot: UInt32) {
        guard table[slot].isClosedAndFull else { return }
        queueReset(of: slot, code: 0)
        _ = apply(.reset, to: slot)
    }

    /// Queues a reset. Its stream is over, or will be.
    mutating func queueReset(of slot: UInt32, code: UInt32) {
        // The other side does not know of it.
        guard table[slot].opening != .synOwed else { return }
        let id = table[slot].id
        control.append(.reset(id, code: code, isOwn: isOwn(id)))
    }

    /// The other side may send this much for streams that are gone: before it learns of it, or in parallel to
    /// its own reset or end.
    mutating func allowLate(_ bytes: Int) {
        let (sum, overflow) = lateBytes.addingReportingOverflow(bytes)
        lateBytes = overflow ? .max : sum
    }

    /// A stream is gone. The other side may not know it yet, or send what is of no use any more.
    mutating func allowLateFrames() {
        lateFrames = min(lateFrames + Self.lateFramesOfStream, Self.maxLateFrames)
    }

    /// What follows from an opening costs about as much as so many other frames.
    static let framesOfOpening = 8

    /// A window update, an end and a reset, which cross with ours, and one more.
    static let lateFramesOfStream = 4
    private static let maxLateFrames = 65_536

    private mutating func forgetUnsent(of slot: UInt32) {
        unsentBytes -= table[slot].unsent.count
        table[slot].unsent.removeAll()
        table.stopSending(slot)
    }

    /// Removes a stream that is over, once its bytes are consumed. Otherwise gives it its turn to send.
    mutating func removeOrSchedule(_ slot: UInt32) {
        guard table[slot].state == .over, table[slot].unconsumed == 0 else {
            if table[slot].canSend { table.startSending(slot) }
            return
        }
        countOpening(table[slot].opening)
        if !table[slot].marks.contains(.isOwn) { remoteStreams -= 1 }
        let stream = MuxStreamID(id: table[slot].id, slot: slot)
        allowLateFrames()
        table.remove(slot)
        notices.append(.ended(stream))
    }

    /// Marks a stream as acknowledged.
    mutating func acknowledge(_ slot: UInt32) {
        countOpening(table[slot].opening)
        table[slot].opening = .acknowledged
    }

    /// Counts a stream that is acknowledged now, or is gone.
    private mutating func countOpening(_ opening: MuxStream.Opening) {
        switch opening {
        case .synOwed, .synSent: unacknowledged -= 1
        case .ackOwed: unaccepted -= 1
        case .acknowledged: break
        }
    }

    // MARK: - The end

    /// Ends the session: nothing but a go-away is written any more.
    mutating func fail(_ violation: MuxViolation) -> ParleyError {
        self.violation = violation
        localGoAway = .protocolError
        isGoAwayWritten = false
        control.removeAll()
        return violation.error(at: position)
    }
}
