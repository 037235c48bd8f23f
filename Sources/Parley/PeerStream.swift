/// A stream of bytes with a peer, both ways.
///
/// ``Peer/openStream(protocol:)`` opens one, ``Transport/accept(_:_:)`` takes one, and ``RPC/body`` is the
/// stream that an RPC has announced. In ``WireForm/multiplexed`` a connection has many of them at once, and
/// each waits for itself alone. In the wire forms with one stream at a time, ``RPC/body`` is read-only and
/// stands for ``Peer/read(upTo:)`` and ``Peer/closeStream()``, so that a program written with it runs on all
/// of them.
///
/// Any thread or task; one reader and one writer at a time. End every stream with ``close()`` or
/// ``abort(code:)``, also one that was read to its end: where a connection has one stream at a time, nothing
/// behind it is delivered before, and after ``Timeouts/streamIdle`` the peer is dropped. ``finish()`` is for
/// streams that can be written. One that was opened or accepted and is released before its end is aborted.
/// On a connection with many streams, one whose bytes nobody reads for ``Timeouts/streamIdle`` is reset.
public final class PeerStream: Sendable {
    /// The other side.
    public let peer: any Peer
    /// The protocol that both sides speak on it; empty where streams have no names.
    public let protocolName: String
    let source: Source

    /// Whether the stream is abandoned when nobody has it any more.
    private let isCounted: Bool

    enum Source {
        case channel(Channel, MultiplexedLink)
        /// The only stream of a connection that has one at a time.
        case only(OnlyStream)
    }

    init(_ channel: Channel, of peer: Connection, over link: MultiplexedLink, isCounted: Bool = true) {
        self.peer = peer
        protocolName = channel.name == Multiplexed.stream ? "" : channel.name
        source = .channel(channel, link)
        self.isCounted = isCounted
        if isCounted { link.channels.withLock { $0.retain(channel) } }
    }

    /// The only stream of a peer in a wire form with one stream at a time.
    ///
    /// - Parameter number: the number that its RPC has. Nil is the one that is open; if none is, the first
    ///   that a reader gets something of.
    package init(only peer: any Peer, number: UInt32? = nil) {
        self.peer = peer
        protocolName = ""
        source = .only(OnlyStream(number ?? (peer as? Connection)?.numberOfOpenStream ?? 0))
        isCounted = false
    }

    deinit {
        guard isCounted, case .channel(let channel, let link) = source else { return }
        guard
            let (woken, isLeft) = try? link.change({ (channels, now) in
                (channels.release(channel, at: now), channels.channel(channel.id) != nil)
            })
        else { return }
        woken.resume()
        if isLeft { link.startTimeouts() }
    }

    // MARK: Reading

    /// Reads what has arrived; waits for it if there is nothing.
    ///
    /// On a connection with many streams it has no time-out of its own: a quiet sender is waited for until
    /// the connection ends. Cancel the task, or use a ``Heartbeat`` to notice a peer that is gone.
    ///
    /// - Parameter count: the most bytes to return, at least 1.
    /// - Returns: at least one byte; nil when the other side has ended the stream.
    /// - Throws: ``ParleyError``: `streamAborted`, `unsupported` (the other side does not speak the
    ///   protocol), `timedOut` (nobody read for ``Timeouts/streamIdle``), `truncated` (the connection ended
    ///   inside the stream), `closed`, `cancelled` (no byte is lost then), `invalidArgument` for a count
    ///   below 1, or why the connection ended.
    public func read(upTo count: Int) async throws(ParleyError) -> ArraySlice<UInt8>? {
        let (channel, link): (Channel, MultiplexedLink)
        switch source {
        case .channel(let its, let over): (channel, link) = (its, over)
        case .only(let stream):
            guard let connection else { return try await peer.read(upTo: count) }
            return try await connection.read(upTo: count, of: stream)
        }
        guard count > 0 else {
            throw ParleyError(.invalidArgument, "a read of \(count) bytes from \(peer.remoteAddress)")
        }
        while true {
            let (result, epoch) = try link.read(channel, upTo: count)
            switch result {
            case .bytes(let bytes): return bytes
            case .end: return nil
            case .wait: break
            }
            guard await link.wait(for: channel, after: epoch) else {
                throw .cancelled("reading a stream of \(peer.remoteAddress)")
            }
        }
    }

    /// Reads exactly `count` bytes.
    ///
    /// - Throws: as ``read(upTo:)``, and `endOfStream` when fewer come before the end. Those are lost; with
    ///   `cancelled` none is.
    public func read(exactly count: Int) async throws(ParleyError) -> ArraySlice<UInt8> {
        if connection == nil { return try await peer.read(exactly: count) }
        var collected: ArraySlice<UInt8> = []
        while collected.count < count {
            guard let bytes = try await read(upTo: count - collected.count, after: collected) else {
                throw ParleyError(
                    .endOfStream,
                    "a stream of \(peer.remoteAddress) ended after \(collected.count) of \(count) bytes"
                )
            }
            if collected.isEmpty { collected = bytes } else { collected.append(contentsOf: bytes) }
        }
        return collected
    }

