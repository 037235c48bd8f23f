/// How many streams of peers were reset because of a limit, or because nobody takes them, by reason.
public struct StreamRefusals: Sendable, Hashable {
    /// ``Limits/streamsPerSecond`` was used up.
    public var tooFast: UInt64 = 0
    /// ``Limits/maxStreamsPerPeer`` or ``Limits/maxStreams`` was reached, or as many openings waited for the
    /// inbox.
    public var tooMany: UInt64 = 0
    /// The peer had opened 256 that this side had not acknowledged.
    public var tooManyUnaccepted: UInt64 = 0
    /// Their windows would have exceeded ``Limits/streamBytesPerPeer``.
    public var noMemory: UInt64 = 0
    /// This side was about to close the connection.
    public var goingAway: UInt64 = 0
    /// Nobody took them. Their handler had been removed, or too many streams waited to be accepted.
    public var notTaken: UInt64 = 0

    /// All zero; for peers and transports of your own.
    public init() {}

    /// Of every reason.
    public var total: UInt64 { tooFast &+ tooMany &+ tooManyUnaccepted &+ noMemory &+ goingAway &+ notTaken }

    @inline(never)
    mutating func add(_ other: StreamRefusals) {
        tooFast &+= other.tooFast
        tooMany &+= other.tooMany
        tooManyUnaccepted &+= other.tooManyUnaccepted
        noMemory &+= other.noMemory
        goingAway &+= other.goingAway
        notTaken &+= other.notTaken
    }

    @inline(never)
    mutating func count(_ refusal: MuxRefusal) {
        switch refusal {
        case .tooFast: tooFast &+= 1
        case .tooManyStreams: tooMany &+= 1
        case .tooManyUnaccepted: tooManyUnaccepted &+= 1
        case .noMemory: noMemory &+= 1
        case .goingAway: goingAway &+= 1
        }
    }
}
