/// How the other side broke the rules of yamux or went beyond a limit that ends the session.
enum MuxViolation: Error, Sendable, Equatable {
    // MARK: Headers
    case wrongVersion(UInt8)
    case unknownType(UInt8)
    case unknownFlags(UInt16)
    /// A ping that neither asks nor answers, or does both; a go-away with flags.
    case misplacedFlags(YamuxHeader.FrameType, UInt16)
    /// Data or a window update with the id zero.
    case streamFrameWithoutStream
    /// A ping or a go-away with the id of a stream.
    case sessionFrameOnStream(UInt32)
    /// A data frame that no window could ever allow.
    case frameTooLong(bytes: UInt32, limit: UInt32)

    // MARK: Streams
    /// It opened a stream with an id that only this side may use.
    case wrongParity(UInt32)
    /// It opened a stream whose id was used already.
    case usedStream(UInt32)
    /// Data, or more window, for a stream that was never opened.
    case unknownStream(UInt32, YamuxHeader.FrameType)
    /// More data than the stream's window allows.
    case beyondWindow(UInt32, bytes: UInt32, window: UInt32)
    /// More data for streams that are gone than their windows had left.
    case beyondWindowsOfGoneStreams(UInt32, bytes: UInt32)
    /// Window updates that add up to 2^32 or more.
    case windowOverflow(UInt32)

    // MARK: Floods
    /// More pings a second than allowed, or pings whose answers it does not read.
    case pingFlood
    /// Streams opened at more than twice the allowed rate.
    case openingFlood
    /// More answers wait to be written than allowed: it asks and does not read.
    case answersUnread(Int)
    /// Too many resets, and other frames without data, of streams that never were.
    case strayFrames
    /// Too many frames that change nothing: empty ones, and late ones for streams that are gone.
    case idleFrames

    /// A sentence for the reason of the connection's end. `position` is where the frame begins.
    func error(at position: UInt64) -> ParleyError {
        ParleyError(.protocolViolation, "yamux: \(sentence), at byte \(position) of the session")
    }

    private var sentence: String {
        switch self {
        case .wrongVersion(let version): "version \(version) instead of 0"
        case .unknownType(let type): "unknown frame type \(type)"
        case .unknownFlags(let flags): "unknown flags in 0x\(String(flags, radix: 16))"
        case .misplacedFlags(let type, let flags): "a \(type) frame with the flags \(flags)"
        case .streamFrameWithoutStream: "a frame for a stream has the id 0"
        case .sessionFrameOnStream(let id): "a frame for the session has the id \(id)"
        case .frameTooLong(let bytes, let limit): "a frame of \(bytes) bytes, allowed are \(limit)"
        case .wrongParity(let id): "the remote side opened stream \(id), an id of this side"
        case .usedStream(let id): "stream \(id) was opened twice"
        case .unknownStream(let id, let type): "a \(type) frame for stream \(id), which was never opened"
        case .beyondWindow(let id, let bytes, let window):
            "a frame of \(bytes) bytes for stream \(id), its window is \(window)"
        case .beyondWindowsOfGoneStreams(let id, let bytes):
            "\(bytes) bytes for stream \(id), which is gone, beyond what its window had left"
        case .windowOverflow(let id): "the window of stream \(id) grew beyond 2^32"
        case .pingFlood: "too many pings"
        case .openingFlood: "streams are opened too fast"
        case .answersUnread(let count): "\(count) answers wait and are not read"
        case .strayFrames: "too many frames for streams that never were"
        case .idleFrames: "too many frames that change nothing"
        }
    }
}

/// Why a stream that the other side opened was reset at once. The session goes on.
enum MuxRefusal: Sendable, Equatable, CaseIterable {
    /// ``MuxLimits/streamsPerSecond`` is used up.
    case tooFast
    /// ``MuxLimits/maxRemoteStreams`` is reached.
    case tooManyStreams
    /// ``MuxLimits/maxUnaccepted`` is reached.
    case tooManyUnaccepted
    /// Another window would exceed ``MuxLimits/maxGrantedBytes``.
    case noMemory
    /// This side has said go-away.
    case goingAway
}
