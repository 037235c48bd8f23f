/// One connection to another node.
///
/// Every method may be called from any thread or task. Concurrent sends never interleave inside one call.
/// Only one task may read at a time.
///
/// Source: interface `Peer` of the reference, and the methods of Go's `net.Conn` that it embeds.
public protocol Peer: AnyObject, Sendable {
    /// Whether this node dialed the connection.
    var isOutbound: Bool { get }

    /// Who the other side is: it has proven that it has the private key of this id. Nil without
    /// ``TransportOptions/security``.
    var id: PeerID? { get }

    /// This side's address.
    var localAddress: SocketAddress { get }

    /// The other side's address. An IPv4 address on a dual-stack socket is shown as IPv4.
    var remoteAddress: SocketAddress { get }

    /// Identifies this connection, for dictionaries and logs: no other peer of this process has the same, now
    /// or later.
    ///
    /// A node that connects again has another. (The node's own identity, which its key proves, is not this.)
    var connectionID: ConnectionID { get }

    /// A value of your own for this peer, such as its session: `peer.userValue as? Session`. Any thread may
    /// set it; the last one counts. It is released with the peer: a value that refers to its peer needs a
    /// weak reference, or has to be removed in ``TransportOptions/onDisconnect``.
    var userValue: (any Sendable)? { get set }

    /// A snapshot of the connection's counters and buffers. It is cheap, and available after the connection
    /// has ended.
    var statistics: PeerStatistics { get }

    /// Runs Swift tasks on the thread of this peer's event loop; nil for a peer that has none.
    ///
    /// `Task(executorPreference: peer.executor)` reads and sends without a thread hop. Such a task must never
    /// block. All peers of a transport share one executor unless the transport has several
    /// ``TransportOptions/loops``.
    var executor: (any TaskExecutor)? { get }

    // MARK: Sending

    /// Sends raw bytes without waiting; sends nothing where ``send(_:)-(ArraySlice<UInt8>)`` would wait.
    ///
    /// - Returns: whether the bytes were accepted.
    /// - Throws: ``ParleyError``: `timedOut` (``setWriteDeadline(_:)``), `unsupported` as
    ///   ``send(_:)-(ArraySlice<UInt8>)`` does, or the reason why the connection ended.
    func trySend(_ bytes: ArraySlice<UInt8>) throws(ParleyError) -> Bool

    /// Sends one message without waiting; sends nothing where ``send(message:)-(ArraySlice<UInt8>)`` would
    /// wait.
    ///
    /// - Returns: whether the message was accepted.
    /// - Throws: as ``trySend(_:)-(ArraySlice<UInt8>)``, and `messageTooLong` or `invalidArgument` when the
    ///   wire form cannot carry the message.
    func trySend(message: ArraySlice<UInt8>) throws(ParleyError) -> Bool

    /// Waits until the bytes are accepted. ``send(_:)-(ArraySlice<UInt8>)`` calls it when
    /// ``trySend(_:)-(ArraySlice<UInt8>)`` has returned false.
    ///
    /// - Throws: as ``send(_:)-(ArraySlice<UInt8>)``.
    func sendWhenPossible(_ bytes: ArraySlice<UInt8>) async throws(ParleyError)

    /// Waits until the message is accepted. ``send(message:)-(ArraySlice<UInt8>)`` calls it when
    /// ``trySend(message:)-(ArraySlice<UInt8>)`` has returned false.
    ///
    /// - Throws: as ``send(message:)-(ArraySlice<UInt8>)``.
    func sendWhenPossible(message: ArraySlice<UInt8>) async throws(ParleyError)

    /// Opens a stream and returns the writer for its bytes. Waits while another stream of this side is open.
    ///
    /// - Parameter header: the application's own description of the stream, for wire forms that can carry
    ///   one.
    /// - Throws: as ``send(_:)-(ArraySlice<UInt8>)``, and `unsupported` when the wire form has no streams or
    ///   no stream headers.
    func openStream(header: ArraySlice<UInt8>) async throws(ParleyError) -> any StreamWriter

