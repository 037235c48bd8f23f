/// The traffic in each direction, of one connection or of all connections of a transport. The numbers never
/// decrease.
public struct Traffic: Sendable, Hashable {
    /// Bytes received from the other side, including those of frame headers, handshakes and streams. On a
    /// secured link, what was sealed in it.
    public var bytesReceived: UInt64 = 0
    /// Bytes written to the other side. On a secured link, before they are sealed.
    public var bytesSent: UInt64 = 0
    /// Bytes received from the network. ``bytesReceived``, and on a secured link what security adds to it.
    /// Zero for a link that failed to be secured.
    public var wireBytesReceived: UInt64 = 0
    /// Bytes written to the network.
    public var wireBytesSent: UInt64 = 0
    /// Messages that arrived whole, with requests and answers.
    public var messagesReceived: UInt64 = 0
    /// Messages that were accepted for sending, with requests and answers.
    public var messagesSent: UInt64 = 0
    /// Streams that the other side opened. Where a peer has many streams its messages have one, too.
    public var streamsReceived: UInt64 = 0
    /// Streams that this side opened, as ``streamsReceived``.
    public var streamsSent: UInt64 = 0
    /// How often reading stopped because the inbox had no room.
    public var readPauses: UInt64 = 0
    /// How often a send waited, for room or for its turn behind a stream.
    public var sendWaits: UInt64 = 0
    /// Requests that the other side sent.
    public var requestsReceived: UInt64 = 0
    /// Requests that this side sent.
    public var requestsSent: UInt64 = 0
    /// Answers that nobody waited for any more: the request had timed out or was cancelled.
    public var lateAnswers: UInt64 = 0

    /// All zero.
    public init() {}

    mutating func add(_ other: Traffic) {
        bytesReceived &+= other.bytesReceived
        bytesSent &+= other.bytesSent
        wireBytesReceived &+= other.wireBytesReceived
        wireBytesSent &+= other.wireBytesSent
        messagesReceived &+= other.messagesReceived
        messagesSent &+= other.messagesSent
        streamsReceived &+= other.streamsReceived
        streamsSent &+= other.streamsSent
        readPauses &+= other.readPauses
        sendWaits &+= other.sendWaits
        requestsReceived &+= other.requestsReceived
        requestsSent &+= other.requestsSent
        lateAnswers &+= other.lateAnswers
    }
}

/// The receiving half of ``Traffic``, guarded by the lock of the connection's receiving half.
struct ReceiveCounters {
    var bytes: UInt64 = 0
    var messages: UInt64 = 0
    /// Made by the first that counts: most connections have none of these.
    private var rare: Rare?

    private final class Rare {
        var streams: UInt64 = 0
        var requests: UInt64 = 0
        var pauses: UInt64 = 0
    }

    var streams: UInt64 { rare?.streams ?? 0 }
    var requests: UInt64 { rare?.requests ?? 0 }
    var pauses: UInt64 { rare?.pauses ?? 0 }

    mutating func countStream() { counted().streams &+= 1 }

    mutating func countPause() { counted().pauses &+= 1 }

    @inline(__always)
    mutating func count(requests: Int) { if requests > 0 { counted().requests &+= UInt64(requests) } }

    private mutating func counted() -> Rare {
        if let rare { return rare }
        let made = Rare()
        rare = made
        return made
    }
}

/// The sending half of ``Traffic``, guarded by the lock of the connection's sending half.
struct SendCounters {
    var bytes: UInt64 = 0
    var messages: UInt64 = 0
    var streams: UInt64 = 0
    var waits: UInt64 = 0
}

extension Traffic {
    /// Copies the counters of the receiving half.
    mutating func set(_ received: ReceiveCounters) {
        bytesReceived = received.bytes
        wireBytesReceived = received.bytes
        messagesReceived = received.messages
        streamsReceived = received.streams
        requestsReceived = received.requests
        readPauses = received.pauses
    }

    /// Copies the counters of the sending half.
    mutating func set(_ sent: SendCounters) {
        bytesSent = sent.bytes
        wireBytesSent = sent.bytes
        messagesSent = sent.messages
        streamsSent = sent.streams
        sendWaits = sent.waits
    }
}
