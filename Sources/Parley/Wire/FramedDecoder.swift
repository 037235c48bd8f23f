/// The framed wire form, the one for two Parley nodes: frames with a type and a length. Messages keep their
/// boundaries and streams have an end.
///
/// ```
/// type u8 | length u32, big-endian | payload
///
/// 1  message          the message, 0 bytes to maxMessageBytes
/// 2  stream opening   the application's own header, 0 bytes to maxMessageBytes
/// 3  stream data      bytes of the open stream, any number
/// 4  stream end       nothing
/// 5  stream abort     code u32, big-endian, and a reason in UTF-8, up to 1,024 bytes
/// 6  ping             a token of 8 bytes
/// 7  pong             the token of the ping it answers, or 0: a sign of life that answers none
/// 8  request          its number u32, big-endian, and a message
/// 9  reply            the number of the request that it answers, and a message
/// 10 refusal          the number of the request, a code u32, and a reason in UTF-8, up to 1,024 bytes
/// ```
///
/// One stream is open at a time, and no message, request or answer comes inside it. Ping and pong may come
/// between any two frames. Numbers of requests are the asker's, and each may be used again when its answer
/// has come. Lengths are checked before anything is allocated. A small frame is a slice of the read that
/// brought it; a large one is read into a buffer of its own.
public struct FramedDecoder: Decoder {
    enum FrameType: UInt8 {
        case message = 1
        case streamOpening = 2
        case streamData = 3
        case streamEnd = 4
        case streamAbort = 5
        case ping = 6
        case pong = 7
        case request = 8
        case reply = 9
        case refusal = 10

        /// As error messages name it.
        var description: String {
            switch self {
            case .message: "a message"
            case .streamOpening: "a stream's opening"
            case .streamData: "a stream's data"
            case .streamEnd: "a stream's end"
            case .streamAbort: "a stream's abort"
            case .ping: "a ping"
            case .pong: "a pong"
            case .request: "a request"
            case .reply: "a reply"
            case .refusal: "a refusal"
            }
        }
    }

    static let headerBytes = 5
    static let tokenBytes = 8
    /// The number of a request, before its message.
    static let numberBytes = 4
    static let maxReasonBytes = 1_024
    /// The default limit of a message.
    public static let defaultMaxMessageBytes = 16 << 20

    // Each connection has them, the largest first. They fit the inline buffer of `any Decoder`, 24 bytes.

    /// How many bytes of the connection have been decoded, for error messages.
    private var position: UInt64 = 0
    /// The bytes of the current data frame that have not arrived yet.
    private var dataBytesLeft: UInt32 = 0
    let maxMessageBytes: UInt32
    /// Whether streams come between the messages; in ``WireForm/multiplexed`` they come beside them.
    private let hasStreams: Bool
    private var isStreamOpen = false

    /// A decoder at the start of a connection.
    ///
    /// - Parameter maxMessageBytes: the longest message or stream header, in either direction: 0 to
    ///   4,294,967,295. Anything else stops the program.
    public init(maxMessageBytes: Int = defaultMaxMessageBytes) {
        self.init(maxMessageBytes: maxMessageBytes, hasStreams: true)
    }

    init(maxMessageBytes: Int, hasStreams: Bool) {
        precondition((0...Int(UInt32.max)).contains(maxMessageBytes), "maxMessageBytes has to fit 32 bits")
        self.maxMessageBytes = UInt32(maxMessageBytes)
        self.hasStreams = hasStreams
    }

    /// For writing alone.
    init(encoding messages: FramedMessages) {
        maxMessageBytes = messages.maxBytes
        hasStreams = true
    }

    /// `framed`
    public var name: String { "framed" }

    /// A frame marks a stream's end.
    public var streamForm: StreamForm { .delimited }
}

extension WireForm {
    /// Frames with a type and a length, the wire form for two Parley nodes. See ``FramedDecoder``.
    public static let framed = framed(maxMessageBytes: FramedDecoder.defaultMaxMessageBytes)

