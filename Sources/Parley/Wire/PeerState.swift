/// The receiving half of one connection as a value. It decides which bytes belong to the handshake, to
/// messages and to a stream.
///
/// The connection passes it what it reads: ``receive(_:)``. Messages leave through
/// ``decode(limit:byteLimit:into:)`` for the inbox, raw bytes through ``read(upTo:)``. It has no sockets,
/// clocks or threads, so it can be tested and fuzzed as it is.
struct PeerState: Sendable {
    /// Who gets the bytes that arrive.
    enum Phase: Sendable, Equatable {
        /// The handshake reads them raw.
        case handshake
        /// The decoder turns them into messages.
        case messages
        /// A stream is open, and its reader gets them.
        case stream
        /// The reader closed a delimited stream before its end. They are dropped until the end arrives.
        case discarding
    }

    /// The result of a read.
    enum ReadResult: Sendable, Equatable {
        case bytes(ArraySlice<UInt8>)
        /// The stream is complete, or the connection has ended and everything is read.
        case end
        /// No bytes have arrived yet.
        case wait
    }

    /// How many bytes are read ahead of a reader by default.
    static let readAheadBytes = 512 * 1024

    /// Input that was not consumed yet. It comes after ``partialFrame``.
    var queue = ByteQueue()
    var partialFrame = PartialFrame.nothing
    var streamRest = LazyBox<StreamRest>()
    /// How the other side broke the wire form. Nothing after it is decoded.
    private(set) var violation: ParleyError?
    /// Why no more input arrives; nil while some may.
    var inputEnd: ParleyError?
    /// The heartbeats for ``takeHeartbeats()``.
    var heartbeats = LazyBox<Heartbeats>()
    /// Streams beside the messages that the inbox has not been told of, the oldest first.
    var announced: [Announcement] = []
    /// The requests of the other side that are not answered yet.
    private(set) var unanswered: Set<UInt32> = []

    /// How many bytes the decoder itself keeps; see ``Decoder/retainedBytes``.
    private var decoderBytes = 0

    // Smallest fields last, so that the containing struct's next fields follow without padding.

    let bounds: Bounds
    var decoder: InputDecoder
    let streamForm: StreamForm
    var phase = Phase.handshake
    /// Whether the stream's reader has read. The link is read from its first read on, not from the stream's
    /// opening on.
    var isStreamReadRequested = false

    /// The frame that the decoder wants more of. Boxed: most connections have none most of the time.
    indirect enum PartialFrame: Sendable {
        case nothing
        /// The beginning of a frame, and the frame's length; zero while the decoder does not know it.
        case beginning(ArraySlice<UInt8>, frameBytes: Int)
        /// A large frame, complete or not.
        case largeFrame(LargeFrame)
    }

    /// What a delimited stream's reader has not read yet.
    struct StreamRest: DefaultInitializable {
        var bytes: ArraySlice<UInt8> = []
        var outcome: StreamOutcome?
        /// How many of the next bytes were read and put back since: too few for their reader.
        var putBackBytes = 0
    }

    /// A stream that the other side has opened beside the messages.
    struct Announcement: Sendable {
        let header: ArraySlice<UInt8>
        let stream: UInt32
    }

    enum StreamOutcome: Sendable {
        case ended
        case aborted(ParleyError)
    }

    /// A frame too large to assemble from slices of reads: the bytes so far, in a buffer of the frame's size.
    struct LargeFrame: Sendable {
        var bytes: [UInt8]
        let frameBytes: Int
        /// How many bytes there were when it was given away to be read into.
        var bytesBefore = 0

        init(bytes: [UInt8], frameBytes: Int) {
            self.bytes = bytes
            self.frameBytes = frameBytes
        }

        /// How many bytes were read since.
        var newBytes: Int { bytes.count - bytesBefore }

        var missing: Int { frameBytes - bytes.count }
    }

