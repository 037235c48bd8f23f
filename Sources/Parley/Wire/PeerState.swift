/// The receiving half of one connection as a value: which bytes belong to the handshake, to messages, to a stream.
///
/// Bytes go in with ``receive(_:)``; whoever is entitled to them takes them out. It knows neither sockets nor
/// clocks nor threads, so it can be tested and fuzzed as it is.
struct PeerState: Sendable {
    /// Who is entitled to the bytes that arrive.
    enum Phase: Sendable, Equatable {
        /// The handshake reads them raw.
        case handshake
        /// The decoder makes messages of them.
        case messages
        /// A stream is open: its reader takes them.
        case stream
        /// The reader closed a delimited stream before its end: they are dropped until the end comes.
        case discarding
    }

    /// What a read gets.
    enum ReadResult: Sendable, Equatable {
        case bytes(ArraySlice<UInt8>)
        /// The stream is complete, or the connection has ended and everything is read.
        case end
        /// Nothing there yet.
        case wait
    }

    /// How much is taken from the socket ahead of a reader, unless it is said otherwise.
    static let readAheadBytes = 256 * 1024

    var decoder: any Decoder
    /// What arrived and nobody has claimed; no block before `unfinished`.
    var queue = ByteQueue()
    private var unfinished = Unfinished.nothing
    var streamRest = LazyBox<StreamRest>()
    /// How the other side broke the wire form; nothing is decoded behind it.
    var violation: ParleyError?
    /// Why nothing more will arrive.
    var inputEnd: ParleyError?
    /// What there is for ``takeHeartbeats()``.
    var heartbeats = LazyBox<Heartbeats>()

    /// What the decoder itself keeps; see ``Decoder/retainedBytes``.
    private var decoderBytes = 0

    // The smallest fields come last, so that the next ones of the containing struct follow without padding.

    let bounds: Bounds
    let streamForm: StreamForm
    var phase = Phase.handshake
    /// Reading starts when a stream's reader asks for the first time, not when the stream opens.
    var isStreamAskedFor = false

    /// What the decoder wants more of. An object of its own: most connections have nothing of the kind at most times.
    private indirect enum Unfinished: Sendable {
        case nothing
        /// The beginning of a frame, and how long that is in all; zero when its decoder does not know yet.
        case beginning(ArraySlice<UInt8>, frameBytes: Int)
        /// A large one on its way.
        case largeFrame(LargeFrame)
    }

    /// What a delimited stream's reader has not taken yet.
    struct StreamRest: DefaultInitializable {
        var bytes: ArraySlice<UInt8> = []
        var outcome: StreamOutcome?
    }

    enum StreamOutcome: Sendable {
        case ended
        case aborted(ParleyError)
    }

    /// A frame too large to be gathered from slices of reads: what has come of it, in a buffer of its size.
    struct LargeFrame: Sendable {
        var bytes: [UInt8]
        let frameBytes: Int

        var missing: Int { frameBytes - bytes.count }
    }

    /// Frames that lack at least this much get a buffer of their own, and are read straight into it.
    static let largeFrameBytes = 64 * 1024
    /// More than any wire form's length can say; a decoder that asks for more gets its bytes piece by piece.
    static let maxLargeFrameBytes = 1 << 33
    /// How much is kept of a frame whose length its decoder does not know.
    static let maxUnknownFrameBytes = 16 << 20

    init(decoder: any Decoder, bounds: Bounds = Bounds()) {
        self.decoder = decoder
        self.bounds = bounds
        streamForm = decoder.streamForm
    }

    var hasHeartbeats: Bool { !heartbeats.isDefault }

    /// Whether what has arrived last, so many bytes, was nothing else.
    func isOnlyHeartbeats(_ bytes: Int) -> Bool { hasHeartbeats && heartbeats.value.bytes >= bytes }

    mutating func takeHeartbeats() -> Heartbeats {
        defer { heartbeats.clear() }
        return heartbeats.value
    }

    /// Takes in what one read of the socket brought.
    mutating func receive(_ block: ArraySlice<UInt8>) { queue.append(block) }

    /// Nothing more will arrive, because of `reason`.
    mutating func endInput(_ reason: ParleyError) {
        if inputEnd == nil { inputEnd = reason }
    }

