/// The traffic in each direction, of one connection or of all connections of a transport. The numbers never
/// decrease.
public struct Traffic: Sendable, Hashable {
    /// Bytes received from the network, including those of frame headers, handshakes and streams.
    public var bytesReceived: UInt64 = 0
    /// Bytes written to the network.
    public var bytesSent: UInt64 = 0
    /// Messages that arrived whole and went to the inbox.
    public var messagesReceived: UInt64 = 0
    /// Messages that were accepted for sending.
    public var messagesSent: UInt64 = 0
    /// Streams that the other side opened.
    public var streamsReceived: UInt64 = 0
    /// Streams that this side opened.
    public var streamsSent: UInt64 = 0
    /// How often reading stopped because the inbox had no room.
    public var readPauses: UInt64 = 0
    /// How often a send waited, for room or for its turn behind a stream.
    public var sendWaits: UInt64 = 0

    /// All zero.
    public init() {}

    mutating func add(_ other: Traffic) {
        bytesReceived &+= other.bytesReceived
        bytesSent &+= other.bytesSent
        messagesReceived &+= other.messagesReceived
        messagesSent &+= other.messagesSent
        streamsReceived &+= other.streamsReceived
        streamsSent &+= other.streamsSent
        readPauses &+= other.readPauses
        sendWaits &+= other.sendWaits
    }
}

/// The receiving half of ``Traffic``, guarded by the lock of the connection's receiving half.
struct ReceiveCounters {
    var bytes: UInt64 = 0
    var messages: UInt64 = 0
    var streams: UInt64 = 0
    var pauses: UInt64 = 0
}

/// The sending half of ``Traffic``, guarded by the lock of the connection's sending half.
struct SendCounters {
    var bytes: UInt64 = 0
    var messages: UInt64 = 0
    var streams: UInt64 = 0
    var waits: UInt64 = 0
}

extension Traffic {
    init(_ received: ReceiveCounters, _ sent: SendCounters) {
        bytesReceived = received.bytes
        bytesSent = sent.bytes
        messagesReceived = received.messages
        messagesSent = sent.messages
        streamsReceived = received.streams
        streamsSent = sent.streams
        readPauses = received.pauses
        sendWaits = sent.waits
    }
}
