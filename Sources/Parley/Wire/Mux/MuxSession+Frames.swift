// From what waits to frames.

extension MuxSession {
    /// A stream that has no more than this to send, and did not have to wait for it, says little. It goes
    /// ahead of those that have more.
    static let littleBytes = 16 * 1024
    /// How much a full stream sends in its turn while others wait; and how much all that say little may send
    /// before a full stream has its turn again. Each turn is a frame, which wakes a reader: with an eighth of
    /// it 100 full streams take three times as long.
    static let turnBytes = 128 * 1024
    /// How much is written at once, and in one frame of a stream that is alone, when streams that say little
    /// wait behind it.
    static let shortWriteBytes = 64 * 1024
    /// The same when nobody is there who would wait. With a quarter a full stream takes a third more time.
    static let longWriteBytes = 256 * 1024
    /// For how many bytes of others a stream that said little is expected to do so again.
    static let expectedBytes = 1024 * 1024
    /// Slices of at least so many bytes are written without a copy. What streams write comes in large blocks
    /// that wait for long and have left the cache: a copy of a part costs more than a segment of the write.
    private static let keptSliceBytes = 4 * 1024

    /// Whether ``takeFrames(into:upTo:at:)`` has something to give.
    var hasFrames: Bool {
        if localGoAway != nil, !isGoAwayWritten, violation != nil || isAllWritten { return true }
        return violation == nil && (!control.isEmpty || table.hasSenders)
    }

    private var isAllWritten: Bool { unsentBytes == 0 && control.isEmpty && !table.hasSenders }

    /// Appends about `limit` bytes of frames; the last frame may exceed it.
    ///
    /// Control frames come first: resets, answers, window updates. Then come the streams that say little, and
    /// then the full ones, in turns of ``turnBytes``.
    mutating func takeFrames(into output: inout WireBuffer, upTo limit: Int, at now: UInt64) {
        let (end, overflow) = output.count.addingReportingOverflow(limit)
        let fullCount = overflow ? Int.max : end
        if violation == nil {
            while output.count < fullCount {
                if let frame = control.popFirst() {
                    write(frame, into: &output, at: now)
                } else if let slot = nextSender {
                    takeTurn(slot, into: &output)
                } else {
                    break
                }
            }
        }
        guard let localGoAway, !isGoAwayWritten, violation != nil || isAllWritten else { return }
        isGoAwayWritten = true
        if violation == nil, localGoAway == .normal { writeLastPing(into: &output, at: now) }
        YamuxHeader(.goAway, stream: 0, length: localGoAway.rawValue).encode(into: &output)
    }

    /// One that is not answered yet no longer counts.
    private mutating func writeLastPing(into output: inout WireBuffer, at now: UInt64) {
        pingNumber &+= 1
        ping = Ping(number: pingNumber, sentAt: now)
        lastPing = pingNumber
        YamuxHeader(.ping, .syn, stream: 0, length: pingNumber).encode(into: &output)
    }

    private mutating func write(
        _ frame: MuxControlQueue.Frame,
        into output: inout WireBuffer,
        at now: UInt64
    ) {
        switch frame {
        case .pong(let number):
            waitingPongs -= 1
            YamuxHeader(.ping, .ack, stream: 0, length: number).encode(into: &output)
        case .ping(let number):
            ping?.sentAt = now
            YamuxHeader(.ping, .syn, stream: 0, length: number).encode(into: &output)
        case .reset(let id, let code, _):
            YamuxHeader(.windowUpdate, .rst, stream: id, length: code).encode(into: &output)
        case .update(let stream):
            writeUpdate(of: stream, into: &output)
        }
    }

    private mutating func writeUpdate(of stream: MuxStreamID, into output: inout WireBuffer) {
        guard table.contains(stream) else { return }
        let slot = stream.slot
        table[slot].marks.remove(.isUpdateQueued)
        // The stream may have ended meanwhile.
        let bytes = table[slot].isReadable ? table[slot].owedWindow : 0
        let flags = takeOpeningFlags(of: slot)
        guard bytes > 0 || !flags.isEmpty, table[slot].state != .over else { return }
        table[slot].receiveWindow += bytes
        YamuxHeader(.windowUpdate, flags, stream: stream.id, length: bytes).encode(into: &output)
    }

