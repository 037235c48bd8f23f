// What this side does with streams.

extension MuxSession {
    enum Opening: Sendable, Equatable {
        case opened(MuxStreamID)
        /// The notice `openable` says when to try again.
        case waits
    }

    /// Opens a stream. The frame that tells the other side carries the first bytes, if some are written
    /// before the next ``takeFrames(into:upTo:at:)``.
    ///
    /// - Parameter intoKept: whether it may use the windows that are kept.
    /// - Throws: `closed` when one of the sides has said go-away or all ids are used; the violation.
    mutating func open(at now: UInt64, intoKept: Bool = false) throws(ParleyError) -> Opening {
        if let violation { throw violation.error(at: position) }
        if localGoAway != nil { throw ParleyError(.closed, "this side opens no more streams") }
        if let remoteGoAway {
            let code = remoteGoAway.rawValue
            throw ParleyError(.closed, "the remote side takes no more streams (code \(code))")
        }
        guard let id = UInt32(exactly: nextID) else {
            throw ParleyError(.closed, "all stream ids of the connection are used")
        }
        guard hasRoomToOpen(intoKept: intoKept) else {
            wantsToOpen = true
            if intoKept { wantsKeptWindow = true }
            return .waits
        }
        nextID += 2
        unacknowledged += 1
        var stream = MuxStream(id: id, opening: .synOwed, at: now)
        stream.marks = .isOwn
        let name = insert(stream)
        table.startSending(name.slot)
        return .opened(name)
    }

    /// Whether the other side's backlog and the limits of this side allow another stream.
    func hasRoomToOpen(intoKept: Bool) -> Bool {
        unacknowledged < limits.maxUnacknowledged && table.count < limits.maxStreams
            && hasWindows(intoKept ? 1 : 1 + keptWindows)
    }

    /// Whether so many more streams may have their first window.
    func hasWindows(_ count: Int) -> Bool {
        grantedBytes + count * Int(YamuxHeader.initialWindowBytes) <= limits.maxGrantedBytes
    }

    /// Acknowledges a stream of the other side. The first frame that is sent on it does so too: this is for
    /// streams that are only read.
    mutating func accept(_ stream: MuxStreamID) {
        guard table.contains(stream), table[stream.slot].opening == .ackOwed else { return }
        queueUpdate(of: stream)
    }

    /// Appends bytes to what waits to be sent.
    ///
    /// - Returns: how many bytes from the front are accepted. When they are not all, the notice `room` says
    ///   when to try again.
    /// - Throws: `closed` after ``finish(_:)`` and ``close(_:)``; `streamAborted` for a stream that is gone;
    ///   the violation.
    mutating func write(_ bytes: ArraySlice<UInt8>, to stream: MuxStreamID) throws(ParleyError) -> Int {
        let accepted = try bytes.prefix(room(for: bytes.count, in: stream))
        table[stream.slot].unsent.append(accepted, keeping: accepted.count)
        unsentBytes += accepted.count
        if table[stream.slot].canSend { table.startSending(stream.slot) }
        return accepted.count
    }

    /// How many of `count` bytes a write accepts. When they are not all, the notice `room` says when to try
    /// again.
    ///
    /// - Throws: as ``write(_:to:)``.
    mutating func room(for count: Int, in stream: MuxStreamID) throws(ParleyError) -> Int {
        if let violation { throw violation.error(at: position) }
        guard table.contains(stream), table[stream.slot].state != .over else {
            throw ParleyError(.streamAborted, "stream \(stream.id) is gone")
        }
        guard table[stream.slot].isWritable else {
            throw ParleyError(.closed, "this side has ended stream \(stream.id)")
        }
        let room = min(count, room(in: stream))
        if room < count { table[stream.slot].marks.insert(.wantsRoom) }
        return room
    }

    /// How many bytes a write accepts. Zero for a stream that is gone.
    func room(in stream: MuxStreamID) -> Int {
        guard table.contains(stream) else { return 0 }
        return max(0, limits.maxUnsentBytes - table[stream.slot].unsent.footprint)
    }

    /// How many bytes of a stream wait to be sent. Zero for one that is gone.
    func unsentBytes(of stream: MuxStreamID) -> Int {
        table.contains(stream) ? table[stream.slot].unsent.count : 0
    }

    /// Ends the sending side, behind what was written. The other side may go on.
    mutating func finish(_ stream: MuxStreamID) {
        guard table.contains(stream) else { return }
        _ = apply(.finish, to: stream.slot)
        removeOrSchedule(stream.slot)
    }