    /// Whether more should be taken from the socket: until the read-ahead is full and then, once that has
    /// stopped reading, not before it is half empty.
    func wantsInput(isReading: Bool) -> Bool {
        guard inputEnd == nil else { return false }
        let limit = isReading ? bounds.readAheadBytes : bounds.readAheadBytes / 2
        switch phase {
        case .handshake: return queue.footprint < limit
        case .messages, .discarding: return queue.isEmpty && !isLargeFrameWhole
        case .stream:
            return isStreamAskedFor && streamOutcome == nil && queue.footprint + decoded.count < limit
        }
    }

    /// How much more of a stream may be taken from the socket.
    var readAheadRoom: Int { max(0, bounds.readAheadBytes - queue.footprint - decoded.count) }

    /// Whether input waits to be decoded: the last ``decode(limit:deliver:)`` stopped at its limit.
    var hasUndecodedMessages: Bool {
        (phase == .messages || phase == .discarding) && (!queue.isEmpty || isLargeFrameWhole)
    }

    /// How many bytes are kept that nobody has got yet.
    var bufferedBytes: Int {
        queue.count &+ unfinishedBytes.count &+ decoded.count
    }

    /// The same with what the decoder keeps.
    var heldBytes: Int { bufferedBytes &+ decoderBytes }

    /// Decoded bytes of a delimited stream that its reader has not taken yet.
    var decoded: ArraySlice<UInt8> {
        get { streamRest.value.bytes }
        set { if !newValue.isEmpty || !decoded.isEmpty { streamRest.value.bytes = newValue } }
    }

    /// How a delimited stream has ended, if it has.
    var streamOutcome: StreamOutcome? { streamRest.value.outcome }

    /// What there is of a frame that the decoder wants more of.
    private var unfinishedBytes: ArraySlice<UInt8> {
        switch unfinished {
        case .nothing: []
        case .beginning(let bytes, _): bytes
        case .largeFrame(let frame): frame.bytes[...]
        }
    }

    private var hasUnfinished: Bool { if case .nothing = unfinished { false } else { true } }

    /// Whether a large frame is on its way.
    var awaitsLargeFrame: Bool {
        if case .largeFrame(let frame) = unfinished { frame.missing > 0 } else { false }
    }

    var upcoming: Upcoming {
        if awaitsLargeFrame { return .largeFrame }
        return switch phase {
        case .handshake: .raw
        case .messages, .discarding: .messages
        case .stream: .stream
        }
    }

    /// How much there is of a frame that is not whole; zero when the decoder wants no more of anything.
    var unfinishedFrameBytes: Int { isLargeFrameWhole ? 0 : unfinishedBytes.count }

    private var isLargeFrameWhole: Bool {
        if case .largeFrame(let frame) = unfinished { frame.missing <= 0 } else { false }
    }

    /// The reason to end the connection, when its input has ended and all of it is decoded; a reason of its own
    /// when that was in the middle of a frame. Nil while a handshake or a stream may still read.
    var finalReason: ParleyError? {
        guard let inputEnd, queue.isEmpty, !isLargeFrameWhole else { return nil }
        switch phase {
        case .handshake, .stream:
            return nil
        case .discarding:
            return ParleyError(.truncated, "the connection ended inside a stream")
        case .messages:
            guard inputEnd.code == .endOfStream else { return inputEnd }
            do { try decoder.endOfInput(unread: unfinishedBytes) } catch { return error }
            return inputEnd
        }
    }

    /// Forgets what has arrived: nobody will read it.
    mutating func dropInput() {
        queue.removeAll()
        unfinished = .nothing
        decoded = []
        decoderBytes = 0
    }
}

// MARK: - Handshake

extension PeerState {
    /// The handshake is over: what it left unread is the decoder's first input.
    mutating func finishHandshake() {
        if phase == .handshake { phase = .messages }
    }
}

// MARK: - Messages

