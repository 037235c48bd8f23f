// What arrives on the streams of a connection.

extension Channels {
    /// Takes a block that was read.
    ///
    /// - Parameter frames: how many frames to take at most, about.
    /// - Returns: what is left of the block: it held more frames. Nothing after a failure.
    @discardableResult
    mutating func receive(
        _ block: ArraySlice<UInt8>,
        atMost frames: Int = .max,
        at now: UInt64,
        _ effects: inout Effects
    ) -> ArraySlice<UInt8> {
        var input = block
        takeBackLent()
        // The end of a slice tells how large its array is at least: this may be the rest of a block.
        lenderBytes = block.endIndex
        session.framesLeft = frames
        do throws(ParleyError) {
            while let event = try session.next(&input, at: now) {
                handle(event, blockBytes: block.endIndex, at: now, &effects)
            }
        } catch {
            effects.failure = error
            return []
        }
        return input
    }

    private mutating func handle(
        _ event: MuxEvent,
        blockBytes: Int,
        at now: UInt64,
        _ effects: inout Effects
    ) {
        switch event {
        case .opened(let id):
            effects.isActivity = true
            // A stream that was reset has left the session, but perhaps not its handler.
            guard taken < session.limits.maxRemoteStreams, rules.admits() else {
                session.abort(id)
                counters.refused.count(.tooManyStreams)
                return effects.refused.append(.tooManyStreams)
            }
            counters.received &+= 1
            add(Channel(id, isOutbound: false, .answering(NegotiationListener()), at: now / 1_000_000))
        case .acknowledged: break
        case .data(let id, let bytes):
            effects.isActivity = true
            guard let channel = channel(id) else { return }
            take(bytes, of: channel, blockBytes: blockBytes, at: now, &effects)
        case .finished(let id):
            effects.isActivity = true
            if let channel = channel(id) { finished(channel, &effects) }
        case .reset(let id, let code):
            effects.isActivity = true
            if let channel = channel(id) { reset(channel, code: code, &effects) }
        case .refused(_, let refusal):
            counters.refused.count(refusal)
            effects.refused.append(refusal)
        case .pong(let roundTrip): effects.roundTrip = roundTrip
        case .goneAway:
            effects.woken.append(openWaiters.wakeAll())
            // Their stream can no longer be opened. What is still to be read is not affected.
            if messagesOut == nil { messagesAreRefused(&effects) }
        }
    }

    /// Takes bytes of a stream.
    private mutating func take(
        _ bytes: ArraySlice<UInt8>,
        of channel: Channel,
        blockBytes: Int,
        at now: UInt64,
        _ effects: inout Effects
    ) {
        var rest = bytes
        while !rest.isEmpty {
            switch channel.phase {
            case .announced where channel.inputEnd != nil, .open where channel.inputEnd != nil:
                // The connection ends, and what was there is dropped. A gap would come before these bytes.
                return session.consumed(rest.count, of: channel.id, at: now)
            case .announced, .open, .messages:
                if !channel.hasUnread { channel.readAt = now / 1_000_000 }
                keep(rest, of: channel, blockBytes: blockBytes)
                if channel === messagesIn { effects.messageBytes += rest.count }
                return effects.woken.append(channel.waiters.wakeAll())
            case .closed: return session.consumed(rest.count, of: channel.id, at: now)
            case .proposing, .abandoned, .answering, .readingHeader:
                let before = rest.count
                do throws(ParleyError) {
                    try negotiate(&rest, of: channel, blockBytes: blockBytes, at: now, &effects)
                } catch {
                    return fail(channel, error, &effects)
                }
                session.consumed(before - rest.count, of: channel.id, at: now)
            }
        }
    }

    /// Keeps bytes for a stream's reader. Most readers take them before more is read: until then the block of
    /// which they are a part stays.
    private mutating func keep(_ bytes: ArraySlice<UInt8>, of channel: Channel, blockBytes: Int) {
        countHeld(bytes.count, of: channel)
        let before = channel.received.blockCount
        let isLent = channel.received.append(bytes, lentBy: blockBytes)
        guard isLent || channel.lentBlocks > 0 else { return }
        if channel.lentBlocks == 0 { borrowers.append(channel) }
        channel.lentBlocks += UInt16(clamping: channel.received.blockCount - before)
    }

    /// Copies what was lent and not read. At most one block of a connection is kept by smaller parts.
    @inline(never)
    mutating func takeBackLent() {
        guard !borrowers.isEmpty else { return }
        for channel in borrowers {
            channel.received.copyOut(last: Int(channel.lentBlocks), of: lenderBytes)
            channel.lentBlocks = 0
        }
        borrowers.empty(keeping: Self.keptBorrowers)
    }

    private static let keptBorrowers = 16

