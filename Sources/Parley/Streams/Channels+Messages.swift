// Messages, which have a stream of their own in each direction.

extension Channels {
    /// Takes messages that are encoded. They wait here for the session.
    ///
    /// - Returns: whether the session has taken all of them.
    mutating func write(messages buffer: WireBuffer, at now: UInt64) throws(ParleyError) -> Bool {
        guard !areMessagesRefused else { return true }
        for segment in buffer.segments { unwritten.append(segment) }
        unwritten.append(buffer.tail.copied[...])
        return try pushMessages(at: now)
    }

    /// Lets the session take messages. Returns whether it has all of them.
    mutating func pushMessages(at now: UInt64) throws(ParleyError) -> Bool {
        guard !unwritten.isEmpty else { return true }
        if messagesOut == nil { messagesOut = try open(Multiplexed.messages, at: now) }
        guard let messagesOut else { return false }
        while let block = unwritten.popFirst() {
            let taken = try session.write(block, to: messagesOut.id)
            guard taken == block.count else {
                unwritten.prepend(block.dropFirst(taken))
                return false
            }
        }
        return true
    }

    /// Takes a block of the other side's messages, which is consumed now.
    mutating func takeMessages(at now: UInt64) -> ArraySlice<UInt8>? {
        guard let messagesIn, let block = messagesIn.received.popFirst() else { return nil }
        heldBytes -= block.count
        session.consumed(block.count, of: messagesIn.id, at: now)
        return block
    }

    var hasMessages: Bool { messagesIn?.received.isEmpty == false }

    /// Whether the input ended inside a frame.
    var isCutOff: Bool { session.isInsideFrame }
}
