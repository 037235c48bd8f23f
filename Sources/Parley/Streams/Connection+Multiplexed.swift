// What a connection hears from its multiplexed link, beside messages. The loop's thread only.

extension Connection {
    /// Bytes arrived for streams, or for the session.
    func linkDidHear(_ bytes: Int, isActivity: Bool) {
        arrivedSinceDirectWrite.store(true, ordering: .relaxed)
        inbound.withLock { inbound in
            inbound.counters.bytes &+= UInt64(bytes)
            inbound.lastArrival = loop.milliseconds
            if isActivity { inbound.lastActivity = loop.milliseconds }
        }
    }

    /// A stream was opened whose opening is an RPC.
    ///
    /// - Returns: false when as many wait for room in the inbox as there may be streams. A side that resets
    ///   its streams could otherwise have any number of them wait.
    func linkDidAnnounce(_ stream: PeerState.Announcement) -> Bool {
        let waiting = inbound.withLock { $0.state.announced.count }
        guard waiting < node.muxLimits.maxRemoteStreams else { return false }
        receive(.announced(stream))
        return true
    }

    /// The link wrote bytes beside those of messages.
    func linkDidHand(_ bytes: Int, isActivity: Bool) {
        let watches = node.timeLimits.writeStall != nil
        let startsWatch = outbound.withLock { outbound in
            outbound.queue.noteLinkHanded(bytes, at: isActivity ? loop.milliseconds : nil)
            return watches && outbound.queue.beginWatch()
        }
        if startsWatch { startAcknowledgementWatch() }
    }

    /// The other side has answered a ping.
    func linkWasAnswered(after nanoseconds: UInt64) {
        inbound.withLock { inbound in
            inbound.heartbeats.value.roundTripNanoseconds = max(1, nanoseconds)
            inbound.heartbeats.value.unanswered = 0
        }
        health.heartbeatAnswered()
    }

    /// The other side takes no messages, or no more. Its streams are not affected.
    func messagesWereRefused(_ reason: ParleyError) {
        let (callers, woken) = outbound.withLock { outbound in
            outbound.encoder = Encoder(MessagesRefused(reason: reason))
            // Those who wait, for a place among the requests too, hear of it when they try again.
            let woken = outbound.sendWaiters.wakeAll()
            return (outbound.hasRequests ? outbound.openRequests.removeAll() : [], woken)
        }
        woken.resume()
        for caller in callers { tell(caller, .failure(reason)) }
    }
}

/// The encoder for a side that takes no messages.
private struct MessagesRefused: Decoder {
    let reason: ParleyError

    var name: String { "multiplexed" }
    var streamForm: StreamForm { .delimited }

    mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        throw reason
    }

    mutating func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        throw reason
    }

    mutating func encode(
        request: UInt32,
        _ message: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) { throw reason }

    mutating func encode(
        replyTo request: UInt32,
        _ message: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) { throw reason }

    mutating func encode(
        refusalOf request: UInt32,
        code: UInt32,
        reason text: String,
        into output: inout WireBuffer
    ) throws(ParleyError) { throw reason }
}
