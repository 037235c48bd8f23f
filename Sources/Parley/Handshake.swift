/// Greets a new peer before any message is decoded.
///
/// It runs once for each connection, on both sides, in a task of its own, and may read and send raw bytes
/// (``Peer/read(exactly:)``, ``Peer/send(_:)-(ArraySlice<UInt8>)``). Throwing drops the peer; so does taking longer
/// than ``TransportOptions/handshakeTimeout``, which also cancels the task. Bytes that arrive behind the
/// handshake are kept for the decoder.
///
/// Its task prefers the thread of the peer's event loop (``Peer/executor``): what it awaits there costs no way to another
/// thread and back. So it must not block, and what takes long to compute belongs to an actor, or behind
/// `withTaskExecutorPreference(globalConcurrentExecutor)`.
///
/// Source: `HandshakeFunc func(Peer) error` of the reference.
public typealias HandshakeFunc = @Sendable (any Peer) async throws -> Void

/// Accepts everyone.
public let nopHandshake: HandshakeFunc = { _ in }
