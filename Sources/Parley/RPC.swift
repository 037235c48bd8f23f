/// One thing that a peer sent: a whole message, or the news that a stream begins.
///
/// RPCs of one peer arrive in the order in which it sent them.
public struct RPC: Sendable {
    /// Who sent it. Answer with ``Peer/send(message:)-(ArraySlice<UInt8>)``.
    public let peer: any Peer
    /// The message's bytes, or the stream's header (empty in the default wire form).
    ///
    /// A slice of the block that was read from the socket: indices do not start at zero, and keeping a small
    /// slice keeps its block (64 KiB at most, or the message's own size). `Array(payload)` makes a copy of its own.
    public let payload: ArraySlice<UInt8>
    /// Whether a stream begins here: read it with ``Peer/read(upTo:)``, end it with ``Peer/closeStream()``.
    public let stream: Bool

    /// Makes an RPC; for transports of your own and for tests.
    public init(peer: any Peer, payload: ArraySlice<UInt8>, stream: Bool = false) {
        self.peer = peer
        self.payload = payload
        self.stream = stream
    }

    /// The sender's address as text, for example `127.0.0.1:51514`.
    public var from: String { peer.remoteAddress.description }
}