    /// A frame that lacks at least this much gets a buffer of its own and is read straight into it.
    static let largeFrameBytes = 64 * 1024
    /// More than any wire form's length can express. A longer frame arrives in pieces.
    static let maxLargeFrameBytes = 1 << 33
    /// How much is kept of a frame of unknown length.
    static let maxUnknownFrameBytes = 16 << 20

    init(decoder: InputDecoder, bounds: Bounds = Bounds()) {
        self.decoder = decoder
        self.bounds = bounds
        streamForm = decoder.streamForm
    }

    var hasHeartbeats: Bool { !heartbeats.isDefault }

    /// Whether the last `bytes` bytes that arrived were heartbeats only.
    func isOnlyHeartbeats(_ bytes: Int) -> Bool { hasHeartbeats && heartbeats.value.bytes >= bytes }

    mutating func takeHeartbeats() -> Heartbeats {
        defer { heartbeats.clear() }
        return heartbeats.value
    }

    /// Appends the bytes of one read.
    mutating func receive(_ block: ArraySlice<UInt8>) { queue.append(block) }

    /// Ends the input with `reason`. The first reason counts.
    mutating func endInput(_ reason: ParleyError) {
        if inputEnd == nil { inputEnd = reason }
    }

    // These are asked at each read. They are inlined, because a call would copy the whole state.

    /// Whether to read more from the link: until the read-ahead is full, and then again when it is half
    /// empty.
    @inline(__always)
    func wantsInput(isReading: Bool) -> Bool {
        if case .some = inputEnd { return false }
        var limit: Int { isReading ? bounds.readAheadBytes : max(1, bounds.readAheadBytes / 2) }
        switch phase {
        case .handshake: return queue.footprint - putBackBytes < limit
        case .messages, .discarding: return queue.isEmpty && !isLargeFrameWhole && announced.isEmpty
        case .stream:
            return isStreamReadRequested && streamOutcome == nil && footprintOfStream < limit
        }
    }

    /// How many more bytes of a stream may be read ahead.
    var readAheadRoom: Int { max(0, bounds.readAheadBytes - footprintOfStream) }

    /// How much of a stream is read ahead of its reader. What the reader has put back was too little for it.
    private var footprintOfStream: Int { queue.footprint + decoded.count - putBackBytes }

    /// How many of the next bytes were read and put back since.
    var putBackBytes: Int { streamRest.isDefault ? 0 : streamRest.value.putBackBytes }

    /// Whether input waits to be decoded because the last ``decode(limit:byteLimit:into:)``
    /// stopped at its limit.
    var hasUndecodedMessages: Bool {
        @inline(__always) get {
            (phase == .messages || phase == .discarding)
                && (!queue.isEmpty || isLargeFrameWhole || !announced.isEmpty) && violation == nil
        }
    }

    /// Whether there may be a message behind a stream that its reader has not closed.
    var hasInputBehindStream: Bool { phase == .stream && !queue.isEmpty }

    /// How many bytes are kept that were not delivered yet.
    var bufferedBytes: Int {
        @inline(__always) get {
            queue.count &+ (hasPartialFrame ? partialFrameContents.count : 0)
                &+ (streamRest.isDefault ? 0 : decoded.count)
        }
    }

    /// The same, with what small blocks cost, what the decoder keeps, and the headers of announced streams.
    var heldBytes: Int {
        @inline(__always) get {
            let headerBytes = announced.isEmpty ? 0 : announced.reduce(0) { $0 &+ $1.header.count }
            return bufferedBytes &+ (queue.footprint &- queue.count) &+ decoderBytes &+ headerBytes
        }
    }

    /// Decoded bytes of a delimited stream that its reader has not read yet.
    var decoded: ArraySlice<UInt8> {
        get { streamRest.value.bytes }
        set { if !newValue.isEmpty || !decoded.isEmpty { streamRest.value.bytes = newValue } }
    }

