// From bytes to events.

extension MuxSession {
    /// Takes the next event from the front of `input`; nil when all of it is used, or ``framesLeft`` is.
    ///
    /// - Throws: ``ParleyError`` `protocolViolation`; ``violation`` says more. Every later call throws it
    ///   too.
    mutating func next(
        _ input: inout ArraySlice<UInt8>,
        at now: UInt64
    ) throws(ParleyError) -> MuxEvent? {
        if let violation { throw violation.error(at: position) }
        do throws(MuxViolation) {
            while true {
                if let event = try nextOfFrame(&input, at: now) { return event }
                guard frame.bytesLeft == 0, !input.isEmpty, framesLeft > 0 else { return nil }
                guard let header = try header.take(&input) else { return nil }
                framesLeft &-= header.flags.contains(.syn) ? Self.framesOfOpening : 1
                if let event = try handle(header, at: now) {
                    position &+= UInt64(YamuxHeader.byteCount)
                    return event
                }
                position &+= UInt64(YamuxHeader.byteCount)
            }
        } catch {
            throw fail(error)
        }
    }

    /// The next event of the frame whose header has arrived.
    private mutating func nextOfFrame(
        _ input: inout ArraySlice<UInt8>,
        at now: UInt64
    ) throws(MuxViolation) -> MuxEvent? {
        if frame.rest.remove(.opened) != nil { return .opened(frame.stream) }
        if frame.rest.remove(.acknowledged) != nil { return .acknowledged(frame.stream) }
        while frame.bytesLeft > 0 {
            guard !input.isEmpty else { return nil }
            let data = input.prefix(Int(frame.bytesLeft))
            input.removeFirst(data.count)
            frame.bytesLeft -= UInt32(data.count)
            position &+= UInt64(data.count)
            // The shell may have closed the stream since the frame began.
            guard !frame.rest.contains(.isDropped), table.contains(frame.stream),
                table[frame.stream.slot].isReadable
            else { continue }
            return .data(frame.stream, data)
        }
        guard frame.rest.remove(.finished) != nil, table.contains(frame.stream) else { return nil }
        if !table[frame.stream.slot].awaitsInput { try countIdle(at: now) }
        let actions = apply(.remoteFinished, to: frame.stream.slot)
        removeOrSchedule(frame.stream.slot)
        return actions.contains(.tellFinished) ? .finished(frame.stream) : nil
    }

    private mutating func handle(_ header: YamuxHeader, at now: UInt64) throws(MuxViolation) -> MuxEvent? {
        frame.rest = []
        switch header.type {
        case .data, .windowUpdate: return try handleStream(header, at: now)
        case .ping: return try handlePing(header, at: now)
        case .goAway:
            let code = GoAwayCode(rawValue: header.length)
            // The first one takes effect. What others change is the code that errors name.
            if remoteGoAway != nil { try countIdle(at: now) }
            guard remoteGoAway != code else { return nil }
            remoteGoAway = code
            return .goneAway(code)
        }
    }

    private mutating func countIdle(at now: UInt64) throws(MuxViolation) {
        guard idleFrames.admits(perSecond: limits.idleFramesPerSecond, at: now) else { throw .idleFrames }
    }

    // MARK: - The session's frames

    private mutating func handlePing(_ header: YamuxHeader, at now: UInt64) throws(MuxViolation) -> MuxEvent?
    {
        if header.flags.contains(.syn) {
            guard pings.admits(perSecond: limits.pingsPerSecond, at: now),
                waitingPongs < limits.maxUnansweredPings
            else { throw .pingFlood }
            waitingPongs += 1
            control.append(.pong(header.length))
            return nil
        }
        guard let ping, ping.number == header.length, let sentAt = ping.sentAt else {
            try countIdle(at: now)
            return nil
        }
        self.ping = nil
        if ping.number == lastPing { isAllRead = true }
        let elapsed = now.since(sentAt)
        roundTrip = roundTrip.map { $0 < elapsed ? $0 &+ (elapsed &- $0) / 8 : elapsed } ?? elapsed
        return .pong(roundTrip: elapsed)
    }

    // MARK: - A stream's frames

    private mutating func handleStream(
        _ header: YamuxHeader,
        at now: UInt64
    ) throws(MuxViolation) -> MuxEvent? {
        if header.type == .data {
            let largest = max(limits.maxWindowBytes, YamuxHeader.initialWindowBytes)
            guard header.length <= largest else {
                throw .frameTooLong(bytes: header.length, limit: largest)
            }
            frame.bytesLeft = header.length
        }
        if header.flags.contains(.syn) { return try handleOpening(header, at: now) }
        guard let slot = table.slot(of: header.stream) else {
            try handleWithoutStream(header, at: now)
            return nil
        }
        guard table[slot].opening != .synOwed else { throw .unknownStream(header.stream, header.type) }
        guard table[slot].state != .over else {
            try handleWithoutStream(header, at: now)
            return nil
        }
        return try handle(header, of: slot, at: now)
    }

    /// A frame of a stream that exists and is not over.
    private mutating func handle(
        _ header: YamuxHeader,
        of slot: UInt32,
        at now: UInt64
    ) throws(MuxViolation) -> MuxEvent? {
        let stream = MuxStreamID(id: header.stream, slot: slot)
        frame.stream = stream
        if header.flags.contains(.rst) { return handleReset(header, of: stream) }
        // An answer acknowledges, whatever its flags.
        let isNews = table[slot].opening == .synSent
        if isNews {
            acknowledge(slot)
            frame.rest.insert(.acknowledged)
        }
        if header.flags.contains(.fin) { frame.rest.insert(.finished) }
        if header.length == 0, !isNews, !header.flags.contains(.fin) { try countIdle(at: now) }
        switch header.type {
        case .data: try receive(header.length, on: slot)
        case .windowUpdate: try widen(slot, by: header.length)
        case .ping, .goAway: break
        }
        return nil
    }