    /// Ends the stream for this side: what was written is still sent, nothing is read any more. The shell
    /// drops what it has not read. If the other side goes on sending until its window is used up, the stream
    /// is reset, once everything is written. Who wants to be sure that all was read waits for `finished`
    /// before.
    ///
    /// A stream whose other side neither sends nor ends stays in the session until it is aborted.
    mutating func close(_ stream: MuxStreamID) {
        guard table.contains(stream) else { return }
        _ = apply(.close, to: stream.slot)
        change(stream.slot) { $0.unconsumed = 0 }
        resetIfFull(stream.slot)
        removeOrSchedule(stream.slot)
    }

    /// Resets the stream. What was written and not sent is dropped, and so is what was not read.
    ///
    /// - Parameter code: sent with the reset. Implementations without codes ignore it.
    mutating func abort(_ stream: MuxStreamID, code: UInt32 = 0) {
        guard table.contains(stream) else { return }
        if table[stream.slot].state != .over { queueReset(of: stream.slot, code: code) }
        _ = apply(.reset, to: stream.slot)
        change(stream.slot) { $0.unconsumed = 0 }
        removeOrSchedule(stream.slot)
    }

    /// Asks the other side for an answer, to measure the round trip or to see that it is alive.
    ///
    /// - Returns: false while another ping is not answered.
    mutating func sendPing() -> Bool {
        guard ping == nil, violation == nil else { return false }
        pingNumber &+= 1
        ping = Ping(number: pingNumber)
        control.append(.ping(pingNumber))
        return true
    }

    /// Takes and opens no more streams. The frame is written when nothing else waits: some implementations
    /// end at once when they get it. A ping goes before it in an orderly end; see ``isAllRead``. Only the
    /// first code counts.
    mutating func goAway(_ code: GoAwayCode) {
        if localGoAway == nil { localGoAway = code }
    }

    // MARK: - What was read

    /// Reports that the reader took bytes of a stream. The other side may send as many again: it learns so
    /// when half of the window is free.
    ///
    /// When the other side used all of the window in less than one and a half round trips, the window limits
    /// the speed, and is doubled. A half alone tells little: what arrives while this side does something
    /// else is read at once. A window of two round trips is enough; more would only wait in the buffers on
    /// the way, and everything else behind it.
    mutating func consumed(_ bytes: Int, of stream: MuxStreamID, at now: UInt64) {
        guard table.contains(stream) else { return }
        change(stream.slot) { $0.unconsumed -= UInt32(clamping: min(bytes, Int($0.unconsumed))) }
        if table[stream.slot].isUpdateDue {
            grow(stream.slot, at: now)
            queueUpdate(of: stream)
        }
        removeOrSchedule(stream.slot)
    }

    private mutating func grow(_ slot: UInt32, at now: UInt64) {
        let microseconds = UInt32(truncatingIfNeeded: now / 1_000)
        let elapsed = UInt64(microseconds &- table[slot].formerlyUpdatedAt) * 1_000
        table[slot].formerlyUpdatedAt = table[slot].updatedAt
        table[slot].updatedAt = microseconds
        guard let roundTrip, elapsed / 3 < roundTrip / 2 else { return }
        grow(slot, to: 2 * Int(table[slot].windowBytes))
    }

    /// Grants a stream that is read a window of at least so many bytes, as far as the limits allow.
    ///
    /// For a reader that knows it takes much. A window grows by itself only to what the measured round trip
    /// needs. On a fast network waking threads takes longer than that, and the sender stands still meanwhile.
    mutating func widen(_ stream: MuxStreamID, to byteCount: Int) {
        guard table.contains(stream), table[stream.slot].isReadable else { return }
        grow(stream.slot, to: byteCount)
        // The opening comes first, in its turn.
        if table[stream.slot].isUpdateDue, table[stream.slot].opening != .synOwed { queueUpdate(of: stream) }
    }

    private mutating func grow(_ slot: UInt32, to byteCount: Int) {
        let more = min(
            min(byteCount, Int(limits.maxWindowBytes)) - Int(table[slot].windowBytes),
            limits.maxGrantedBytes / 2 - grownBytes,
            limits.maxGrantedBytes - grantedBytes - keptWindows * Int(YamuxHeader.initialWindowBytes)
        )
        guard more > 0 else { return }
        change(slot) { $0.windowBytes += UInt32(more) }
    }

    mutating func queueUpdate(of stream: MuxStreamID) {
        guard !table[stream.slot].marks.contains(.isUpdateQueued) else { return }
        table[stream.slot].marks.insert(.isUpdateQueued)
        control.append(.update(stream))
    }
}
