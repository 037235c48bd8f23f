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

    /// Opens a stream and returns the writer for its bytes. Waits while another stream of this side is open;
    /// in multiplexed and libp2p as ``openStream(protocol:)`` does.
    ///
    /// - Parameter header: the application's own description of the stream, for wire forms that can carry
    ///   one.
    /// - Throws: as ``send(_:)-(ArraySlice<UInt8>)``, and `unsupported` when the wire form has no streams or
    ///   no stream headers.
    func openStream(header: ArraySlice<UInt8>) async throws(ParleyError) -> any StreamWriter

    /// Opens a two-way stream for a protocol, which the other side takes with ``Transport/accept(_:_:)``.
    ///
    /// Returns at once: the bytes that are written next go along with the proposal. A side that does not
    /// speak the protocol says so to the first read: a stream that is only written and closed does not tell
    /// whether the other side took it.
    ///
    /// Waits while 256 streams of this side are not yet acknowledged, while the streams of both sides use
    /// ``Limits/streamBytesPerPeer`` up (about 1,024 with the defaults), and in libp2p while 512 are open. It
    /// has no time-out.
    ///
    /// In ``WireForm/multiplexed`` and ``WireForm/libp2p`` only.
    ///
    /// - Parameter name: for example `/echo/1.0.0`: 1 to 1,023 bytes of UTF-8 without a newline, and none of
    ///   Parley's own (``WireForm/multiplexed``), nor `/multistream/1.0.0`, `na` or `ls`.
    /// - Throws: ``ParleyError``: `invalidArgument`, `unsupported` (another wire form), `cancelled`, or the
    ///   reason why the connection ended.
    func openStream(protocol name: String) async throws(ParleyError) -> PeerStream

    /// What the other side says of itself: its program, its addresses, the protocols that it speaks. A libp2p
    /// node is asked when it has connected, and tells when that changes. Nil until it has answered, and in
    /// other wire forms than ``WireForm/libp2p``.
    var identification: Identification? { get }

    /// Asks a libp2p node what it says of itself, which ``identification`` then is.
    ///
    /// - Throws: ``ParleyError``: `timedOut` (after ``Timeouts/handshake``), `protocolViolation`,
    ///   `unsupported` (the other side does not say, or the wire form has no streams with names), or as
    ///   ``openStream(protocol:)`` and ``PeerStream/read(upTo:)``.
    @discardableResult
    func identify() async throws(ParleyError) -> Identification

    /// The stream with the number in an RPC. ``RPC/body`` calls it.
    func body(ofStream number: UInt32) -> PeerStream

    // MARK: Requests

    /// Sends a message that asks for an answer, and waits for the answer.
    ///
    /// Any number of tasks may ask at the same time; answers may come in any order. The other side gets an
    /// ``RPC`` with ``RPC/request``. A request waits as a message does: for its turn, behind an open stream,
    /// and for room. Its answer comes behind what the other side had sent before: a consumer that waits for
    /// it must not be the only one who makes room in the inbox for that.
    ///
    /// In the framed and the multiplexed wire forms, and in libp2p's between two Parley nodes.
    ///
    /// - Parameters:
    ///   - message: up to the wire form's `maxMessageBytes`.
    ///   - timeout: for all of it: until the request is accepted, and until the answer is there.
    /// - Returns: the answer, a slice as ``RPC/payload`` is one.
    /// - Throws: ``ParleyError``: `requestRefused` (``ParleyError/remoteCode``), `timedOut`, `cancelled`,
    ///   `unsupported`, as ``send(message:)-(ArraySlice<UInt8>)``, or the reason why the connection ended.
    ///   After all but `unsupported` and `messageTooLong` the other side may have got the request and may
    ///   still act on it; its answer is dropped.
    func request(_ message: ArraySlice<UInt8>, timeout: Duration) async throws(ParleyError) -> ArraySlice<
        UInt8
    >

    /// Answers the request with that number. ``RPC/reply(with:)-(ArraySlice<UInt8>)`` calls it.
    ///
    /// - Throws: as there.
    func reply(to request: UInt32, with message: ArraySlice<UInt8>) async throws(ParleyError)

    /// Refuses the request with that number. ``RPC/refuse(code:reason:)`` calls it.
    ///
    /// - Throws: as there.
    func refuse(_ request: UInt32, code: UInt32, reason: String) async throws(ParleyError)

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
    ///   `streamAborted`, `invalidArgument` for a count below 1, or the reason why the connection ended;
    ///   `unsupported` in multiplexed and libp2p after the handshake: read ``RPC/body``.
    func read(upTo count: Int) async throws(ParleyError) -> ArraySlice<UInt8>?

    /// Reads exactly `count` raw bytes.
    ///
    /// All of them are of one stream.
    ///
    /// - Throws: as ``read(upTo:)``, `endOfStream` when fewer than `count` bytes come before the end, and
    ///   `closed` when ``closeStream()`` is called meanwhile. What had come is lost then.
    func read(exactly count: Int) async throws(ParleyError) -> ArraySlice<UInt8>

    /// Ends reading the stream: decoding resumes with what comes after it. In wire forms that mark a
    /// stream's end the rest of the stream is discarded first. Does nothing when no stream is open, and in
    /// multiplexed and libp2p: close ``RPC/body``.
    func closeStream()

    /// Consumers are done with `count` of the peer's RPCs. Iterators of ``Transport/consume()`` call it; a
    /// peer whose other side has ended its sending then knows when no more answers will come. Does nothing
    /// for a peer of your own that has no such method. Any thread.
    func consumed(_ count: Int)

    // MARK: Ending

    /// Writes out what was sent, for at most ``TransportOptions/closeTimeout``, and closes the connection.
    ///
    /// What has arrived and is not in the inbox is dropped, and reads throw `closed`. Returns when the
    /// connection is closed, or when the task is cancelled; the connection closes all the same. Idempotent.
    ///
    /// The reader of an open stream gets `truncated` behind what was accepted. In wire forms without an end
    /// mark it gets the end, unless a file, a write of more than 1 MiB or ``withStream(header:_:)`` is under
    /// way: then the connection is reset behind what was accepted.
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

    /// Sets both deadlines. They do not apply to a ``PeerStream`` of multiplexed and libp2p: cancel the task,
    /// or abort the stream.
    func setDeadline(_ deadline: ContinuousClock.Instant?)

    /// Sets when reads that have not finished throw `timedOut`, including those that wait now; nil means
    /// never. Not for streams of multiplexed and libp2p; see ``setDeadline(_:)``.
    func setReadDeadline(_ deadline: ContinuousClock.Instant?)

    /// Sets when sends that are not accepted throw `timedOut`, including those that wait now; nil means
    /// never. Not for streams of multiplexed and libp2p; see ``setDeadline(_:)``.
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?)
}