    /// The flags that the first frame of a stream carries.
    private mutating func takeOpeningFlags(of slot: UInt32) -> YamuxHeader.Flags {
        switch table[slot].opening {
        case .synOwed:
            table[slot].opening = .synSent
            return .syn
        case .ackOwed:
            acknowledge(slot)
            return .ack
        case .synSent, .acknowledged: return []
        }
    }

    /// The stream whose turn it is. Those that say little do not keep the full ones waiting for ever.
    private var nextSender: UInt32? {
        guard let full = table.firstFull else { return table.firstAhead }
        return bytesAhead < Self.turnBytes ? table.firstAhead ?? full : full
    }

    /// How much a stream sends in its turn.
    private func turn(of slot: UInt32) -> Int {
        if table[slot].marks.contains(.isAhead) {
            return table.firstFull == nil && table.isAlone(slot) ? writeBytes : Self.littleBytes
        }
        return table.isAlone(slot) ? writeBytes : min(writeBytes, Self.turnBytes)
    }

    /// Writes what the stream whose turn it is sends now: a frame, and its end behind the last bytes.
    ///
    /// The end is a frame of its own, with no other flag and no data. Yamux allows both, but the Go
    /// implementations heed a frame's flags before they read its data, and a reader there may see the end
    /// without the bytes; and others take one flag alone.
    private mutating func takeTurn(_ slot: UInt32, into output: inout WireBuffer) {
        let before = output.count
        let keepsFullWaiting = table[slot].marks.contains(.isAhead) && table.firstFull != nil
        let waiting = table[slot].unsent.count
        let count = min(waiting, turn(of: slot), Int(table[slot].sendWindow))
        note(count, of: waiting, from: slot)
        let flags = takeOpeningFlags(of: slot)
        let isLast = count == waiting && table[slot].owesFin
        let stream = MuxStreamID(id: table[slot].id, slot: slot)
        if count > 0 || !isLast || !flags.isEmpty {
            // An opening without data is a window update in every implementation.
            let type: YamuxHeader.FrameType = count > 0 ? .data : .windowUpdate
            YamuxHeader(type, flags, stream: stream.id, length: UInt32(count)).encode(into: &output)
        }
        var left = count
        while left > 0, let block = table[slot].unsent.popFirst(upTo: left) {
            left -= block.count
            output.append(block, keptFrom: Self.keptSliceBytes)
        }
        table[slot].sendWindow -= UInt32(count)
        unsentBytes -= count
        if isLast {
            YamuxHeader(.data, .fin, stream: stream.id, length: 0).encode(into: &output)
            _ = apply(.finSent, to: slot)
            resetIfFull(slot)
        }
        bytesAhead = keepsFullWaiting ? bytesAhead &+ (output.count - before) : 0
        // Who has asked for a larger window before gets it behind the opening.
        if flags.contains(.syn), table[slot].isUpdateDue { queueUpdate(of: stream) }
        noteRoom(in: stream)
        if table[slot].canSend { table.passTurn(of: slot) } else { table.stopSending(slot) }
        removeOrSchedule(slot)
    }

    /// How much to take for one write, with ``takeFrames(into:upTo:at:)``, and to write before the sockets
    /// are polled. A stream that has something new to send waits until this much is written.
    var writeBytes: Int {
        bytesSinceLittle < Self.expectedBytes ? Self.shortWriteBytes : Self.longWriteBytes
    }

    /// Notes whether a stream that sends `count` of its `waiting` bytes says little. The last frame of
    /// something long does not count as little.
    private mutating func note(_ count: Int, of waiting: Int, from slot: UInt32) {
        let wasCut = table[slot].marks.contains(.isCut)
        if count < waiting { table[slot].marks.insert(.isCut) } else { table[slot].marks.remove(.isCut) }
        let isLittle = !wasCut && count == waiting && count > 0 && count <= Self.littleBytes
        bytesSinceLittle = isLittle ? 0 : min(bytesSinceLittle + count, Self.expectedBytes)
    }

    private mutating func noteRoom(in stream: MuxStreamID) {
        guard table[stream.slot].marks.contains(.wantsRoom), table[stream.slot].isWritable,
            table[stream.slot].unsent.footprint <= limits.maxUnsentBytes / 2
        else { return }
        table[stream.slot].marks.remove(.wantsRoom)
        notices.append(.room(stream))
    }
}
