#if !FUZZ
    @testable import Parley
#endif

/// The specification of `PeerState`: a model whose decoder sees everything that has arrived in one piece.
///
/// The model takes one event at a time, only when the state has returned one. So both are always at the same
/// position, and every byte that the state hands out can be compared.
struct PeerModel<Form: Decoder> {
    typealias Delivery = (payload: ArraySlice<UInt8>, stream: Bool)

    private(set) var phase = PeerState.Phase.handshake
    private(set) var decoder: Form
    /// Everything that has arrived.
    private(set) var arrived: [UInt8] = []
    /// The number of bytes that are decoded or read.
    private(set) var position = 0
    private(set) var inputEnd: ParleyError?
    private(set) var isDropped = false
    /// What the decoder threw; nothing can be decoded after it.
    private(set) var violation: ParleyError?
    /// Bytes of a delimited stream that are decoded and not read.
    private var streamBytes = 0..<0
    /// Bytes of a delimited stream that were read and put back.
    private var putBackBytes: [UInt8] = []
    /// How a delimited stream ended.
    private(set) var streamEnd: DecoderEvent?
    /// The numbers of the requests; nothing answers them.
    private var unanswered: Set<UInt32> = []
    /// Where reads ended, for the wire form that depends on it.
    private var readEnds: [Int] = []
    private var nextReadEnd = 0
    private let readsMatter = Form.self == DefaultDecoder.self

    init(_ decoder: Form) { self.decoder = decoder }

    /// The bytes that have arrived and are not taken; dropped bytes do not count.
    var waitingBytes: Int {
        isDropped ? 0 : arrived.count - position + streamBytes.count + putBackBytes.count
    }

    mutating func receive(_ bytes: ArraySlice<UInt8>) {
        arrived.append(contentsOf: bytes)
        if readsMatter { readEnds.append(arrived.count) }
    }

    mutating func endInput(_ reason: ParleyError) { inputEnd = inputEnd ?? reason }

    mutating func finishHandshake() { if phase == .handshake { phase = .messages } }

    mutating func drop() {
        isDropped = true
        forgetStreamBytes()
    }

    private mutating func forgetStreamBytes() {
        streamBytes = 0..<0
        putBackBytes = []
    }

    mutating func closeStream() -> Bool {
        guard phase == .stream else { return false }
        phase = decoder.streamForm == .delimited && streamEnd == nil ? .discarding : .messages
        forgetStreamBytes()
        return true
    }
}

// MARK: - Events

extension PeerModel {
    /// The next message or stream opening, if all of it has arrived.
    mutating func nextDelivery() throws(ParleyError) -> Delivery? {
        while phase == .messages || phase == .discarding, let event = try nextEvent() {
            switch (event, phase) {
            case (.message(let payload), .messages): return (payload, false)
            case (.request(let number, let payload), .messages):
                guard unanswered.count < PeerState.mostOpenRequests, unanswered.insert(number).inserted else {
                    let error = ParleyError(.protocolViolation, "request \(number) is open, or one too many")
                    violation = error
                    throw error
                }
                return (payload, false)
            case (.reply, .messages), (.refusal, .messages): continue
            case (.streamOpened(let header), .messages):
                phase = .stream
                streamEnd = nil
                return (header, true)
            case (.streamBytes, .discarding): continue
            case (.streamEnded, .discarding), (.streamAborted, .discarding): phase = .messages
            default: fatalError("\(event) where the phase is \(phase)")
            }
        }
        return nil
    }

    private mutating func nextEvent() throws(ParleyError) -> DecoderEvent? {
        if let violation { throw violation }
        while !isDropped, position < arrived.count {
            let end = endOfRead
            var unread = arrived[position..<end]
            let event: DecoderEvent
            do { event = try decoder.decode(&unread) } catch {
                violation = error
                throw error
            }
            position = unread.startIndex
            switch event {
            case .ping, .pong: continue
            case .incomplete: break
            default: return event
            }
            guard end < arrived.count else { return nil }
            require(unread.isEmpty, "the decoder left bytes of a read, though the next one was there")
        }
        return nil
    }

    private var endOfRead: Int {
        mutating get {
            guard readsMatter else { return arrived.count }
            while readEnds[nextReadEnd] <= position { nextReadEnd += 1 }
            return readEnds[nextReadEnd]
        }
    }

    /// What the decoder throws at the connection's end.
    func truncation() -> ParleyError? {
        do { try decoder.endOfInput(unread: arrived[position...]) } catch { return error }
        return nil
    }
}

// MARK: - Raw reads

extension PeerModel {
    /// Expects that a reader got its next bytes.
    mutating func read(_ bytes: ArraySlice<UInt8>) throws(ParleyError) {
        if phase == .stream, decoder.streamForm == .delimited { return try readDelimited(bytes) }
        require(bytes.count <= waitingBytes, "\(bytes.count) bytes read, but only \(waitingBytes) have come")
        let expected = arrived[position..<position + bytes.count]
        require(isSame(bytes, expected), "\(bytes) read, expected \(expected)")
        position += bytes.count
    }

    private mutating func readDelimited(_ bytes: ArraySlice<UInt8>) throws(ParleyError) {
        let again = putBackBytes.prefix(bytes.count)
        require(isSame(bytes.prefix(again.count), again), "\(bytes) read, expected \(again) once more")
        putBackBytes.removeFirst(again.count)
        var unmatched = bytes.dropFirst(again.count)
        while !unmatched.isEmpty {
            require(try hasStreamBytes(), "\(unmatched) read, but no more bytes have come")
            let expected = arrived[streamBytes.prefix(unmatched.count)]
            let part = unmatched.prefix(expected.count)
            require(isSame(part, expected), "\(part) read, expected \(expected)")
            unmatched.removeFirst(expected.count)
            streamBytes.removeFirst(expected.count)
        }
    }

    /// Puts back what was just read, if it may still be read.
    mutating func putBack(_ bytes: ArraySlice<UInt8>) {
        guard phase == .handshake || phase == .stream, !bytes.isEmpty else { return }
        guard phase == .handshake || decoder.streamForm != .delimited else {
            return putBackBytes.insert(contentsOf: bytes, at: 0)
        }
        let end = position
        position -= bytes.count
        guard readsMatter else { return }
        // These bytes count as one read now.
        let others = readEnds.filter { $0 <= position || $0 > end }
        nextReadEnd = others.firstIndex { $0 > position } ?? others.count
        readEnds = others
        readEnds.insert(end, at: nextReadEnd)
    }

    /// Whether a reader of a delimited stream can get bytes; false at its end.
    mutating func hasStreamBytes() throws(ParleyError) -> Bool {
        guard putBackBytes.isEmpty else { return true }
        while streamBytes.isEmpty, streamEnd == nil {
            switch try nextEvent() {
            case nil: return false
            case .streamBytes(let bytes): streamBytes = bytes.indices
            case .streamEnded: streamEnd = .streamEnded
            case let event?: streamEnd = event
            }
        }
        return !streamBytes.isEmpty
    }
}
