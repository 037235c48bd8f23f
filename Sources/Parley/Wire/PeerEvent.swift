/// What happens to a peer, as an item of the inbox between its RPCs. The C library has an option for it.
package enum PeerEvent: Sendable {
    /// It is open. Before its first RPC.
    case connected
    /// Its connection has ended, with this code of ``ParleyError``. After its last RPC.
    case disconnected(Int32)
    /// A refused send may be tried again.
    case writable
    /// A read that would have had to wait may be tried again.
    case readable
    // Boxed: every message has room for an event, and none has one.

    /// The peer has opened a stream, which has this number.
    indirect case streamAccepted(UInt64)
    /// A read of this stream that would have had to wait may be tried again.
    indirect case streamReadable(UInt64)
    /// A write to this stream that would have had to wait may be tried again.
    indirect case streamWritable(UInt64)

    /// Whether a peer has caused it. The others, the program has asked for.
    var isOfPeer: Bool {
        switch self {
        case .connected, .disconnected, .streamAccepted: true
        case .writable, .readable, .streamReadable, .streamWritable: false
        }
    }
}

extension MessageRun {
    /// An event of a peer. `text` describes it; a NUL follows it in memory.
    init(_ event: PeerEvent, _ text: String) {
        let bytes = Array(text.utf8)
        block = bytes.isEmpty ? [] : (bytes + [0]).dropLast()
        bounds = []
        payloadBytes = bytes.count
        self.event = event
        kind = .messages
    }
}
