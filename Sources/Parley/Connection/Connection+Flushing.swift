// From the send queue to the link. The loop's thread only. SendQueue decides; this file acts.

extension Connection: EndOfTurn {
    /// The most writes per turn, so that a fast sender leaves time for the other peers.
    private static let writesPerTurn = 4

    func turnEnds() { flush() }

    /// Releases an empty buffer's memory: another connection was busy since.
    func dropEmptyBuffer() { outbound.withLock { $0.queue.dropEmptyBuffer() } }

    /// Writes what was accepted to the link. The loop's thread only.
    func flush() {
        loop.assertIsCurrent()
        guard !isWriting, link != nil else { return }
        // Before the link is retained: most flushes end here.
        if flushShort() { return }
        guard let link else { return }
        let context = context
        var buffer = WireBuffer()
        context.exchangeSpare(&buffer)
        defer {
            buffer.removeAll(keeping: WireBuffer.busyBytes)
            context.exchangeSpare(&buffer)
        }
        var written = 0
        for _ in 0..<Self.writesPerTurn {
            let next = takeNext(afterWriting: written, into: &buffer)
            if case .nothing(let hasLargeBuffer) = next.item {
                if hasLargeBuffer { context.local.value.noteBusy(self) }
                if next.isFlushing { allIsWritten() }
                return
            }
            do throws(ParleyError) {
                let isWritten: Bool
                switch next.item {
                case .file(let range):
                    written = range.count
                    isWritten = try link.write(range)
                case .sealed(let bytes, let count):
                    written = count
                    isWritten = try link.write(sealed: bytes)
                case .bytes, .nothing:
                    written = buffer.count
                    isWritten = try link.write(buffer)
                }
                if next.startsWatch { startAcknowledgementWatch() }
                guard isWritten else {
                    isWriting = true
                    // The link has the bytes now.
                    buffer = WireBuffer()
                    return
                }
            } catch {
                return writeFailed(error)
            }
            buffer.removeAll(keeping: WireBuffer.busyBytes)
        }
        accountFor(written)
        loop.atEndOfTurn(self)
    }

    /// Writes what is short with one system call under one lock: no buffer changes hands, and libuv has
    /// nothing to do.
    ///
    /// - Returns: false when there is more to do, or an error to report.
    @inline(__always)
    private func flushShort() -> Bool {
        let now = loop.milliseconds
        let watches = node.timeLimits.writeStall != nil
        let done = outbound.withLock { outbound -> ShortFlush? in
            guard let socket = outbound.socket else { return nil }
            let proven = outbound.proven
            let isWritten = outbound.queue.writeShort(at: now) {
                $0.writeDirectly(to: socket, sealedFor: proven, keeping: WireBuffer.busyBytes)
            }
            guard isWritten else { return nil }
            return ShortFlush(
                outcome: outbound.written(0, marks: node.sendMarks),
                startsWatch: watches && outbound.queue.beginWatch(),
                isFlushing: outbound.lifecycle.isFlushing,
                hasLargeBuffer: outbound.queue.buffer.isLarge
            )
        }
        guard let done else { return false }
        if let outcome = done.outcome { finish(outcome) }
        if done.startsWatch { startAcknowledgementWatch() }
        if done.hasLargeBuffer { context.local.value.noteBusy(self) }
        if done.isFlushing { allIsWritten() }
        return true
    }

    /// Everything that was accepted before an orderly end is written.
    private func allIsWritten() {
        apply(.allWritten(cutsStream: outbound.withLock { $0.cutsStream }))
    }

    private struct ShortFlush {
        let outcome: Outbound.Written?
        let startsWatch: Bool
        let isFlushing: Bool
        let hasLargeBuffer: Bool
    }

    func linkDidWrite(_ failure: ParleyError?, returning buffer: inout WireBuffer) {
        context.returnSpare(&buffer)
        if let failure { return writeFailed(failure) }
        if isWriting {
            isWriting = false
            accountFor(nil)
        }
        flush()
    }

    /// Handles a link that takes no more bytes. Input that it still delivers is read before the end.
    private func writeFailed(_ error: ParleyError) {
        isWriting = false
        // Only a reset leaves input that can be read. After the failed read of a file the frame cannot be
        // completed, so the connection ends at once.
        let (mayDeliver, isReaderBehind) = inbound.withLock { inbound in
            guard error.code == .connectionReset else { return (false, false) }
            let isReaderBehind = inbound.intake.state == .paused && inbound.state.phase == .stream
            return (inbound.intake.isReading || inbound.intake.awaitsInbox || isReaderBehind, isReaderBehind)
        }
        apply(.writeFailed(error, mayDeliver: mayDeliver))
        // The rest of a stream is in the socket, and nothing holds its sender back any more.
        if isReaderBehind { readToEnd() }
    }

    /// Counts `written` bytes and takes the next item to write. A filled buffer is swapped with the empty one
    /// in `buffer`.
    @inline(__always)
    private func takeNext(
        afterWriting written: Int,
        into buffer: inout WireBuffer
    ) -> (item: SendQueue.Next, startsWatch: Bool, isFlushing: Bool) {
        let now = loop.milliseconds
        let watches = node.timeLimits.writeStall != nil
        let (next, startsWatch, isFlushing, outcome) = outbound.withLock { outbound in
            let outcome = outbound.written(written, marks: node.sendMarks)
            let next = outbound.queue.takeNext(into: &buffer, at: now)
            return (next, watches && outbound.queue.beginWatch(), outbound.lifecycle.isFlushing, outcome)
        }
        if let outcome { finish(outcome) }
        return (next, startsWatch, isFlushing)
    }

    /// Counts `written` bytes; nil is all that the link had.
    private func accountFor(_ written: Int?) {
        let outcome = outbound.withLock { $0.written(written ?? $0.queue.linkBytes, marks: node.sendMarks) }
        if let outcome { finish(outcome) }
    }

    private func finish(_ outcome: Outbound.Written) {
        outcome.woken.resume()
        node.sendBudget.giveBack(outcome.releasedBytes)
    }
}

extension Connection.Outbound {
    /// Whether an orderly end now would pass for the end of a stream that is not complete: nothing else marks
    /// a stream's end in its wire form.
    fileprivate var cutsStream: Bool { queue.isStreamPartial && encoder.form.streamForm == .untilClosed }

    /// What follows from a write, done after the lock is released.
    fileprivate struct Written {
        var woken: WaitQueue.Woken
        /// The part of the node's budget that is no longer needed.
        var releasedBytes: Int
    }

    /// Counts written bytes.
    ///
    /// - Returns: nil when nothing follows, which is the usual case.
    @inline(__always)
    fileprivate mutating func written(_ bytes: Int, marks: SendQueue.Marks) -> Written? {
        let outcome = queue.written(bytes, marks: marks)
        guard outcome.hasRoom else { return nil }
        guard !sendWaiters.isEmpty || outcome.releasedBytes > 0 else {
            // A sender may have checked the queue and not waited yet.
            sendWaiters.countWakeUp()
            return nil
        }
        return Written(woken: sendWaiters.wakeAll(), releasedBytes: outcome.releasedBytes)
    }
}
