// Asking the other side whether it is there, and answering. The loop's thread only.

extension Connection {
    /// What is known of the heartbeats, under the receiving half's lock.
    struct HeartbeatRecord: DefaultInitializable {
        /// The token of the last one that was sent: nanoseconds of the loop's clock.
        var lastSent: UInt64?
        /// How many were sent and not answered.
        var unanswered = 0
        var roundTripNanoseconds: UInt64?
    }

    /// Answers and evaluates what was found among what has arrived.
    func handleHeartbeats() {
        loop.assertIsCurrent()
        let ping: UInt64? = inbound.withLock { inbound in
            let found = inbound.state.takeHeartbeats()
            if let pong = found.pong, let sent = inbound.heartbeats.value.lastSent, pong == sent {
                let now = MonotonicTime.nanosecondsNow
                inbound.heartbeats.value.roundTripNanoseconds = now > sent ? now &- sent : 1
                inbound.heartbeats.value.unanswered = 0
                inbound.heartbeats.value.lastSent = nil
            }
            return found.ping
        }
        guard let ping else { return }
        // Whoever asks and does not read the answers gets no more of them than there is room for.
        appendHeartbeat { encoder, buffer in
            encoder.encodePong(ping, into: &buffer)
            return true
        }
    }

    /// Asks when it is time, and drops a peer that has not answered.
    func lookForHeartbeats(_ now: UInt64) -> UInt64 {
        guard let heartbeat = node.options.timeouts.heartbeat, watch.nextHeartbeat != .max else {
            return .max
        }
        if now < watch.nextHeartbeat { return watch.nextHeartbeat }
        let interval = heartbeat.intervalMilliseconds
        let isReadable = link?.hasUnreadBytes == true
        let isLost = inbound.withLock { inbound in
            let silence = now &- min(now, inbound.lastArrival)
            // Anything that arrives is a sign of life, also what nobody reads.
            if silence < interval || isReadable { inbound.heartbeats.value.unanswered = 0 }
            return inbound.heartbeats.value.unanswered >= max(1, heartbeat.maxMissed)
        }
        if isLost {
            fail(
                ParleyError(
                    .heartbeatLost,
                    "\(remoteAddress) did not answer \(heartbeat.maxMissed) heartbeats, one every \(heartbeat.interval)"
                )
            )
            return .max
        }
        let token = MonotonicTime.nanosecondsNow
        inbound.withLock { inbound in
            inbound.heartbeats.value.lastSent = token
            inbound.heartbeats.value.unanswered += 1
        }
        guard appendHeartbeat({ encoder, buffer in encoder.encodePing(token, into: &buffer) }) != false else {
            // This wire form has none.
            inbound.withLock { $0.heartbeats.clear() }
            watch.nextHeartbeat = .max
            return .max
        }
        watch.nextHeartbeat = now &+ interval
        return watch.nextHeartbeat
    }

    /// Appends a heartbeat behind what was accepted, also inside a stream, if there is room.
    ///
    /// - Returns: what `encode` returned; nil when it was not called.
    @discardableResult
    private func appendHeartbeat(_ encode: (inout any Decoder, inout WireBuffer) -> Bool) -> Bool? {
        let (isEncoded, count, needsFlush): (Bool?, Int, Bool) = outbound.withLock { outbound in
            guard outbound.life.reason == nil, outbound.isOpened, hasRoom(&outbound) else {
                return (nil, 0, false)
            }
            let before = outbound.unwrittenBytes
            var isEncoded = false
            // The closure throws nothing; the method can.
            try? outbound.encode { (encoder, buffer) throws(ParleyError) in
                isEncoded = encode(&encoder, &buffer)
            }
            return (isEncoded, outbound.unwrittenBytes &- before, outbound.requestFlush())
        }
        watch.heartbeatBytes &+= count
        if needsFlush { loop.atEndOfTurn(self) }
        return isEncoded
    }
}