    /// The other side sends no more.
    private mutating func finished(_ channel: Channel, _ effects: inout Effects) {
        guard channel.isNegotiated else {
            let reason = ParleyError(.truncated, "the stream ended inside the negotiation of its protocol")
            guard case .answering = channel.phase else { return fail(channel, reason, &effects) }
            return refuse(channel, reason)
        }
        if channel.inputEnd == nil { channel.inputEnd = .finished }
        effects.woken.append(channel.waiters.wakeAll())
    }

    private mutating func reset(_ channel: Channel, code: UInt32, _ effects: inout Effects) {
        if channel === messagesOut, !channel.isNegotiated {
            // A node that does not know them may say so by a reset alone.
            messagesAreRefused(&effects)
        } else if channel === messagesOut || channel === messagesIn {
            effects.failure = ParleyError(
                .protocolViolation,
                "the remote side has reset the stream of \(channel === messagesIn ? "its" : "our") messages"
            )
        }
        let reason = ParleyError(streamAborted: code, reason: "it was reset")
        if case .finished = channel.inputEnd {
            // Everything has arrived, and is still read: without the rest, the end would pass for that of
            // all.
            if channel.outputEnd == nil { channel.outputEnd = .failed(reason) }
        } else {
            channel.end(reason)
            channel.phase = .closed
            drop(channel)
            session.consumed(.max, of: channel.id, at: 0)
        }
        effects.woken.append(channel.waiters.wakeAll())
    }

    /// Ends a stream of the other side that gets no protocol. The answers that wait are still sent.
    mutating func refuse(_ channel: Channel, _ reason: ParleyError) {
        channel.end(reason)
        channel.phase = .closed
        session.close(channel.id)
    }

    /// Ends a stream that cannot go on.
    mutating func fail(_ channel: Channel, _ reason: ParleyError, _ effects: inout Effects) {
        channel.end(reason)
        channel.phase = .closed
        drop(channel)
        session.abort(channel.id)
        if channel === messagesOut { messagesAreRefused(&effects) }
        effects.woken.append(channel.waiters.wakeAll())
    }

    /// The other side takes no messages, or none any more. What waits to be sent is dropped.
    private mutating func messagesAreRefused(_ effects: inout Effects) {
        guard !areMessagesRefused else { return }
        areMessagesRefused = true
        let reason =
            session.remoteGoAway == nil
            ? ParleyError(.unsupported, "\(rules.remote) takes no messages, only streams")
            : ParleyError(
                .endOfStream,
                "\(rules.remote) takes no more messages: it has said that it closes"
            )
        effects.messagesRefused = reason
        unwritten.removeAll()
    }

    /// Drops what was not read.
    mutating func drop(_ channel: Channel) {
        countHeld(-channel.received.count, of: channel)
        channel.received.removeAll()
    }

    /// The link below delivers no more.
    mutating func endInput(_ reason: ParleyError) -> WaitQueue.Woken {
        guard inputEnd == nil else { return WaitQueue.Woken() }
        inputEnd = reason
        let isOrderly = reason.code == .endOfStream
        let cut = isOrderly ? ParleyError(.truncated, "the connection ended inside a stream") : reason
        var woken = openWaiters.wakeAll()
        for channel in all where channel.inputEnd == nil {
            // Both directions: who has read this must not write to a side that has gone. One that has said
            // all may still read.
            channel.end(cut)
            woken.append(channel.waiters.wakeAll())
        }
        return woken
    }

    /// What ends of every stream with its connection.
    enum Ending {
        /// Nothing more is written; something may still arrive.
        case output
        /// Nothing more arrives either. What did is still read.
        case both
        /// What arrived and was not read is dropped too.
        case bothAtOnce
    }

    /// Ends every stream: the connection ends.
    mutating func end(_ reason: ParleyError, _ what: Ending) -> WaitQueue.Woken {
        if end == nil { end = reason }
        var woken = openWaiters.wakeAll()
        for channel in all {
            switch what {
            case .output: if channel.outputEnd == nil { channel.outputEnd = .failed(reason) }
            case .both: channel.end(reason)
            case .bothAtOnce:
                if channel === messagesIn { channel.end(reason) } else { cut(channel, reason) }
            }
            woken.append(channel.waiters.wakeAll())
        }
        return woken
    }

    /// Drops everything that was received and not read, and fails its readers.
    mutating func dropHeld(_ reason: ParleyError) -> WaitQueue.Woken {
        var woken = WaitQueue.Woken()
        for channel in all {
            guard channel !== messagesIn else {
                drop(channel)
                continue
            }
            cut(channel, reason)
            woken.append(channel.waiters.wakeAll())
        }
        return woken
    }

    /// Drops what was not read of a stream, and fails its reader, also when the stream had arrived to its
    /// end: what is left would pass for all of it.
    private mutating func cut(_ channel: Channel, _ reason: ParleyError) {
        channel.end(reason)
        channel.inputEnd = .failed(reason)
        drop(channel)
    }
}
