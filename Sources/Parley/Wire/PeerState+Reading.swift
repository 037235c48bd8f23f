// Raw reads, by the handshake and by a stream's reader.

extension PeerState {
    /// Returns at most `limit` bytes that have arrived, for a reader in the handshake or in a stream.
    mutating func read(upTo limit: Int) throws(ParleyError) -> ReadResult {
        if let violation { throw violation }
        if !streamRest.isDefault { streamRest.value.putBackBytes = 0 }
        switch phase {
        case .messages, .discarding:
            // A reader waits for the next stream, unless the input has ended.
            return hasUndecodedMessages ? .wait : try resultAtEnd()
        case .handshake:
            return try readRaw(upTo: limit)
        case .stream:
            isStreamReadRequested = true
            return streamForm == .delimited ? try readDelimited(upTo: limit) : try readRaw(upTo: limit)
        }
    }

    private mutating func readRaw(upTo limit: Int) throws(ParleyError) -> ReadResult {
        if let bytes = queue.popFirst(upTo: limit) { return .bytes(bytes) }
        return try resultAtEnd()
    }

    /// The result of a read that finds no bytes.
    private func resultAtEnd() throws(ParleyError) -> ReadResult {
        guard let inputEnd else { return .wait }
        guard inputEnd.code == .endOfStream else { throw inputEnd }
        return .end
    }

    /// Whether ``read(upTo:)`` has something new to return or throw: more than what was put back. Consumes
    /// nothing.
    mutating func isReadable() throws(ParleyError) -> Bool {
        if let violation { throw violation }
        let putBackBytes = putBackBytes
        switch phase {
        case .messages, .discarding: return !hasUndecodedMessages && inputEnd != nil
        case .handshake: return queue.count > putBackBytes || inputEnd != nil
        case .stream:
            isStreamReadRequested = true
            guard streamForm == .delimited else { return queue.count > putBackBytes || inputEnd != nil }
            if decoded.count <= putBackBytes {
                let putBack = decoded
                decoded = []
                let more = try takeStreamBytes()
                decoded = putBack.isEmpty ? more : putBack + more
            }
            return decoded.count > putBackBytes || streamOutcome != nil || inputEnd != nil
        }
    }

    private mutating func readDelimited(upTo limit: Int) throws(ParleyError) -> ReadResult {
        let decoded = try takeStreamBytes()
        if !decoded.isEmpty {
            let bytes = decoded.prefix(limit)
            self.decoded = decoded.dropFirst(limit)
            return .bytes(bytes)
        }
        switch streamOutcome {
        case .ended: return .end
        case .aborted(let error): throw error
        case nil:
            guard case .end = try resultAtEnd() else { return .wait }
            throw ParleyError(.truncated, "the connection ended inside a stream")
        }
    }

    /// Decodes until there are bytes for the stream's reader, or the stream's end. The caller stores in
    /// ``decoded`` what it does not use. Most frames are used whole and never stored.
    private mutating func takeStreamBytes() throws(ParleyError) -> ArraySlice<UInt8> {
        var decoded = decoded
        while decoded.isEmpty, streamOutcome == nil, var input = nextInput() {
            while decoded.isEmpty, streamOutcome == nil, !input.isEmpty {
                let event = try nextEvent(&input)
                switch event {
                case .streamBytes(let bytes): decoded = bytes
                case .streamEnded: streamRest.value.outcome = .ended
                case .streamAborted(let code, let reason):
                    streamRest.value.outcome = .aborted(ParleyError(streamAborted: code, reason: reason))
                case .incomplete(let frameBytes):
                    try keep(input, frameBytes: frameBytes)
                    input = []
                case .ping, .pong: break
                case .message, .streamOpened, .request, .reply, .refusal: throw unexpected(event)
                }
            }
            queue.prepend(input)
        }
        return decoded
    }

    /// Puts bytes that ``read(upTo:)`` returned back in front of the input. Drops them when they can no
    /// longer be read.
    mutating func putBack(_ bytes: ArraySlice<UInt8>) {
        switch phase {
        case .messages, .discarding: return
        case .stream where streamForm == .delimited: decoded = decoded.isEmpty ? bytes : bytes + decoded
        case .handshake, .stream: queue.prepend(bytes)
        }
        streamRest.value.putBackBytes = bytes.count
    }

    /// Ends the stream phase. The input after the stream goes to the decoder. Does nothing without a stream.
    ///
    /// - Returns: whether there was a stream.
    mutating func closeStream() -> Bool {
        guard phase == .stream else { return false }
        phase = streamForm == .delimited && streamOutcome == nil ? .discarding : .messages
        streamRest.clear()
        return true
    }
}