extension Peer {
    /// Does nothing.
    public func consumed(_ count: Int) {}
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

    /// Throws `unsupported`. A peer of your own may open streams.
    public func openStream(protocol name: String) async throws(ParleyError) -> PeerStream {
        throw ParleyError(.unsupported, "the peer has no streams with names")
    }

    /// Nil. A peer of your own may say something.
    public var identification: Identification? { nil }

    /// Throws `unsupported`. A peer of your own may ask.
    @discardableResult
    public func identify() async throws(ParleyError) -> Identification {
        throw ParleyError(.unsupported, "the peer does not say who it is")
    }

    /// Its only stream: ``read(upTo:)`` and ``closeStream()``.
    public func body(ofStream number: UInt32) -> PeerStream { PeerStream(only: self) }

    /// Throws `unsupported`. A peer of your own may ask.
    public func request(
        _ message: ArraySlice<UInt8>,
        timeout: Duration
    ) async throws(ParleyError) -> ArraySlice<UInt8> { throw hasNoRequests }

    /// Throws `unsupported`. A peer of your own may answer.
    public func reply(to request: UInt32, with message: ArraySlice<UInt8>) async throws(ParleyError) {
        throw hasNoRequests
    }

    /// Throws `unsupported`. A peer of your own may refuse.
    public func refuse(_ request: UInt32, code: UInt32, reason: String) async throws(ParleyError) {
        throw hasNoRequests
    }

    private var hasNoRequests: ParleyError { ParleyError(.unsupported, "the peer has no requests") }

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
    ///   (``StreamForm/delimited``), `messageTooLong` for more than ``Limits/sendBufferBytes`` and
    ///   ``TransportOptions/sendHighWaterBytes``, or the reason why the connection ended.
    @inlinable
    @inline(__always)
    public func send(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        if try !trySend(bytes) { try await sendWhenPossible(bytes) }
    }

