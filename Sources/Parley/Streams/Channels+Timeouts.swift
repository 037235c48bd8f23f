// The time-outs of streams.

extension Channels {
    /// The time-outs of streams, in milliseconds.
    struct TimeLimits: Sendable {
        /// How long the negotiation of a protocol may take.
        var negotiation: UInt64
        /// How long a header may make no progress after it has begun, and the least progress.
        var header: UInt64?
        var leastBytesPerSecond: UInt64 = 128
        /// How long what has arrived may stay unread.
        var unread: UInt64?
        /// How long a writer may wait for room.
        var write: UInt64?

        /// How long a stream that this side has closed may stay open on the other side, once nothing of it is
        /// sent any more.
        var closed: UInt64 { unread ?? 60_000 }
        /// The earliest time after something has happened at which anything may be due.
        var shortest: UInt64 { min(negotiation, closed, header ?? .max) }
    }

    /// Ends the streams whose time is over, and wakes writers that wait for too long. Returns when to check
    /// again; `.max` for never. Times are milliseconds.
    mutating func checkTimeouts(at now: UInt64, _ limits: TimeLimits, _ effects: inout Effects) -> UInt64 {
        takeBackLent()
        var next = UInt64.max
        for channel in all {
            if let write = limits.write, channel.blockedSince != .max {
                let due = channel.blockedSince &+ write
                if now >= due { effects.woken.append(channel.waiters.wakeAll()) }
                next = min(next, due > now ? due : now &+ max(10, write / 4))
            }
            // Messages are lost when their stream ends, and wait as long as the connection lives.
            guard channel !== messagesOut, let limit = channel.timeLimit(limits) else { continue }
            let due = channel.readAt &+ limit
            guard now >= due else {
                next = min(next, due)
                continue
            }
            guard !goesOn(channel, at: now, limits) else {
                channel.readAt = now
                next = min(next, now &+ limit)
                continue
            }
            let what =
                switch channel.phase {
                case .readingHeader(length: .some): "sent too little of its header"
                case .proposing, .abandoned, .answering, .readingHeader: "agreed on no protocol"
                case .announced, .open, .messages: "was not read"
                case .closed: "was not ended by the other side"
                }
            let reason = ParleyError(.timedOut, "a stream of \(rules.remote) \(what) for \(limit) ms")
            if case .closed = channel.phase { session.abort(channel.id) }
            effects.woken.append(abort(channel, code: 0, reason))
        }
        return next
    }

    /// Whether a stream whose time is over gets it once more: it has come further meanwhile.
    private func goesOn(_ channel: Channel, at now: UInt64, _ limits: TimeLimits) -> Bool {
        switch channel.phase {
        case .readingHeader(length: .some):
            return channel.header.reaches(
                UInt64(channel.received.count),
                at: now,
                bytesPerSecond: limits.leastBytesPerSecond
            )
        case .closed:
            // Its last bytes leave, however slowly.
            let unsent = session.unsentBytes(of: channel.id)
            defer { channel.unsentBytes = min(channel.unsentBytes, unsent) }
            return unsent < channel.unsentBytes
        case .proposing, .abandoned, .answering, .readingHeader, .announced, .open, .messages: return false
        }
    }
}

extension Channel {
    /// How long the stream may stay as it is; nil when that has no limit.
    fileprivate func timeLimit(_ limits: Channels.TimeLimits) -> UInt64? {
        switch phase {
        case .readingHeader(length: .some): limits.header
        case .proposing, .abandoned, .answering, .readingHeader: limits.negotiation
        case .announced: limits.unread
        case .open: hasUnread ? limits.unread : nil
        case .messages: nil
        case .closed: limits.closed
        }
    }
}