    /// The framed wire form with a limit of your own for messages and stream headers: 0 to 4,294,967,295.
    public static func framed(maxMessageBytes: Int) -> WireForm {
        WireForm(maxMessageBytes: maxMessageBytes, upTo: Int(UInt32.max), checksLengths: true)
    }
}

// MARK: - Reading

extension FramedDecoder {
    /// Takes the next frame from the front of `input`, or the part of a data frame that is there.
    ///
    /// - Throws: `protocolViolation` for an unknown or misplaced frame type, and for a length outside the
    ///   type's range.
    public mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        if dataBytesLeft > 0 { return .streamBytes(takeData(&input)) }
        let type = try checkedType(input)
        guard input.count >= Self.headerBytes else { return .incomplete(frameBytes: 0) }
        let length = Int(Self.number(input.dropFirst()))
        try checkLength(length, of: type, input)
        if type == .streamData {
            advance(&input, by: Self.headerBytes)
            dataBytesLeft = UInt32(length)
            return .streamBytes(takeData(&input))
        }
        guard input.count - Self.headerBytes >= length else {
            return .incomplete(frameBytes: Self.headerBytes + length)
        }
        let payload = input.dropFirst(Self.headerBytes).prefix(length)
        advance(&input, by: Self.headerBytes + length)
        return event(type, payload)
    }

    /// Finds the whole message frames at the front of `input`.
    public mutating func decodeMessages(
        _ input: Span<UInt8>,
        limit: Int,
        into bounds: inout [Range<Int>]
    ) -> Int {
        guard !isStreamOpen, limit > 0 else { return 0 }
        let bytes = input.bytes
        // Most reads bring one message.
        if let only = messagePayload(at: 0, of: bytes), only.upperBound == bytes.byteCount {
            bounds.append(only)
            position &+= UInt64(only.upperBound)
            return only.upperBound
        }
        // Ranges go to memory that is there already, some at a time: a check for each costs more than finding
        // it.
        var (used, left) = (0, limit)
        var isEnd = false
        while left > 0, !isEnd {
            let most = min(left, Self.boundsAtATime, (bytes.byteCount &- used) / Self.headerBytes)
            guard most > 0 else { break }
            bounds.append(addingCapacity: most) { (found: inout OutputSpan<Range<Int>>) in
                while found.count < most, let payload = messagePayload(at: used, of: bytes) {
                    found.append(payload)
                    used = payload.upperBound
                }
                isEnd = found.count < most
                left &-= found.count
            }
        }
        position &+= UInt64(used)
        return used
    }

    private static let boundsAtATime = 64

    /// Where the payload of the message frame at `start` is; nil when there is none, or not all of it.
    /// ``decode(_:)`` handles every other frame, and names what is wrong with it.
    @inline(__always)
    private func messagePayload(at start: Int, of bytes: borrowing RawSpan) -> Range<Int>? {
        // The loads below are inside `bytes` when this is not negative. So they check nothing.
        let room = bytes.byteCount &- start &- Self.headerBytes
        guard room >= 0,
            bytes.unsafeLoad(fromUncheckedByteOffset: start, as: UInt8.self) == FrameType.message.rawValue
        else { return nil }
        let number = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: start &+ 1, as: UInt32.self)
        let length = Int(UInt32(bigEndian: number))
        guard length <= Int(maxMessageBytes), length <= room else { return nil }
        let lower = start &+ Self.headerBytes
        return Range(uncheckedBounds: (lower, lower &+ length))
    }

    /// Whether the first byte is the type of a reply, a refusal or a heartbeat, outside a stream's data.
    public func needsNoRoom(_ input: ArraySlice<UInt8>) -> Bool {
        guard dataBytesLeft == 0, let byte = input.first else { return false }
        return switch FrameType(rawValue: byte) {
        case .reply, .refusal, .ping, .pong: true
        default: false
        }
    }

    private mutating func event(_ type: FrameType, _ payload: ArraySlice<UInt8>) -> DecoderEvent {
        switch type {
        case .message: return .message(payload)
        case .streamData: return .streamBytes(payload)
        case .streamOpening:
            isStreamOpen = true
            return .streamOpened(header: payload)
        case .streamEnd:
            isStreamOpen = false
            return .streamEnded
        case .streamAbort:
            isStreamOpen = false
            let reason = String(decoding: payload.dropFirst(4), as: UTF8.self)
            return .streamAborted(code: Self.number(payload), reason: reason)
        case .request: return .request(Self.number(payload), payload.dropFirst(Self.numberBytes))
        case .reply: return .reply(to: Self.number(payload), payload.dropFirst(Self.numberBytes))
        case .refusal:
            let rest = payload.dropFirst(Self.numberBytes)
            let reason = String(decoding: rest.dropFirst(4), as: UTF8.self)
            return .refusal(of: Self.number(payload), code: Self.number(rest), reason: reason)
        case .ping: return .ping(Self.token(payload))
        case .pong: return .pong(Self.token(payload))
        }
    }

    private mutating func takeData(_ input: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let data = input.prefix(Int(dataBytesLeft))
        dataBytesLeft -= UInt32(data.count)
        advance(&input, by: data.count)
        return data
    }

    private mutating func advance(_ input: inout ArraySlice<UInt8>, by count: Int) {
        input.removeFirst(count)
        position &+= UInt64(count)
    }

    /// The type of the frame at the front. Throws at the first byte when the type is unknown or misplaced.
    private func checkedType(_ input: ArraySlice<UInt8>) throws(ParleyError) -> FrameType {
        guard let byte = input.first else { throw violation("nothing where a frame was expected") }
        guard let type = FrameType(rawValue: byte) else {
            let guess = position == 0 ? WireGuess.sentence(input, expected: name) : ""
            throw violation("unknown frame type \(hex(byte))\(guess)")
        }
        switch type {
        case .message, .streamOpening, .request, .reply, .refusal:
            guard !isStreamOpen else { throw violation("\(type.description) inside a stream") }
            guard hasStreams || type != .streamOpening else {
                throw violation("\(type.description) among the messages of a multiplexed connection")
            }
        case .ping, .pong: break
        case .streamData, .streamEnd, .streamAbort:
            guard isStreamOpen else { throw violation("\(type.description) where no stream is open") }
        }
        return type
    }

    private func checkLength(
        _ length: Int,
        of type: FrameType,
        _ input: ArraySlice<UInt8>
    ) throws(ParleyError) {
        let allowed =
            switch type {
            case .message, .streamOpening: 0...Int(maxMessageBytes)
            case .streamData: 0...Int(UInt32.max)
            case .streamEnd: 0...0
            case .streamAbort: 4...4 + Self.maxReasonBytes
            case .ping, .pong: Self.tokenBytes...Self.tokenBytes
            case .request, .reply: Self.numberBytes...Self.numberBytes + Int(maxMessageBytes)
            case .refusal: Self.numberBytes + 4...Self.numberBytes + 4 + Self.maxReasonBytes
            }
        guard allowed.contains(length) else {
            let guess = position == 0 ? WireGuess.sentence(input, expected: name) : ""
            throw violation("\(type.description) frame of \(length) bytes, allowed are \(allowed)\(guess)")
        }
    }

    private func violation(_ what: String) -> ParleyError {
        ParleyError(.protocolViolation, "\(what), at byte \(position) of the connection")
    }

    private static func token(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The first four bytes as a big-endian number.
    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Throws `truncated` when bytes are left or a stream has no end. A data frame that is not whole is in a
    /// stream.
    public func endOfInput(unread: ArraySlice<UInt8>) throws(ParleyError) {
        guard unread.isEmpty, !isStreamOpen else {
            let place = isStreamOpen ? "a stream" : "a frame"
            throw ParleyError(
                .truncated,
                "the connection ended inside \(place), \(unread.count) bytes after byte \(position)"
            )
        }
    }
}