    // MARK: Receiving

    /// Reads raw bytes in the handshake, or bytes of the stream that the other side has opened.
    ///
    /// Between streams it waits for the next stream. Bytes are taken from the network as they are read, and
    /// at most ``Limits/readAheadBytes`` ahead, so a slow reader holds the sender back. Each stream's opening
    /// is an RPC, which has to be consumed: see ``Transport/consume()``.
    ///
    /// - Parameter count: the most bytes to return, at least 1.
    /// - Returns: at least one byte; nil at the end of the stream or of the connection.
    /// - Throws: ``ParleyError``: `timedOut` (``setReadDeadline(_:)``), `cancelled` (no byte is lost then),
    ///   `streamAborted`, or the reason why the connection ended.
    func read(upTo count: Int) async throws(ParleyError) -> ArraySlice<UInt8>?

    /// Reads exactly `count` raw bytes.
    ///
    /// - Throws: as ``read(upTo:)``, and `endOfStream` when fewer than `count` bytes come before the end.
    ///   Those bytes are lost.
    func read(exactly count: Int) async throws(ParleyError) -> ArraySlice<UInt8>

    /// Ends reading the stream: decoding resumes with what comes after it. In wire forms that mark a
    /// stream's end the rest of the stream is discarded first. Does nothing when no stream is open.
    func closeStream()

    /// Consumers are done with `count` of the peer's RPCs. Iterators of ``Transport/consume()`` call it; a
    /// peer whose other side has ended its sending then knows when no more answers will come. Does nothing
    /// for a peer of your own that has no such method. Any thread.
    func consumed(_ count: Int)

    // MARK: Ending

    /// Writes out what was sent, for at most ``TransportOptions/closeTimeout``, and closes the connection.
    ///
    /// Returns when the connection is closed, or when the task is cancelled; the connection closes all the
    /// same. Idempotent.
    func close() async

    /// Waits until either side closes the connection.
    ///
    /// - Returns: why the connection ended, the reason that ``TransportOptions/onDisconnect`` gets.
    /// - Throws: ``ParleyError`` `cancelled`.
    func untilClosed() async throws(ParleyError) -> ParleyError

    /// Bans the peer's address, and its id if it has one, for `duration`: ends all connections with it at
    /// once, with the reason `banned`, and refuses new ones from and to it. See
    /// ``TCPTransport/ban(_:for:)-(String,_)``.
    func ban(for duration: Duration)

    /// Sets both deadlines.
    func setDeadline(_ deadline: ContinuousClock.Instant?)

    /// Sets when reads that have not finished throw `timedOut`, including those that wait now; nil means
    /// never.
    func setReadDeadline(_ deadline: ContinuousClock.Instant?)

    /// Sets when sends that are not accepted throw `timedOut`, including those that wait now; nil means
    /// never.
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?)
}

extension Peer {
    /// Does nothing.
    public func consumed(_ count: Int) {}
}

/// The sending end of a stream; see ``Peer/openStream(header:)``.
public protocol StreamWriter: AnyObject, Sendable {
    /// Sends bytes of the stream; suspends as ``Peer/send(_:)-(ArraySlice<UInt8>)`` does.
    ///
    /// More than 1 MiB is accepted in pieces, each when there is room for it. When such a write throws after
    /// its first piece, the stream is aborted.
    func write(_ bytes: ArraySlice<UInt8>) async throws(ParleyError)

    /// Ends the stream; messages that wait behind it are sent. Does nothing when the stream has ended. Throws
    /// `streamAborted` when a write had failed after a part of it.
    ///
    /// Wire forms with raw streams do not send the end: its reader has to know the length. A writer that is
    /// released without `finish` aborts the stream in wire forms that have an abort.
    func finish() async throws(ParleyError)

