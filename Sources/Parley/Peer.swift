/// One connection to another node.
///
/// Every method may be called from any thread or task. Sends of several tasks never interleave inside one call.
/// Reads are for one task at a time.
///
/// Source: interface `Peer` of the reference, and the methods of Go's `net.Conn` that it embeds.
public protocol Peer: AnyObject, Sendable {
    /// Whether this side dialed.
    var isOutbound: Bool { get }

    /// This side's address.
    var localAddress: SocketAddress { get }

    /// The other side's address; an IPv4 address on a dual-stack socket shows as IPv4.
    var remoteAddress: SocketAddress { get }

    /// What this connection has done and holds, now. Cheap, and still there when it has ended.
    var statistics: PeerStatistics { get }

    /// Runs Swift tasks on the thread of this peer's event loop; nil for a peer that has none.
    /// `Task(executorPreference: peer.executor)` reads from it and sends to it without a change of threads; in return it
    /// must never block. All peers of a transport share one unless it has several ``TransportOptions/loops``.
    var executor: (any TaskExecutor)? { get }

    // MARK: Sending

    /// Sends raw bytes if they need not wait; never suspends. Where ``send(_:)-(ArraySlice<UInt8>)`` would wait, nothing
    /// is sent.
    ///
    /// - Returns: whether they were accepted.
    /// - Throws: ``ParleyError``: `timedOut` (``setWriteDeadline(_:)``), or the reason for which the connection has ended.
    func trySend(_ bytes: ArraySlice<UInt8>) throws(ParleyError) -> Bool

    /// Sends one message if it need not wait; never suspends. Where ``send(message:)-(ArraySlice<UInt8>)`` would wait,
    /// nothing is sent.
    ///
    /// - Returns: whether it was accepted.
    /// - Throws: as ``trySend(_:)-(ArraySlice<UInt8>)``, and `messageTooLong` or `invalidArgument` when the wire form cannot carry the message.
    func trySend(message: ArraySlice<UInt8>) throws(ParleyError) -> Bool

    /// What ``send(_:)-(ArraySlice<UInt8>)`` does when ``trySend(_:)-(ArraySlice<UInt8>)`` has refused: waits until they are accepted.
    func sendWhenPossible(_ bytes: ArraySlice<UInt8>) async throws(ParleyError)

    /// What ``send(message:)-(ArraySlice<UInt8>)`` does when ``trySend(message:)-(ArraySlice<UInt8>)`` has refused: waits until it is accepted.
    func sendWhenPossible(message: ArraySlice<UInt8>) async throws(ParleyError)

    /// Announces a stream and returns the writer for its bytes. Waits while another one is unfinished.
    ///
    /// - Parameter header: the application's own description of the stream, for wire forms that can carry one.
    /// - Throws: as ``send(_:)-(ArraySlice<UInt8>)``, and `unsupported` when the wire form cannot express it.
    func openStream(header: ArraySlice<UInt8>) async throws(ParleyError) -> any StreamWriter

    // MARK: Receiving

    /// Reads raw bytes: in the handshake, or of the stream that the other side has opened.
    ///
    /// Between streams it waits for the next one. Bytes are taken from the network as they are read (and a little
    /// ahead, 256 KiB at most), so a slow reader holds the sender back.
    ///
    /// - Parameter count: the most to return, at least 1.
    /// - Returns: one byte or more; nil at the end of the stream or of the connection.
    /// - Throws: ``ParleyError``: `timedOut` (``setReadDeadline(_:)``), `cancelled` (no byte is lost then),
    ///   `streamAborted`, or the reason for which the connection has ended.
    func read(upTo count: Int) async throws(ParleyError) -> ArraySlice<UInt8>?

    /// Reads exactly `count` raw bytes.
    ///
    /// - Throws: as ``read(upTo:)``, and `endOfStream` when fewer than `count` are left; those are consumed.
    func read(exactly count: Int) async throws(ParleyError) -> ArraySlice<UInt8>

    /// Done with the stream: decoding resumes with what has arrived behind it. Harmless when there is none.
    func closeStream()

    // MARK: Ending

    /// Writes out what was sent (for at most ``TransportOptions/closeTimeout``), closes the connection, and
    /// returns when it is closed, or when the task is cancelled. Idempotent.
    func close() async

    /// Waits until the connection is closed, whoever closes it, and says why it ended: the reason that
    /// ``TransportOptions/onDisconnect`` gets.
    ///
    /// - Throws: ``ParleyError`` `cancelled`.
    func untilClosed() async throws(ParleyError) -> ParleyError

    /// Ends the connection at once with the reason `banned`, and all others with the same address, and lets none be
    /// made from or to it for `duration`. See ``TCPTransport/ban(_:for:)``.
    func ban(for duration: Duration)

    /// Both deadlines at once.
    func setDeadline(_ deadline: ContinuousClock.Instant?)

