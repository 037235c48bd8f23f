#if !FUZZ
    @testable import Parley
#endif

/// Fuzzes the unframed wire form against a second implementation of its specification. Here the reads define
/// the events, so that different reads cannot be compared.
func fuzzDefaultDecoder(_ input: FuzzInput) {
    var decoder = DefaultDecoder()
    var model = DefaultModel()
    var echo = DefaultEcho()
    var start = input.wire.startIndex
    for end in Reads(of: input.wire, script: input.script) {
        var read = input.wire[start..<end]
        start = end
        while !read.isEmpty {
            let expected = model.next(read)
            guard let event = decodeDefault(&decoder, &read, expected) else { return }
            echo.send(event)
        }
    }
    checkEnd(of: decoder, isTruncated: model.awaitsPayload)
}

/// Decodes one event and checks that it is the expected one; nil when both found a violation.
private func decodeDefault(
    _ decoder: inout DefaultDecoder,
    _ read: inout ArraySlice<UInt8>,
    _ expected: DefaultModel.Step
) -> DecoderEvent? {
    let before = read
    let event: DecoderEvent
    do {
        event = try decoder.decode(&read)
    } catch {
        require(error.code == .protocolViolation, "\(error)")
        require(expected == .violation, "expected \(expected), not \(error)")
        return nil
    }
    require(read.endIndex == before.endIndex, "the decoder took bytes from the back")
    let used = before.startIndex..<read.startIndex
    require(!used.isEmpty, "\(event) came of no bytes")
    switch (event, expected) {
    case (.message(let payload), .message(let indices)):
        require(used.upperBound == indices.upperBound, "a message of \(used), expected \(indices)")
        require(payload.indices == indices, "the payload is \(payload.indices), expected \(indices)")
    case (.streamOpened(let header), .opening):
        require(header.isEmpty && used.count == 1, "a stream's opening of \(used)")
    case (.incomplete(frameBytes: 0), .typeByteAlone):
        require(read.isEmpty, "a type byte alone left \(read.count) bytes")
    default:
        fatalError("expected \(expected), got \(event)")
    }
    return event
}

private func checkEnd(of decoder: DefaultDecoder, isTruncated: Bool) {
    do {
        try decoder.endOfInput(unread: [])
        require(!isTruncated, "the end between a type byte and its payload went unnoticed")
    } catch {
        require(isTruncated && error.code == .truncated, "\(error)")
    }
}

/// The second implementation of the specification, in indices.
private struct DefaultModel {
    enum Step: Equatable {
        case message(Range<Int>)
        case opening
        case typeByteAlone
        case violation
    }

    private(set) var awaitsPayload = false

    mutating func next(_ read: ArraySlice<UInt8>) -> Step {
        var payload = read.indices
        if !awaitsPayload {
            switch read[payload.lowerBound] {
            case 1: payload = payload.dropFirst()
            case 2: return .opening
            default: return .violation
            }
        }
        awaitsPayload = payload.isEmpty
        return awaitsPayload ? .typeByteAlone : .message(payload.prefix(1_028))
    }
}

/// Encodes what was decoded, and expects that it decodes to the same.
private struct DefaultEcho {
    private var sender = DefaultDecoder()
    private var receiver = DefaultDecoder()
    private var buffer = WireBuffer()
    /// Enough messages to see that no state is carried over between them.
    private var eventsLeft = 4

    mutating func send(_ event: DecoderEvent) {
        guard eventsLeft > 0 else { return }
        eventsLeft -= 1
        buffer.removeAll()
        do {
            switch event {
            case .message(let payload): try sender.encode(message: payload, into: &buffer)
            case .streamOpened(let header): try sender.encodeStreamOpening(header: header, into: &buffer)
            default: return
            }
            var read = buffer.contiguous[...]
            require(read.count == buffer.count, "a buffer of \(buffer.count) bytes holds \(read.count)")
            let echo = try receiver.decode(&read)
            require(echo == event && read.isEmpty, "\(event) became \(echo) and \(read.count) bytes")
        } catch {
            fatalError("\(event) cannot be sent as it came: \(error)")
        }
    }
}