    /// How a delimited stream has ended; nil while it is open.
    var streamOutcome: StreamOutcome? { streamRest.value.outcome }

    /// The bytes so far of the frame that the decoder wants more of.
    var partialFrameContents: ArraySlice<UInt8> {
        switch partialFrame {
        case .nothing: []
        case .beginning(let bytes, _): bytes
        case .largeFrame(let frame): frame.bytes[...]
        }
    }

    var hasPartialFrame: Bool { if case .nothing = partialFrame { false } else { true } }

    /// Whether a large frame is incomplete.
    var awaitsLargeFrame: Bool {
        if case .largeFrame(let frame) = partialFrame { frame.missing > 0 } else { false }
    }

    var upcoming: Upcoming {
        if awaitsLargeFrame { return .largeFrame }
        return switch phase {
        case .handshake: .raw
        case .messages, .discarding: .messages
        case .stream: .stream
        }
    }

    /// How many bytes of an incomplete frame are there; zero when no frame is incomplete.
    var partialFrameBytes: Int {
        @inline(__always) get { !hasPartialFrame || isLargeFrameWhole ? 0 : partialFrameContents.count }
    }

    private var isLargeFrameWhole: Bool {
        if case .largeFrame(let frame) = partialFrame { frame.missing <= 0 } else { false }
    }

    /// Why the connection ends, once its input has ended and all of it is decoded: an error of its own when
    /// it ended inside a frame. Nil while a handshake or a stream may still read.
    var finalReason: ParleyError? {
        // Not flatMap, whose closure would copy the whole state.
        @inline(__always) get {
            guard let inputEnd else { return nil }
            return finalReason(inputEnd)
        }
    }

    private func finalReason(_ inputEnd: ParleyError) -> ParleyError? {
        guard queue.isEmpty, !isLargeFrameWhole, announced.isEmpty else { return nil }
        switch phase {
        case .handshake, .stream:
            return nil
        case .discarding:
            return ParleyError(.truncated, "the connection ended inside a stream")
        case .messages:
            guard inputEnd.code == .endOfStream else { return inputEnd }
            do { try decoder.endOfInput(unread: partialFrameContents) } catch { return error }
            return inputEnd
        }
    }

    /// Ends decoding: the other side broke the wire form.
    mutating func fail(_ reason: ParleyError) -> ParleyError {
        violation = reason
        dropInput()
        return reason
    }

    /// Drops the input: nobody will read it.
    mutating func dropInput() {
        queue.removeAll()
        partialFrame = .nothing
        decoded = []
        decoderBytes = 0
        announced = []
    }
}

// MARK: - Handshake

extension PeerState {
    /// Ends the handshake. The input that it left unread goes to the decoder.
    mutating func finishHandshake() {
        if phase == .handshake { phase = .messages }
    }
}

// MARK: - What decoding changes

extension PeerState {
    /// Lets ``decode(limit:byteLimit:into:)`` deliver the opening of a stream beside the messages.
    mutating func announce(_ stream: Announcement) { announced.append(stream) }

    /// The most requests of each side that may have no answer. Both sides know it.
    static let mostOpenRequests = 4_096

    /// Adds a request of the other side.
    mutating func open(_ request: UInt32) throws(ParleyError) {
        guard unanswered.count < Self.mostOpenRequests else {
            throw violated("more than \(Self.mostOpenRequests) requests are not answered")
        }
        guard unanswered.insert(request).inserted else {
            throw violated("a request has the number \(request), as one that is not answered yet")
        }
    }

    /// Removes a request of the other side, which is answered now. Returns whether it was open.
    mutating func answer(_ request: UInt32) -> Bool { unanswered.remove(request) != nil }

    /// Takes ``answer(_:)`` back: the answer could not be sent.
    mutating func reopen(_ request: UInt32) { unanswered.insert(request) }

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
            throw fail(error)
        }
        throw violated("the \(decoder.name) decoder returned an event without consuming bytes")
    }
}
