// Messages, which have a stream of their own in each direction.

extension Channels {
    /// Takes messages that are encoded. They wait here and in the session until ``takeFrames(into:upTo:at:)``
    /// says that they are sent.
    ///
    /// - Returns: false when there is nothing to wait for: the other side takes none, or no more.
    mutating func write(messages buffer: WireBuffer, at now: UInt64) throws(ParleyError) -> Bool {
        guard !areMessagesRefused else { return false }
        for segment in buffer.segments { unwritten.append(segment) }
        unwritten.append(buffer.tail.copied[...])
        try pushMessages(at: now)
        areMessagesOwed = !areMessagesOver
        return areMessagesOwed
    }

    /// Lets the session take messages, as many as it has room for.
    mutating func pushMessages(at now: UInt64) throws(ParleyError) {
        if messagesOut == nil { messagesOut = try open(Multiplexed.messages, at: now) }
        guard let messagesOut else { return }
        while let block = unwritten.popFirst() {
            let taken = try session.write(block, to: messagesOut.id)
            guard taken == block.count else { return unwritten.prepend(block.dropFirst(taken)) }
        }
    }

    /// How many streams of messages may still be opened, by either side. Windows are kept for them.
    var messageStreamsToCome: Int {
        (messagesIn == nil ? 1 : 0) + (messagesOut == nil && !areMessagesRefused ? 1 : 0)
    }

    /// Whether no message is left to send: they are sent, or the other side, which has ended, can grant no
    /// more room for them.
    var areMessagesOver: Bool {
        if inputEnd != nil, !session.hasFrames { return true }
        return unwritten.isEmpty && unsentMessageBytes == 0
    }

    /// Bytes of messages that the session has not sent. Those in ``unwritten`` come after them.
    private var unsentMessageBytes: Int { messagesOut.map { session.unsentBytes(of: $0.id) } ?? 0 }

    /// Bytes of other streams that the session has not sent. Messages are counted by their owner.
    var unsentStreamBytes: Int { session.unsentBytes - unsentMessageBytes }

    /// Takes a block of the other side's messages, which is consumed now.
    mutating func takeMessages(at now: UInt64) -> ArraySlice<UInt8>? {
        guard let messagesIn, let block = messagesIn.received.popFirst() else { return nil }
        countHeld(-block.count, of: messagesIn)
        session.consumed(block.count, of: messagesIn.id, at: now)
        return block
    }

    var hasMessages: Bool { messagesIn?.received.isEmpty == false }

    /// Whether the input ended inside a frame.
    var isCutOff: Bool { session.isInsideFrame }
}
