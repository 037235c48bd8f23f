// How a multiplexed link writes: what the streams and the connection above have for the link below. The
// loop's thread.

extension MultiplexedLink: EndOfTurn {
    func turnEnds() { flush() }

    /// Whether the link below takes a write. Nothing is written behind its end: not even a pong.
    var mayWrite: Bool {
        switch (phase, output) {
        case (.starting, .ready), (.open, .ready), (.shuttingDown, .ready): true
        case (.shutDown, _), (.over, _), (_, .writing), (_, .failed): false
        }
    }

    /// Writes what there is, up to ``MuxSession/writeBytes`` before the sockets are polled.
    func flush() {
        loop.assertIsCurrent()
        var written = 0
        while mayWrite {
            let (count, limit) = writeOnce()
            guard count > 0 else { break }
            written += count
            guard written < limit || !mayWrite else { return loop.atEndOfNextTurn(self) }
        }
        shutDownIfDrained()
    }

    /// Writes what is next. Returns how much: zero when there was nothing, or the link has failed; and how
    /// much should be written at once.
    @discardableResult
    func writeOnce() -> (count: Int, limit: Int) {
        var buffer = WireBuffer()
        context.exchangeSpare(&buffer)
        var effects = Channels.Effects()
        let (taken, limit) = change(&effects) { channels, now, _ in
            let limit = channels.session.writeBytes
            return (channels.takeFrames(into: &buffer, upTo: limit, at: now), limit)
        }
        perform(effects)
        if taken.endsMessages { endsMessages = true }
        let count = buffer.count
        guard count > 0 else {
            context.exchangeSpare(&buffer)
            messagesAreWritten()
            return (0, limit)
        }
        do throws(ParleyError) {
            if try lower.write(buffer) {
                buffer.removeAll(keeping: WireBuffer.busyBytes)
                context.exchangeSpare(&buffer)
            } else {
                output = .writing
            }
        } catch {
            var none = WireBuffer()
            writeFailed(error, &none)
            return (0, limit)
        }
        let ofMessages = min(count, uncountedMessageBytes)
        uncountedMessageBytes -= ofMessages
        owner?.linkDidHand(count - ofMessages, isActivity: taken.isActivity)
        if case .ready = output { messagesAreWritten() }
        return (count, limit)
    }

    func shutDownIfDrained() {
        guard case .shuttingDown = phase else { return }
        switch output {
        case .ready: guard channels.withLock(\.isDrained) else { return }
        case .writing: return
        case .failed: break
        }
        phase = .shutDown
        lower.shutdown()
    }

    func linkDidWrite(_ failure: ParleyError?, returning buffer: inout WireBuffer) {
        if let failure { return writeFailed(failure, &buffer) }
        output = .ready
        context.returnSpare(&buffer)
        messagesAreWritten()
        flush()
    }

    /// Writes nothing more, and reads on. When a goodbye is among what is still to be read, the other side
    /// has closed in order, and the failed write does not count: it is known at the end of the input.
    private func writeFailed(_ failure: ParleyError, _ buffer: inout WireBuffer) {
        output = .failed(failure)
        let isOrderly = channels.withLock(\.hasRemoteSaidGoodbye)
        guard isOrderly || failure.code != .connectionReset || inputEnd != nil else { return }
        owner?.linkDidWrite(isOrderly ? nil : failure, returning: &buffer)
    }

    /// Tells the owner that its messages are written, once they are.
    private func messagesAreWritten() {
        guard endsMessages, !isOver else { return }
        endsMessages = false
        var none = WireBuffer()
        owner?.linkDidWrite(nil, returning: &none)
    }
}