    /// Aborts the stream: the other side's next read throws `streamAborted` with this code and reason. Does
    /// nothing when the stream has ended. In wire forms without an abort the connection is closed instead.
    func abort(code: UInt32, reason: String) async
}

extension Peer {
    /// Throws `unsupported`. A peer of your own implements it.
    public func untilClosed() async throws(ParleyError) -> ParleyError {
        throw ParleyError(.unsupported, "the peer does not report its end")
    }

    /// Closes the connection. A peer of your own may implement a ban.
    public func ban(for duration: Duration) { Task { await close() } }

    /// Made from the object's identity: no other peer has the same while this one exists.
    public var connectionID: ConnectionID { ConnectionID(self) }

    /// Nil, and stays nil. A peer of your own may keep one.
    public var userValue: (any Sendable)? {
        get { nil }
        set {}
    }

    /// Nil. A peer of your own may have an executor.
    public var executor: (any TaskExecutor)? { nil }

    /// All zero. A peer of your own may count.
    public var statistics: PeerStatistics { PeerStatistics() }

    // Inlined into the caller: a send that need not wait calls no asynchronous function.

    /// Sends raw bytes, in order after everything sent before.
    ///
    /// For handshakes, and for wire forms with raw streams: ``StreamForm/untilClosed``.
    ///
    /// Returns when the bytes are accepted: at once while fewer than ``TransportOptions/sendHighWaterBytes``
    /// wait to be written, otherwise when no more than ``TransportOptions/sendLowWaterBytes`` do.
    ///
    /// - Throws: ``ParleyError``: `timedOut` (``setWriteDeadline(_:)``, ``Timeouts/write``), `cancelled`
    ///   (nothing was accepted then), `unsupported` after the handshake in a wire form that frames every byte
    ///   (``StreamForm/delimited``), `messageTooLong` for more than ``Limits/sendBufferBytes``, or the reason
    ///   why the connection ended.
    @inlinable
    public func send(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        if try !trySend(bytes) { try await sendWhenPossible(bytes) }
    }

    /// Sends one message in the wire form of ``TransportOptions/decoder``. Waits while a stream that
    /// ``openStream(header:)`` opened is unfinished.
    ///
    /// - Throws: as ``send(_:)-(ArraySlice<UInt8>)``, and `messageTooLong` or `invalidArgument` when the wire
    ///   form cannot carry the message.
    @inlinable
    public func send(message: ArraySlice<UInt8>) async throws(ParleyError) {
        if try !trySend(message: message) { try await sendWhenPossible(message: message) }
    }

    /// The same as ``send(_:)-(ArraySlice<UInt8>)``, under the name it has in Go's `net.Conn`.
    public func write(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) { try await send(bytes) }

    /// The same as ``send(_:)-(ArraySlice<UInt8>)``, under the name it has in Go's `net.Conn`.
    public func write(_ bytes: [UInt8]) async throws(ParleyError) { try await send(bytes[...]) }

    /// Sends raw bytes; see ``send(_:)-(ArraySlice<UInt8>)``.
    @inlinable
    public func send(_ bytes: [UInt8]) async throws(ParleyError) { try await send(bytes[...]) }

    /// Sends one message; see ``send(message:)-(ArraySlice<UInt8>)``.
    @inlinable
    public func send(message: [UInt8]) async throws(ParleyError) { try await send(message: message[...]) }

    /// Sends one message of UTF-8 text; see ``send(message:)-(ArraySlice<UInt8>)``.
    @inlinable
    public func send(message: String) async throws(ParleyError) {
        try await send(message: bytes(of: message))
    }

    /// The text's bytes. The length of a long text is checked before it is copied.
    @usableFromInline
    func bytes(of message: String) throws(ParleyError) -> ArraySlice<UInt8> {
        if message.utf8.count >= WireBuffer.keptSliceBytes, let connection = self as? Connection {
            try connection.node.checkLength(ofMessage: message.utf8.count)
        }
        return Array(message.utf8)[...]
    }