extension PeerState {
    /// Decodes up to `limit` messages and stream openings, and appends them to `output`, which is empty: no more once
    /// they have `byteLimit` bytes, which the last one may exceed.
    ///
    /// Stops behind a stream's opening, and in every other phase but `messages`. In `discarding` it drops stream
    /// bytes until the end of the stream, and goes on with messages.
    mutating func decode(
        limit: Int,
        byteLimit: Int = .max,
        into output: inout DecodedRuns
    ) throws(ParleyError) {
        if let violation { throw violation }
        while output.count < limit, output.payloadBytes < byteLimit,
            phase == .messages || phase == .discarding, var input = nextInput()
        {
            // What is decoded of this block keeps it alive: all of it, from its array's beginning.
            let (firstRun, bytesBefore, blockBytes) = (output.runs.count, output.payloadBytes, input.endIndex)
            defer {
                output.compact(
                    from: firstRun,
                    payloadBytes: output.payloadBytes &- bytesBefore,
                    keptBytes: blockBytes
                )
            }
            while output.count < limit, output.payloadBytes < byteLimit, !input.isEmpty {
                if try decodeMessages(&input, limit: limit, byteLimit: byteLimit, into: &output) { continue }
                let event = try nextEvent(&input)
                switch (event, phase) {
                case (.incomplete(let frameBytes), _):
                    try keep(input, frameBytes: frameBytes)
                    input = []
                case (.message(let payload), .messages):
                    try checkLength(payload.count)
                    output.append(payload, isStream: false)
                case (.streamOpened(let header), .messages):
                    try checkLength(header.count)
                    openStream()
                    output.append(header, isStream: true)
                case (.ping, _), (.pong, _), (.streamBytes, .discarding): break
                case (.streamEnded, .discarding), (.streamAborted, .discarding): phase = .messages
                default: throw misplaced(event)
                }
                if phase == .stream { break }
            }
            queue.prepend(input)
        }
    }

    /// Lets the decoder take all whole messages at once that are at the front of `input`, if it can do that.
    ///
    /// - Returns: whether there were any.
    private mutating func decodeMessages(
        _ input: inout ArraySlice<UInt8>,
        limit: Int,
        byteLimit: Int,
        into output: inout DecodedRuns
    ) throws(ParleyError) -> Bool {
        guard phase == .messages else { return false }
        // What is whole in so many bytes does not have more; the one that goes over it comes by itself.
        let visible = input.prefix(byteLimit &- output.payloadBytes)
        let used = decoder.decodeMessages(visible.span, limit: limit &- output.count, into: &output.found)
        guard !output.found.isEmpty else { return false }
        let tooLong = bounds.isChecked ? output.found.first { $0.count > bounds.maxMessageBytes } : nil
        if let tooLong {
            output.found.removeAll { $0.lowerBound >= tooLong.lowerBound }
            if output.found.isEmpty { try checkLength(tooLong.count) }
        }
        guard (1...visible.count).contains(used), output.appendFound(in: visible) else {
            throw foundOutside()
        }
        input.removeFirst(used)
        if let tooLong { try checkLength(tooLong.count) }
        return true
    }

    /// Finds whole messages at the front of bytes that are only lent, when nothing is waiting before them.
    ///
    /// - Returns: how many bytes are used up; the rest is for ``receive(_:)``.
    mutating func decodeInPlace(
        _ input: Span<UInt8>,
        into found: inout [Range<Int>]
    ) throws(ParleyError) -> Int {
        guard phase == .messages, queue.isEmpty, !hasUnfinished, inputEnd == nil, violation == nil,
            !bounds.isChecked
        else { return 0 }
        let used = decoder.decodeMessages(input, limit: .max, into: &found)
        guard !found.isEmpty else { return 0 }
        guard (1...input.count).contains(used), MessageRun.payloadBytes(found, in: input.count) != nil else {
            throw foundOutside()
        }
        return used
    }

    private mutating func foundOutside() -> ParleyError {
        violated("the \(decoder.name) decoder found messages outside its input")
    }

    /// The same as ``decode(limit:into:)``, one message after the other; returns how many there were.
    mutating func decode(
        limit: Int,
        deliver: (_ payload: ArraySlice<UInt8>, _ stream: Bool) -> Void
    ) throws(ParleyError) -> Int {
        var output = DecodedRuns()
        defer {
            for run in output.runs {
                for index in 0..<run.count { deliver(run[index], run.isStream) }
            }
        }
        try decode(limit: limit, into: &output)
        return output.count
    }

