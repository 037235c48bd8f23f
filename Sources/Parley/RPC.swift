/// One delivery from a peer: a whole message, or the opening of a stream.
///
/// The RPCs of one peer arrive in the order in which it sent them.
public struct RPC: Sendable {
    /// The peer that sent it. Answer with ``Peer/send(message:)-(ArraySlice<UInt8>)``.
    public let peer: any Peer
    /// The message's bytes, or the stream's header (empty in the unframed wire form).
    ///
    /// It is a slice of the block that was read from the socket: its indices do not start at zero, and
    /// keeping a small slice keeps its whole block (at most 64 KiB, or the message's own size).
    /// `Array(payload)` copies it.
    public let payload: ArraySlice<UInt8>
    /// Whether this is the opening of a stream. Read the stream with ``Peer/read(upTo:)``, and end reading
    /// with ``Peer/closeStream()``.
    public let stream: Bool

    /// Makes an RPC, for transports of your own and for tests.
    public init(peer: any Peer, payload: ArraySlice<UInt8>, stream: Bool = false) {
        self.peer = peer
        self.payload = payload
        self.stream = stream
    }

    /// The sender's address as text, for example `127.0.0.1:51514`.
    public var from: String { peer.remoteAddress.description }
}