    /// Reads that have not finished by then throw `timedOut`, those that wait now included; nil means never.
    func setReadDeadline(_ deadline: ContinuousClock.Instant?)

    /// Sends that are not accepted by then throw `timedOut`, those that wait now included; nil means never.
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?)
}

/// The sending end of a stream; see ``Peer/openStream(header:)``.
public protocol StreamWriter: AnyObject, Sendable {
    /// Sends bytes of the stream; suspends as ``Peer/send(_:)-(ArraySlice<UInt8>)`` does.
    func write(_ bytes: ArraySlice<UInt8>) async throws(ParleyError)

    /// Ends the stream and lets waiting messages through. Nothing when it has ended already.
    ///
    /// The default wire form has no bytes for it: its reader has to know the length. A writer that is let go
    /// without it aborts the stream, where the wire form can say so.
    func finish() async throws(ParleyError)

    /// Gives the stream up: its reader's next read throws `streamAborted` with this code and reason. Nothing when
    /// it has ended already. Where the wire form cannot say so, the connection is closed instead.
    func abort(code: UInt32, reason: String) async
}

extension Peer {
    /// Throws `unsupported`: a peer of your own says how it ends.
    public func untilClosed() async throws(ParleyError) -> ParleyError {
        throw ParleyError(.unsupported, "the peer does not say when it ends")
    }

    /// Closes the connection: a peer of your own has nobody to shut it out.
    public func ban(for duration: Duration) { Task { await close() } }

    /// Nil: a peer of your own may have a thread or not.
    public var executor: (any TaskExecutor)? { nil }

    /// Nothing: a peer of your own may count or not.
    public var statistics: PeerStatistics { PeerStatistics() }

    // In the caller's code: no asynchronous function is called for what need not wait.

    /// Sends raw bytes, in order behind everything sent before.
    ///
    /// Returns when they are accepted: at once while less than ``TransportOptions/sendHighWaterBytes`` wait to be
    /// written, otherwise when that has gone down to ``TransportOptions/sendLowWaterBytes``.
    ///
    /// - Throws: ``ParleyError``: `timedOut` (``setWriteDeadline(_:)``), `cancelled` (nothing was accepted then),
    ///   or the reason for which the connection has ended.
    @inlinable
    public func send(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        if try !trySend(bytes) { try await sendWhenPossible(bytes) }
    }

    /// Sends one message in the wire form of ``TransportOptions/decoder``. Waits while a stream that
    /// ``openStream(header:)`` opened is unfinished.
    ///
    /// - Throws: as ``send(_:)-(ArraySlice<UInt8>)``, and `messageTooLong` or `invalidArgument` when the wire form
    ///   cannot carry the message.
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
        try await send(message: Array(message.utf8)[...])
    }

    /// Sends raw bytes if they need not wait; see ``trySend(_:)-(ArraySlice<UInt8>)``.
    @inlinable
    public func trySend(_ bytes: [UInt8]) throws(ParleyError) -> Bool { try trySend(bytes[...]) }

    /// Sends one message if it need not wait; see ``trySend(message:)-(ArraySlice<UInt8>)``.
    @inlinable
    public func trySend(message: [UInt8]) throws(ParleyError) -> Bool { try trySend(message: message[...]) }

    /// Sends one message of UTF-8 text if it need not wait; see ``trySend(message:)-(ArraySlice<UInt8>)``.
    @inlinable
    public func trySend(message: String) throws(ParleyError) -> Bool {
        try trySend(message: Array(message.utf8)[...])
    }

    /// Announces a stream without a header; see ``openStream(header:)``.
    public func openStream() async throws(ParleyError) -> any StreamWriter {
        try await openStream(header: [])
    }

    /// Opens a stream for the length of `body`: finishes it behind `body`, aborts it when `body` throws.
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
    ///   - byteCount: how many bytes to take; the sequence then throws `endOfStream` when fewer come. Nil takes all
    ///     that come until the end, of the stream or (in the default wire form) of the connection.
    ///   - chunkBytes: the largest piece.
    public func chunks(byteCount: Int? = nil, chunkBytes: Int = 65_536) -> StreamChunks {
        StreamChunks(peer: self, remaining: byteCount, chunkBytes: chunkBytes)
    }
}

extension StreamWriter {
    /// Sends bytes of the stream; see ``write(_:)-(ArraySlice<UInt8>)``.
    public func write(_ bytes: [UInt8]) async throws(ParleyError) { try await write(bytes[...]) }

    /// Gives the stream up with the code 0; see ``abort(code:reason:)``.
    public func abort(reason: String) async { await abort(code: 0, reason: reason) }
}

/// The bytes of a peer's stream in pieces; see ``Peer/chunks(byteCount:chunkBytes:)``.
public struct StreamChunks: AsyncSequence, Sendable {
    let peer: any Peer
    let remaining: Int?
    let chunkBytes: Int

    /// An iterator; all iterators read from the same stream.
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