    mutating func checkLength(_ count: Int) throws(ParleyError) {
        guard count > bounds.maxMessageBytes else { return }
        let error = ParleyError(
            .messageTooLong,
            "the remote side sent \(count) bytes at once, allowed are \(bounds.maxMessageBytes)"
        )
        violation = error
        throw error
    }

    private mutating func openStream() {
        phase = .stream
        streamRest.clear()
        isStreamAskedFor = false
    }

    /// The next block, behind what the decoder left of the last one; nil also while a large frame is not whole.
    mutating func nextInput() -> ArraySlice<UInt8>? {
        while case .largeFrame(var frame) = unfinished {
            if frame.missing <= 0 {
                unfinished = .nothing
                return frame.bytes[...]
            }
            guard let more = queue.popFirst(upTo: frame.missing) else { return nil }
            // With a second reference to it, appending would copy all of it.
            unfinished = .nothing
            frame.bytes.append(contentsOf: more)
            unfinished = .largeFrame(frame)
        }
        guard case .beginning(var bytes, let frameBytes) = unfinished else { return queue.popFirst() }
        // What completes the frame and no more, so that the rest of the block stays where it is. Where the length is
        // not known, as much as there is already: each byte is then copied a few times at most.
        let missing = frameBytes > bytes.count ? frameBytes &- bytes.count : max(64, bytes.count)
        guard let more = queue.popFirst(upTo: missing) else { return nil }
        unfinished = .nothing
        bytes.append(contentsOf: more)
        return bytes
    }

    /// Keeps the beginning of a frame. A large one gets its buffer now: the decoder has checked its length, and
    /// memory that nothing is written to costs nothing.
    mutating func keep(_ input: ArraySlice<UInt8>, frameBytes: Int) throws(ParleyError) {
        try checkLength(max(frameBytes, input.count) &- Bounds.frameOverheadBytes)
        guard frameBytes > 0 || input.count <= Self.maxUnknownFrameBytes else {
            throw violated("a \(decoder.name) frame has no end within \(Self.maxUnknownFrameBytes) bytes")
        }
        guard frameBytes <= Self.maxLargeFrameBytes, frameBytes - input.count >= Self.largeFrameBytes else {
            unfinished = input.isEmpty ? .nothing : .beginning(input, frameBytes: frameBytes)
            return
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(frameBytes)
        bytes.append(contentsOf: input)
        unfinished = .largeFrame(LargeFrame(bytes: bytes, frameBytes: frameBytes))
    }

    /// Lends the large frame on its way to whoever can read straight into it; nil when there is none, or bytes
    /// that come before it wait.
    mutating func takeLargeFrame() -> LargeFrame? {
        guard queue.isEmpty, case .largeFrame(let frame) = unfinished, frame.missing > 0 else { return nil }
        unfinished = .nothing
        return frame
    }

    /// Takes back what was lent.
    mutating func returnLargeFrame(_ frame: consuming LargeFrame) { unfinished = .largeFrame(frame) }

    mutating func nextEvent(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        let before = input.count
        do {
            let event = try decoder.decode(&input)
            decoderBytes = decoder.retainedBytes
            if case .incomplete = event { return event }
            if input.count < before {
                switch event {
                case .ping, .pong: heartbeats.value.note(event, bytes: before &- input.count)
                default: break
                }
                return event
            }
        } catch {
            violation = error
            throw error
        }
        throw violated("the \(decoder.name) decoder made an event out of no bytes")
    }

    mutating func violated(_ what: String) -> ParleyError {
        let error = ParleyError(.protocolViolation, what)
        violation = error
        return error
    }

    mutating func misplaced(_ event: DecoderEvent) -> ParleyError {
        let (what, place) =
            switch event {
            case .message: ("a message", "inside a stream")
            case .streamOpened: ("a stream's opening", "inside a stream")
            case .streamBytes: ("stream bytes", "outside a stream")
            case .streamEnded: ("a stream's end", "outside a stream")
            case .streamAborted: ("a stream's abort", "outside a stream")
            case .ping, .pong: ("a heartbeat", "where none can be")
            case .incomplete: ("part of a frame", "where none can be")
            }
        return violated("the remote side sent \(what) \(place)")
    }
}
