// From the bytes that arrived to messages, and to the events between them.

extension PeerState {
    /// Decodes up to `limit` messages and stream openings and appends them to `output`, which is empty. Stops
    /// when they have `byteLimit` bytes; the last one may exceed it.
    ///
    /// Stops after a stream's opening, and in every phase except `messages` and `discarding`. In `discarding`
    /// it drops stream bytes until the stream's end, and goes on with messages. Answers need no room, so they
    /// are decoded beyond the limits too, up to the next message: a full inbox must not keep them from those
    /// who wait for them.
    mutating func decode(
        limit: Int,
        byteLimit: Int = .max,
        into output: inout DecodedRuns
    ) throws(ParleyError) {
        if let violation { throw violation }
        func hasRoom() -> Bool { output.count < limit && output.payloadBytes < byteLimit }
        while phase == .messages, !announced.isEmpty, hasRoom() {
            let next = announced.removeFirst()
            output.append(next.header, .stream(next.stream))
        }
        while phase == .messages || phase == .discarding, hasRoom() || nextNeedsNoRoom,
            var input = nextInput()
        {
            // What is decoded keeps its block alive. Of a block with little payload it is copied.
            let (firstRun, payloadBefore, inputBefore) = (output.runs.count, output.payloadBytes, input.count)
            defer {
                output.compact(
                    from: firstRun,
                    payloadBytes: output.payloadBytes &- payloadBefore,
                    keptBytes: inputBefore &- input.count
                )
            }
            while !input.isEmpty, hasRoom() || decoder.needsNoRoom(input) {
                if hasRoom(), try decodeMessages(&input, limit: limit, byteLimit: byteLimit, into: &output) {
                    continue
                }
                let event = try nextEvent(&input)
                switch (event, phase) {
                case (.incomplete(let frameBytes), _):
                    try keep(input, frameBytes: frameBytes)
                    input = []
                case (.message(let payload), .messages):
                    try checkLength(payload.count)
                    output.append(payload, .messages)
                case (.streamOpened(let header), .messages):
                    try checkLength(header.count)
                    openStream()
                    output.append(header, .stream(0))
                case (.request(let request, let payload), .messages):
                    try checkLength(payload.count)
                    try open(request)
                    output.append(payload, .request(request))
                case (.reply(let request, let payload), .messages):
                    try checkLength(payload.count)
                    output.answers.append(.init(request: request, outcome: .reply(payload)))
                case (.refusal(let request, let code, let reason), .messages):
                    output.answers.append(.init(request: request, outcome: .refusal(code, reason)))
                case (.ping, _), (.pong, _), (.streamBytes, .discarding): break
                case (.streamEnded, .discarding), (.streamAborted, .discarding): phase = .messages
                default: throw unexpected(event)
                }
                if phase == .stream { break }
            }
            queue.prepend(input.detached)
        }
    }

    /// Whether the next frame is an answer to a request.
    private var nextNeedsNoRoom: Bool {
        let partial = partialFrameContents
        return decoder.needsNoRoom(partial.isEmpty ? queue.front : partial)
    }

    /// Lets the decoder find all whole messages at the front of `input` at once, if it supports that.
    ///
    /// - Returns: whether there were any.
    private mutating func decodeMessages(
        _ input: inout ArraySlice<UInt8>,
        limit: Int,
        byteLimit: Int,
        into output: inout DecodedRuns
    ) throws(ParleyError) -> Bool {
        guard phase == .messages else { return false }
        // Limiting the input limits the bytes of the messages. A message over the limit is decoded alone.
        let visible = input.prefix(byteLimit &- output.payloadBytes)
        let used = decoder.decodeMessages(
            visible.span,
            limit: limit &- output.count,
            into: &output.foundBounds
        )
        guard !output.foundBounds.isEmpty else { return false }
        let tooLong = bounds.isChecked ? output.foundBounds.first { $0.count > bounds.maxMessageBytes } : nil
        if let tooLong {
            output.foundBounds.removeAll { $0.lowerBound >= tooLong.lowerBound }
            if output.foundBounds.isEmpty { try checkLength(tooLong.count) }
        }
        guard (1...visible.count).contains(used), output.appendFound(in: visible) else {
            throw invalidBounds()
        }
        input.removeFirst(used)
        if let tooLong { try checkLength(tooLong.count) }
        return true
    }

