/// What has arrived, in order. See ``MuxSession/next(_:at:)``.
enum MuxEvent: Sendable, Equatable {
    /// The other side has opened a stream.
    case opened(MuxStreamID)
    /// The other side has acknowledged a stream of this side.
    case acknowledged(MuxStreamID)
    /// A part of a data frame: a slice of what was fed. It counts against the stream's window until
    /// ``MuxSession/consumed(_:of:at:)``.
    case data(MuxStreamID, ArraySlice<UInt8>)
    /// The other side sends no more on this stream.
    case finished(MuxStreamID)
    /// The other side has reset the stream. Some implementations send a code, most zero.
    case reset(MuxStreamID, code: UInt32)
    /// The other side opened a stream and was refused.
    case refused(UInt32, MuxRefusal)
    /// The ping is answered. The time is in nanoseconds.
    case pong(roundTrip: UInt64)
    /// The other side takes no new streams, or ends.
    case goneAway(GoAwayCode)
}

/// What follows from calls and from written frames. See ``MuxSession/nextNotice()``.
enum MuxNotice: Sendable, Equatable {
    /// A stream whose write was not accepted in full takes more.
    case room(MuxStreamID)
    /// The stream is gone from the session. Every stream that was opened has exactly one, as its last notice.
    case ended(MuxStreamID)
    /// A stream can be opened, after ``MuxSession/open(at:)`` had to wait.
    case openable
}
