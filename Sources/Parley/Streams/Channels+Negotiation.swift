// What comes before a stream's own bytes: the choice of its protocol, and the header if it is announced.

extension Channels {
    /// Takes what comes before a protocol's own bytes.
    mutating func negotiate(
        _ input: inout ArraySlice<UInt8>,
        of channel: Channel,
        blockBytes: Int,
        at now: UInt64,
        _ effects: inout Effects
    ) throws(ParleyError) {
        var answer = WireBuffer()
        switch channel.phase {
        case .proposing(var dialer):
            switch try dialer.receive(&input, into: &answer) {
            case .incomplete: channel.phase = .proposing(dialer)
            case .chosen: channel.phase = .open
            case .unsupported:
                throw ParleyError(.unsupported, "\(rules.remote) does not speak \(channel.name)")
            }
        case .abandoned(var dialer):
            guard case .incomplete = try dialer.receive(&input, into: &answer) else {
                channel.phase = .closed
                return session.close(channel.id)
            }
            channel.phase = .abandoned(dialer)
        case .answering(var listener):
            let refused = listener.refused
            // A name costs about as much as a frame.
            defer { session.framesLeft &-= listener.refused &- refused }
            do throws(ParleyError) {
                let name = try listener.receive(&input, isSupported: isSupported, into: &answer)
                try write(answer, to: channel)
                channel.phase = .answering(listener)
                if let name { begin(name, on: channel, &effects) }
            } catch {
                // Behind a name that was refused may come what was written ahead. The answer is still sent.
                _ = try? write(answer, to: channel)
                input = []
                refuse(channel, error)
            }
        case .readingHeader(let length):
            guard let header = try takeHeader(length, &input, of: channel, blockBytes: blockBytes, at: now)
            else { return }
            channel.phase = .announced
            effects.announced.append(.init(header: header, stream: channel.id.id))
        case .announced, .open, .messages, .closed: break
        }
    }

    /// Takes the header of a stream, which arrives in any pieces. What there is of it counts as held.
    ///
    /// - Returns: nil when more has to arrive.
    /// - Throws: `messageTooLong`.
    private mutating func takeHeader(
        _ length: Int?,
        _ input: inout ArraySlice<UInt8>,
        of channel: Channel,
        blockBytes: Int,
        at now: UInt64
    ) throws(ParleyError) -> ArraySlice<UInt8>? {
        guard let length else {
            hold(Multiplexed.lengthBytes, of: &input, in: channel, blockBytes: blockBytes)
            guard channel.received.count == Multiplexed.lengthBytes else { return nil }
            let length = takeHeld(channel).reduce(0) { $0 << 8 | Int($1) }
            guard length <= rules.maxHeaderBytes else {
                throw ParleyError(
                    .messageTooLong,
                    "the remote side sent a stream header of \(length) bytes, allowed are "
                        + "\(rules.maxHeaderBytes)"
                )
            }
            channel.phase = .readingHeader(length: length)
            channel.readAt = now / 1_000_000
            if input.count < length { channel.header = Health.Progress(at: channel.readAt) }
            return try takeHeader(length, &input, of: channel, blockBytes: blockBytes, at: now)
        }
        hold(length, of: &input, in: channel, blockBytes: blockBytes)
        return channel.received.count == length ? takeHeld(channel) : nil
    }

    /// Keeps bytes from the front of `input` until a stream has `count`.
    private mutating func hold(
        _ count: Int,
        of input: inout ArraySlice<UInt8>,
        in channel: Channel,
        blockBytes: Int
    ) {
        let part = input.prefix(max(0, count - channel.received.count))
        channel.received.append(part, keeping: blockBytes)
        countHeld(part.count, of: channel)
        input.removeFirst(part.count)
    }

    /// Takes everything that a stream holds, as one piece.
    private mutating func takeHeld(_ channel: Channel) -> ArraySlice<UInt8> {
        countHeld(-channel.received.count, of: channel)
        let first = channel.received.popFirst() ?? []
        guard !channel.received.isEmpty else { return first }
        var all: [UInt8] = []
        all.reserveCapacity(first.count + channel.received.count)
        all += first
        while let block = channel.received.popFirst() { all += block }
        return all[...]
    }

    /// Resets a stream whose opening cannot wait for the inbox.
    mutating func refuse(_ announcement: PeerState.Announcement) -> WaitQueue.Woken {
        counters.refused.count(.tooManyStreams)
        guard let channel = channel(number: announcement.stream) else { return WaitQueue.Woken() }
        let reason = ParleyError(.streamAborted, "too many openings of streams wait for the inbox")
        return abort(channel, code: 0, reason)
    }

    /// Resets a stream that was accepted and that nobody takes.
    mutating func refuse(_ channel: Channel) -> WaitQueue.Woken {
        counters.refused.notTaken &+= 1
        return abort(channel, code: 0, ParleyError(.streamAborted, "nobody takes the stream"))
    }

    /// Whether this side speaks a protocol now. It captures no more than it needs: a function of `self` would
    /// copy all of this value for every proposal.
    private var isSupported: (String) -> Bool {
        let (takesMessages, isSupported) = (messagesIn == nil, rules.isSupported)
        return { name in
            switch name {
            case Multiplexed.messages: takesMessages
            case Multiplexed.stream: true
            default: isSupported(name)
            }
        }
    }

    /// Begins the protocol that the other side has proposed.
    private mutating func begin(_ name: String, on channel: Channel, _ effects: inout Effects) {
        channel.name = name
        // The last place is that of the other side's messages, which may come after any number of streams.
        // The last windows are those of messages, too.
        let isLast = session.remoteStreams >= session.limits.maxRemoteStreams && messagesIn == nil
        let isRefused = isLast || !session.hasWindows(messageStreamsToCome)
        guard name == Multiplexed.messages || !isRefused else {
            counters.refused.count(.tooManyStreams)
            effects.refused.append(.tooManyStreams)
            return fail(channel, ParleyError(.streamAborted, "there are too many streams"), &effects)
        }
        switch name {
        case Multiplexed.messages:
            channel.phase = .messages
            messagesIn = channel
            session.finish(channel.id)
        case Multiplexed.stream: channel.phase = .readingHeader(length: nil)
        default:
            channel.phase = .open
            effects.accepted.append(channel)
        }
    }

    /// Writes an answer, which is small.
    mutating func write(_ answer: WireBuffer, to channel: Channel) throws(ParleyError) {
        guard !answer.isEmpty else { return }
        guard try session.write(answer.contiguous[...], to: channel.id) == answer.count else {
            throw ParleyError(.protocolViolation, "the remote side does not read the answers of a stream")
        }
    }
}