    /// Counts a data frame against its stream's window, all of it when it begins.
    private mutating func receive(_ bytes: UInt32, on slot: UInt32) throws(MuxViolation) {
        guard bytes > 0 else { return }
        let window = table[slot].receiveWindow
        guard bytes <= window else {
            throw .beyondWindow(table[slot].id, bytes: bytes, window: window)
        }
        table[slot].receiveWindow -= bytes
        if apply(.data, to: slot).contains(.deliver) {
            table[slot].unconsumed += bytes
        } else {
            frame.rest.insert(.isDropped)
        }
        resetIfFull(slot)
        removeOrSchedule(slot)
    }

    private mutating func widen(_ slot: UInt32, by bytes: UInt32) throws(MuxViolation) {
        let (sum, overflow) = table[slot].sendWindow.addingReportingOverflow(bytes)
        guard !overflow else { throw .windowOverflow(table[slot].id) }
        table[slot].sendWindow = sum
        removeOrSchedule(slot)
    }

    private mutating func handleReset(_ header: YamuxHeader, of stream: MuxStreamID) -> MuxEvent? {
        frame.rest.insert(.isDropped)
        let wasClosed = table[stream.slot].isClosed
        _ = apply(.reset, to: stream.slot)
        removeOrSchedule(stream.slot)
        guard !wasClosed else { return nil }
        return .reset(stream, code: header.type == .windowUpdate ? header.length : 0)
    }

    /// A frame of a stream that is gone, or never was.
    private mutating func handleWithoutStream(
        _ header: YamuxHeader,
        at now: UInt64
    ) throws(MuxViolation) {
        frame.rest.insert(.isDropped)
        guard wasOpened(header.stream) else {
            guard header.flags.contains(.rst) || header.length == 0 else {
                throw .unknownStream(header.stream, header.type)
            }
            // An implementation that chooses the id first and then gives the stream up, or ends it, sends
            // this.
            guard idleFrames.admits(perSecond: limits.idleFramesPerSecond, at: now) else {
                throw .strayFrames
            }
            return
        }
        guard header.type == .data, header.length > 0 else {
            guard lateFrames == 0 else {
                lateFrames -= 1
                return
            }
            guard header.length > 0, header.flags.isDisjoint(with: [.rst, .fin]) else {
                return try countIdle(at: now)
            }
            guard lateUpdates.admits(perSecond: limits.lateUpdatesPerSecond, at: now) else {
                throw .idleFrames
            }
            return
        }
        guard Int(header.length) <= lateBytes else {
            throw .beyondWindowsOfGoneStreams(header.stream, bytes: header.length)
        }
        lateBytes -= Int(header.length)
    }

    /// Whether there is, or was, a stream with this id.
    private func wasOpened(_ id: UInt32) -> Bool {
        isOwn(id) ? UInt64(id) < nextID : remoteIDs.contains(id)
    }

    func isOwn(_ id: UInt32) -> Bool { (id & 1 == 1) == isDialer }

    // MARK: - Openings

    private mutating func handleOpening(
        _ header: YamuxHeader,
        at now: UInt64
    ) throws(MuxViolation) -> MuxEvent? {
        guard !isOwn(header.stream) else { throw .wrongParity(header.stream) }
        guard remoteIDs.use(header.stream) else { throw .usedStream(header.stream) }
        let isData = header.type == .data
        let initial = YamuxHeader.initialWindowBytes
        if isData, header.length > initial {
            throw .beyondWindow(header.stream, bytes: header.length, window: initial)
        }
        let refusal = try refusal(at: now)
        guard !header.flags.contains(.rst) else {
            frame.rest.insert(.isDropped)
            return nil
        }
        if let refusal {
            frame.rest.insert(.isDropped)
            allowLate(Int(initial - (isData ? header.length : 0)))
            allowLateFrames()
            control.append(.reset(header.stream, code: 0, isOwn: false))
            return .refused(header.stream, refusal)
        }
        frame.stream = insert(MuxStream(id: header.stream, opening: .ackOwed, at: now))
        remoteStreams += 1
        unaccepted += 1
        frame.rest.insert(.opened)
        if header.flags.contains(.fin) { frame.rest.insert(.finished) }
        if isData {
            try receive(header.length, on: frame.stream.slot)
        } else {
            try widen(frame.stream.slot, by: header.length)
        }
        return nil
    }

    /// Counts an opening. Returns the reason to refuse it; nil when it is admitted.
    private mutating func refusal(at now: UInt64) throws(MuxViolation) -> MuxRefusal? {
        guard control.refusals < limits.maxAnswers else { throw .answersUnread(control.refusals) }
        guard openings.admits(perSecond: limits.streamsPerSecond, at: now) else {
            guard refusals.admits(perSecond: limits.streamsPerSecond, at: now) else { throw .openingFlood }
            return .tooFast
        }
        if localGoAway != nil { return .goingAway }
        if remoteStreams >= limits.maxRemoteStreams { return .tooManyStreams }
        if unaccepted >= limits.maxUnaccepted { return .tooManyUnaccepted }
        return hasWindows(1) ? nil : .noMemory
    }
}