    /// Sends raw bytes without waiting; see ``trySend(_:)-(ArraySlice<UInt8>)``.
    @inlinable
    public func trySend(_ bytes: [UInt8]) throws(ParleyError) -> Bool { try trySend(bytes[...]) }

    /// Sends one message without waiting; see ``trySend(message:)-(ArraySlice<UInt8>)``.
    @inlinable
    public func trySend(message: [UInt8]) throws(ParleyError) -> Bool { try trySend(message: message[...]) }

    /// Sends one message of UTF-8 text without waiting; see ``trySend(message:)-(ArraySlice<UInt8>)``.
    @inlinable
    public func trySend(message: String) throws(ParleyError) -> Bool {
        try trySend(message: bytes(of: message))
    }

    /// Opens a stream without a header; see ``openStream(header:)``.
    public func openStream() async throws(ParleyError) -> any StreamWriter {
        try await openStream(header: [])
    }

    /// Opens a stream and runs `body` with its writer. Finishes the stream when `body` returns, and aborts it
    /// when `body` throws.
    public func withStream<Result>(
        header: ArraySlice<UInt8> = [],
        _ body: (any StreamWriter) async throws -> Result
    ) async throws -> Result {
        let writer = try await openStream(header: header)
        do {
            let result = try await body(writer)
            try await writer.finish()
            return result
        } catch {
            await writer.abort(reason: "\(error)")
            throw error
        }
    }

    /// The bytes of the open stream in pieces, as they arrive.
    ///
    /// - Parameters:
    ///   - byteCount: the number of bytes to take; the sequence throws `endOfStream` when fewer come. Nil
    ///     takes all bytes up to the end of the stream or, in wire forms with raw streams, of the connection.
    ///   - chunkBytes: the largest piece, in bytes.
    public func chunks(byteCount: Int? = nil, chunkBytes: Int = 65_536) -> StreamChunks {
        StreamChunks(peer: self, remaining: byteCount, chunkBytes: chunkBytes)
    }
}

extension Peer {
    /// Nil. A peer of your own may have an id.
    public var id: PeerID? { nil }
}

extension StreamWriter {
    /// Sends bytes of the stream; see ``write(_:)-(ArraySlice<UInt8>)``.
    public func write(_ bytes: [UInt8]) async throws(ParleyError) { try await write(bytes[...]) }

    /// Aborts the stream with the code 0; see ``abort(code:reason:)``.
    public func abort(reason: String) async { await abort(code: 0, reason: reason) }
}

/// The bytes of a peer's stream in pieces; see ``Peer/chunks(byteCount:chunkBytes:)``.
public struct StreamChunks: AsyncSequence, Sendable {
    let peer: any Peer
    let remaining: Int?
    let chunkBytes: Int

    /// Makes an iterator. All iterators read from the same stream.
    public func makeAsyncIterator() -> Iterator {
        Iterator(peer: peer, remaining: remaining, chunkBytes: chunkBytes)
    }

    /// Reads piece by piece.
    public struct Iterator: AsyncIteratorProtocol {
        let peer: any Peer
        var remaining: Int?
        let chunkBytes: Int

        /// The next piece, never empty; nil at the end.
        public mutating func next() async throws(ParleyError) -> ArraySlice<UInt8>? {
            guard let remaining else { return try await peer.read(upTo: chunkBytes) }
            guard remaining > 0 else { return nil }
            guard let chunk = try await peer.read(upTo: Swift.min(chunkBytes, remaining)) else {
                throw ParleyError(.endOfStream, "the stream ended with \(remaining) bytes missing")
            }
            self.remaining = remaining - chunk.count
            return chunk
        }

        /// The next piece, never empty; nil at the end.
        public mutating func next(
            isolation actor: (any Actor)?
        ) async throws(ParleyError) -> ArraySlice<UInt8>? {
            try await next()
        }
    }
}