    /// Reads what follows `collected`, which is put back when the wait is cancelled or times out.
    private func read(
        upTo count: Int,
        after collected: ArraySlice<UInt8>
    ) async throws(ParleyError) -> ArraySlice<UInt8>? {
        do { return try await read(upTo: count) } catch {
            if error.code == .cancelled || error.code == .timedOut { putBack(collected) }
            throw error
        }
    }

    /// Puts bytes that a read has returned back in front of the others. Drops them when they can no longer be
    /// read.
    package func putBack(_ bytes: ArraySlice<UInt8>) {
        switch source {
        case .channel(let channel, let link):
            guard !bytes.isEmpty else { return }
            try? link.change { (channels, now) in channels.putBack(bytes, to: channel, at: now) }
            link.startTimeouts()
        case .only(let stream): connection?.putBack(bytes, of: stream)
        }
    }

    /// Lets the other side send so many bytes ahead of this reader, within the limits of the connection: for
    /// streams of which much is read. What may arrive is memory that may be held. Where a connection has one
    /// stream at a time, this does nothing.
    package func widenWindow(to byteCount: Int) {
        guard case .channel(let channel, let link) = source else { return }
        try? link.change { (channels, _) in channels.session.widen(channel.id, to: byteCount) }
    }

    /// The bytes of the stream in pieces, as they arrive, up to its end.
    ///
    /// - Parameters:
    ///   - byteCount: the number of bytes to take; the sequence throws `endOfStream` when fewer come. Nil
    ///     takes all.
    ///   - chunkBytes: the largest piece, in bytes, at least 1; otherwise the sequence throws
    ///     `invalidArgument`.
    public func chunks(byteCount: Int? = nil, chunkBytes: Int = 65_536) -> StreamChunks {
        StreamChunks(stream: self, remaining: byteCount, chunkBytes: chunkBytes)
    }

    // MARK: Ending

    /// Ends the stream for this side: what was written is still sent, and nothing more is read. A stream that
    /// this side has not finished ends for the other side as if it were.
    ///
    /// Never waits. Does nothing when the stream has ended.
    public func close() {
        guard case .channel(let channel, let link) = source else { return closeOnly() }
        (try? link.change { (channels, now) in channels.close(channel, at: now) })?.resume()
        link.startTimeouts()
    }

    private func closeOnly() {
        guard let connection, case .only(let stream) = source else { return peer.closeStream() }
        connection.closeStream(stream)
    }

    /// Resets the stream at once: what was written and is not sent is dropped, and the other side's reads and
    /// writes throw `streamAborted` with the code. Never waits. Does nothing when the stream has ended. The
    /// only stream of a connection is closed instead.
    ///
    /// - Parameter code: a number of your own; see ``ParleyError/remoteCode``. Nodes other than Parley's may
    ///   ignore it.
    public func abort(code: UInt32) {
        abort(code: code, because: ParleyError(.streamAborted, "this side aborted the stream (code \(code))"))
    }

    /// The same with the error that this side's reads and writes throw.
    func abort(code: UInt32, because reason: ParleyError) {
        guard case .channel(let channel, let link) = source else { return closeOnly() }
        (try? link.change { (channels, _) in channels.abort(channel, code: code, reason) })?.resume()
    }

    /// Resets a stream that the other side has opened and that nobody takes, and counts it.
    package func refuse() {
        guard case .channel(let channel, let link) = source else { return }
        (try? link.change { (channels, _) in channels.refuse(channel) })?.resume()
    }
}

extension PeerStream: StreamWriter {
    /// Sends bytes; suspends while 256 KiB of the stream wait to be sent, or all peers together exceed
    /// ``Limits/sendBufferBytes``. When the task is cancelled or the write times out after a part was
    /// accepted, the stream is aborted.
    ///
    /// That the bytes were accepted does not tell whether the other side takes them, or speaks the protocol:
    /// read its end, or an answer.
    ///
    /// - Throws: ``ParleyError``: `streamAborted`, `unsupported` (the other side does not speak the protocol,
    ///   or the stream is one that can only be read), `timedOut` (``Timeouts/write``), `closed` (this side
    ///   has ended the stream), `cancelled`, or why the connection ended.
    public func write(_ bytes: ArraySlice<UInt8>) async throws(ParleyError) {
        guard case .channel(let channel, let link) = source else { throw isReadOnly }
        var rest = bytes
        var waitsSince: UInt64?
        do throws(ParleyError) {
            while true {
                let (taken, epoch) = try link.write(rest, to: channel, of: connection?.number ?? 0)
                rest.removeFirst(taken)
                if rest.isEmpty { return }
                let began = waitsSince ?? MonotonicTime.millisecondsNow
                waitsSince = began
                guard await link.wait(for: channel, after: epoch) else {
                    throw .cancelled("writing a stream to \(peer.remoteAddress)")
                }
                try link.checkBlocked(channel, since: began)
            }
        } catch {
            if rest.count < bytes.count { abort(code: 0) }
            throw error
        }
    }