    /// Finds whole messages at the front of borrowed bytes, when no input waits before them.
    ///
    /// - Returns: how many bytes are used; the rest is for ``receive(_:)``.
    mutating func decodeInPlace(
        _ input: Span<UInt8>,
        into found: inout [Range<Int>]
    ) throws(ParleyError) -> Int {
        let used = try find(in: input, limit: .max, &found)
        guard used == 0 || MessageRun.payloadBytes(found, in: input.count) != nil else {
            throw invalidBounds()
        }
        return used
    }

    /// As ``decode(limit:byteLimit:into:)`` for the whole messages at the front of borrowed bytes, when no
    /// input waits before them: they are copied, and nothing has to be queued.
    ///
    /// - Returns: how many bytes are used; the rest is for ``receive(_:)``.
    mutating func decode(
        _ input: Span<UInt8>,
        limit: Int,
        byteLimit: Int,
        into output: inout DecodedRuns
    ) throws(ParleyError) -> Int {
        let visible = input.extracting(first: max(0, byteLimit))
        let used = try find(in: visible, limit: limit, &output.foundBounds)
        guard used > 0 else { return 0 }
        guard output.appendFound(in: visible.extracting(first: used).copied[...]) else {
            throw invalidBounds()
        }
        output.compact(from: 0, payloadBytes: output.payloadBytes, keptBytes: used)
        return used
    }

    @inline(__always)
    private mutating func find(
        in input: Span<UInt8>,
        limit: Int,
        _ found: inout [Range<Int>]
    ) throws(ParleyError) -> Int {
        guard phase == .messages, queue.isEmpty, !hasPartialFrame, announced.isEmpty, inputEnd == nil,
            violation == nil, !bounds.isChecked
        else { return 0 }
        let used = decoder.decodeMessages(input, limit: limit, into: &found)
        guard !found.isEmpty else { return 0 }
        guard (1...input.count).contains(used) else { throw invalidBounds() }
        return used
    }

    private mutating func invalidBounds() -> ParleyError {
        violated("the \(decoder.name) decoder returned messages outside its input")
    }

    /// As ``decode(limit:byteLimit:into:)``, one message at a time. Returns the number of messages.
    mutating func decode(
        limit: Int,
        deliver: (_ payload: ArraySlice<UInt8>, _ stream: Bool) -> Void
    ) throws(ParleyError) -> Int {
        var output = DecodedRuns()
        defer {
            for run in output.runs {
                for index in 0..<run.count { deliver(run[index], run.kind.isStream) }
            }
        }
        try decode(limit: limit, into: &output)
        return output.count
    }

    mutating func checkLength(_ count: Int) throws(ParleyError) {
        guard count > bounds.maxMessageBytes else { return }
        throw fail(
            ParleyError(
                .messageTooLong,
                "the remote side sent a message of \(count) bytes, allowed are \(bounds.maxMessageBytes)"
            )
        )
    }

    private mutating func openStream() {
        phase = .stream
        streamRest.clear()
        isStreamReadRequested = false
    }

    mutating func violated(_ what: String) -> ParleyError { fail(ParleyError(.protocolViolation, what)) }

    mutating func unexpected(_ event: DecoderEvent) -> ParleyError {
        let (what, place) =
            switch event {
            case .message: ("a message", "inside a stream")
            case .streamOpened: ("a stream's opening", "inside a stream")
            case .request: ("a request", "inside a stream")
            case .reply: ("a reply", "inside a stream")
            case .refusal: ("a refusal", "inside a stream")
            case .streamBytes: ("stream bytes", "outside a stream")
            case .streamEnded: ("a stream's end", "outside a stream")
            case .streamAborted: ("a stream's abort", "outside a stream")
            case .ping, .pong: ("a heartbeat", "where none can be")
            case .incomplete: ("part of a frame", "where none can be")
            }
        return violated("the remote side sent \(what) \(place)")
    }
}