    /// Sends one message in the wire form of ``TransportOptions/decoder``. Waits while a stream that
    /// ``openStream(header:)`` opened is unfinished.
    ///
    /// - Throws: as ``send(_:)-(ArraySlice<UInt8>)``, and `messageTooLong` or `invalidArgument` when the wire
    ///   form cannot carry the message.
    @inlinable
    @inline(__always)
    public func send(message: ArraySlice<UInt8>) async throws(ParleyError) {
        if try !trySend(message: message) { try await sendWhenPossible(message: message) }
    }

    /// The same as ``send(_:)-(ArraySlice<UInt8>)``, under the name it has in Go's `net.Conn`.
    public func write(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) { try await send(bytes) }

    /// The same as ``send(_:)-(ArraySlice<UInt8>)``, under the name it has in Go's `net.Conn`.
    public func write(_ bytes: [UInt8]) async throws(ParleyError) { try await send(bytes[...]) }

    /// Sends raw bytes; see ``send(_:)-(ArraySlice<UInt8>)``.
    @inlinable
    @inline(__always)
    public func send(_ bytes: [UInt8]) async throws(ParleyError) { try await send(bytes[...]) }

    /// Sends one message; see ``send(message:)-(ArraySlice<UInt8>)``.
    @inlinable
    @inline(__always)
    public func send(message: [UInt8]) async throws(ParleyError) { try await send(message: message[...]) }

    /// Sends one message of UTF-8 text; see ``send(message:)-(ArraySlice<UInt8>)``.
    @inlinable
    @inline(__always)
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

    /// Asks with a time-out of 30 seconds; see ``request(_:timeout:)-(ArraySlice<UInt8>,_)``.
    public func request(_ message: ArraySlice<UInt8>) async throws(ParleyError) -> ArraySlice<UInt8> {
        try await request(message, timeout: .seconds(30))
    }

    /// Asks; see ``request(_:timeout:)-(ArraySlice<UInt8>,_)``.
    public func request(
        _ message: [UInt8],
        timeout: Duration = .seconds(30)
    ) async throws(ParleyError) -> ArraySlice<UInt8> { try await request(message[...], timeout: timeout) }

    /// Asks with UTF-8 text; see ``request(_:timeout:)-(ArraySlice<UInt8>,_)``.
    public func request(
        _ message: String,
        timeout: Duration = .seconds(30)
    ) async throws(ParleyError) -> ArraySlice<UInt8> {
        try await request(bytes(of: message), timeout: timeout)
    }

    /// Opens a stream without a header; see ``openStream(header:)``.
    public func openStream() async throws(ParleyError) -> any StreamWriter {
        try await openStream(header: [])
    }

    /// Opens a stream and runs `body` with its writer. Finishes the stream when `body` returns, and aborts it
    /// when `body` throws. The other side does not learn the error. To tell it more, call
    /// ``StreamWriter/abort(code:reason:)`` in `body`.
    public func withStream<Result>(
        header: ArraySlice<UInt8> = [],
        _ body: (any StreamWriter) async throws -> Result
    ) async throws -> Result {
        let writer = try await openPartialStream(header: header)
        do {
            let result = try await body(writer)
            try await writer.finish()
            return result
        } catch {
            await writer.abort(reason: "the sender failed")
            throw error
        }
    }

    /// The bytes of the open stream in pieces, as they arrive. In multiplexed and libp2p the sequence throws
    /// `unsupported`: use ``PeerStream/chunks(byteCount:chunkBytes:)`` of ``RPC/body``.
    ///
    /// - Parameters:
    ///   - byteCount: the number of bytes to take; the sequence throws `endOfStream` when fewer come. Nil
    ///     takes all bytes up to the end of the stream or, in wire forms with raw streams, of the connection.
    ///   - chunkBytes: the largest piece, in bytes, at least 1; otherwise the sequence throws
    ///     `invalidArgument`.
    public func chunks(byteCount: Int? = nil, chunkBytes: Int = 65_536) -> StreamChunks {
        StreamChunks(stream: PeerStream(only: self), remaining: byteCount, chunkBytes: chunkBytes)
    }
}

extension Peer {
    /// Nil. A peer of your own may have an id.
    public var id: PeerID? { nil }
}