    /// Ends what this side sends. The other side reads the end behind what was written, and may go on
    /// sending. Never waits: it does not tell whether the other side took what was written. Read its end, or
    /// an answer.
    ///
    /// - Throws: as ``write(_:)-(ArraySlice<UInt8>)``. Finishing twice is allowed.
    public func finish() async throws(ParleyError) { try finishNow() }

    package func finishNow() throws(ParleyError) {
        guard case .channel(let channel, let link) = source else { throw isReadOnly }
        try link.change { (channels, _) throws(ParleyError) in try channels.finish(channel) }.resume()
    }

    /// Resets the stream; see ``abort(code:)``. The reason is not sent: yamux has a code alone.
    public func abort(code: UInt32, reason: String) async { abort(code: code) }

    var isReadOnly: ParleyError {
        ParleyError(.unsupported, "the streams of \(peer.remoteAddress) are one-way: this one is read")
    }

    /// The library's connection, for work on its loop.
    package var connection: Connection? { peer as? Connection }
}

extension PeerStream: CustomStringConvertible {
    /// `stream /echo/1.0.0 with 127.0.0.1:51514`
    public var description: String {
        "stream \(protocolName.isEmpty ? "" : "\(protocolName) ")with \(peer.remoteAddress)"
    }
}

// MARK: - Where streams come from

extension RPC {
    /// The stream that this RPC has announced (``stream``): its reader, on every wire form. Nil for messages
    /// and requests. In ``WireForm/multiplexed`` it can be written too, any number of streams can be read at
    /// once, and a stream that has ended, or that a limit has reset, throws when it is used.
    public var body: PeerStream? {
        guard case .stream(let number) = kind else { return nil }
        return peer.body(ofStream: number)
    }
}

extension Connection {
    /// See ``Peer/body(ofStream:)``.
    public func body(ofStream number: UInt32) -> PeerStream {
        guard let link = multiplexed else { return PeerStream(only: self, number: number) }
        if ForkedChild.isThisProcess { return PeerStream(.gone(), of: self, over: link, isCounted: false) }
        let now = MonotonicTime.nanosecondsNow
        let channel = link.channels.withLock { $0.takeBody(number, at: now) }
        return PeerStream(channel ?? .gone(), of: self, over: link, isCounted: false)
    }

    /// See ``Peer/openStream(protocol:)``.
    public func openStream(protocol name: String) async throws(ParleyError) -> PeerStream {
        let link = try linkForStreams(named: name)
        return try await PeerStream(openChannel(name, link), of: self, over: link)
    }

    /// The link on which a stream of this protocol can be opened.
    func linkForStreams(named name: String) throws(ParleyError) -> MultiplexedLink {
        guard Multistream.isName(name), Multiplexed.isFree(name) else {
            throw Multistream.impossible(name)
        }
        guard let link = multiplexed else {
            throw ParleyError(
                .unsupported,
                "streams with names need the wire form multiplexed: \(remoteAddress) has another one"
            )
        }
        return link
    }

    /// Opens a stream whose opening is an RPC with `header`.
    func openStream(header: ArraySlice<UInt8>, over link: MultiplexedLink) async throws(ParleyError)
        -> PeerStream
    {
        try node.checkLength(ofMessage: header.count)
        let stream = try await PeerStream(openChannel(Multiplexed.stream, link), of: self, over: link)
        try await stream.write(Multiplexed.opening(header))
        return stream
    }

    private func openChannel(
        _ name: String,
        _ link: MultiplexedLink
    ) async throws(ParleyError) -> Channel {
        while true {
            let (channel, epoch) = try link.open(name)
            if let channel { return channel }
            let isOpenable = await link.channels.wait(
                in: \.openWaiters,
                unless: { $0.openWaiters.epoch != epoch }
            )
            guard isOpenable else { throw .cancelled("opening a stream to \(remoteAddress)") }
        }
    }
}

/// The bytes of a stream in pieces; see ``PeerStream/chunks(byteCount:chunkBytes:)`` and
/// ``Peer/chunks(byteCount:chunkBytes:)``.
public struct StreamChunks: AsyncSequence, Sendable {
    let stream: PeerStream
    let remaining: Int?
    let chunkBytes: Int

    /// Makes an iterator. All iterators read from the same stream.
    public func makeAsyncIterator() -> Iterator {
        Iterator(stream: stream, remaining: remaining, chunkBytes: chunkBytes)
    }

    /// Reads piece by piece.
    public struct Iterator: AsyncIteratorProtocol {
        let stream: PeerStream
        var remaining: Int?
        let chunkBytes: Int

        /// The next piece, never empty; nil at the end.
        public mutating func next() async throws(ParleyError) -> ArraySlice<UInt8>? {
            guard let remaining else { return try await stream.read(upTo: chunkBytes) }
            guard remaining > 0 else { return nil }
            guard let chunk = try await stream.read(upTo: Swift.min(chunkBytes, remaining)) else {
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
