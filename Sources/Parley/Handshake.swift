/// The handshake with a new peer, before any message is decoded.
///
/// It runs once for each connection, on both sides, in a task of its own. It may read and send raw bytes
/// (``Peer/read(exactly:)``, ``Peer/send(_:)-(ArraySlice<UInt8>)``). An error that it throws drops the peer.
/// When it takes longer than ``TransportOptions/handshakeTimeout``, the peer is dropped and the task
/// cancelled. Bytes that arrive after the handshake are kept for the decoder.
///
/// Its task prefers the thread of the peer's event loop (``Peer/executor``), so that reads and sends cost no
/// thread hop. So it must not block. Move long computations to an actor, or into
/// `withTaskExecutorPreference(globalConcurrentExecutor)`.
///
/// Source: `HandshakeFunc func(Peer) error` of the reference.
public typealias HandshakeFunc = @Sendable (any Peer) async throws -> Void

/// The handshake that does nothing: it accepts every peer.
public let nopHandshake: HandshakeFunc = { _ in }
