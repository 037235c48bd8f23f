// Streams for the C library: a thread blocks, or a function is called, where a task would be suspended.

extension PeerStream {
    /// See ``read(upTo:)``. Blocks until there is something to read.
    ///
    /// - Parameter count: at least 1.
    /// - Throws: as there; `wouldBlock` when it may not wait, `wouldDeadlock` on an event loop's thread,
    ///   `timedOut` at the wait limit. Nothing was read then.
    package func read(upTo count: Int, _ limit: WaitLimit) throws(ParleyError) -> ArraySlice<UInt8>? {
        let (channel, link): (Channel, MultiplexedLink)
        switch source {
        case .channel(let its, let over): (channel, link) = (its, over)
        case .only(let stream):
            guard let connection else { throw isForeign }
            return try connection.read(upTo: count, of: stream, limit)
        }
        while true {
            let (result, epoch) = try link.read(channel, upTo: count)
            switch result {
            case .bytes(let bytes): return bytes
            case .end: return nil
            case .wait: try block(channel, link, after: epoch, limit, "reading a stream of")
            }
        }
    }

    /// Writes `count` bytes, or those for which there is room in time. Blocks for room.
    ///
    /// - Parameter piece: returns a part of the bytes. It is called once there is room for that part, so that
    ///   nothing is copied in vain.
    /// - Returns: how many bytes from the front were accepted: at least one, unless `count` is zero.
    /// - Throws: as ``write(_:)-(ArraySlice<UInt8>)``; as ``read(upTo:_:)`` when it would have to wait for
    ///   the first byte. The stream is not aborted.
    package func write(
        _ count: Int,
        _ limit: WaitLimit,
        piece: (Range<Int>) throws(ParleyError) -> ArraySlice<UInt8>
    ) throws(ParleyError) -> Int {
        guard case .channel(let channel, let link) = source, let connection else { throw isReadOnly }
        var accepted = 0
        var waitsSince: UInt64?
        repeat {
            let wanted = min(count - accepted, Self.pieceBytes)
            let (room, epoch) = try link.room(for: wanted, in: channel, of: connection.number)
            if room > 0 {
                let bytes = try piece(accepted..<accepted + room)
                accepted += try link.write(bytes, to: channel, of: connection.number).taken
            } else if wanted > 0 {
                let began = waitsSince ?? MonotonicTime.millisecondsNow
                waitsSince = began
                do throws(ParleyError) {
                    try block(channel, link, after: epoch, limit, "writing a stream to")
                    try link.checkBlocked(channel, since: began)
                } catch {
                    if accepted > 0, error.code.isOfWaiting { return accepted }
                    throw error
                }
            }
        } while accepted < count
        return accepted
    }

    /// How much of a long write is asked for at once.
    private static let pieceBytes = 256 << 10

    private func block(
        _ channel: Channel,
        _ link: MultiplexedLink,
        after epoch: UInt,
        _ limit: WaitLimit,
        _ what: String
    ) throws(ParleyError) {
        guard let connection else { throw isForeign }
        if case .none = limit { throw Self.wouldBlock }
        let deadline = try connection.waiting(limit, what)
        let isInTime = link.channels.block(
            at: channel,
            until: deadline,
            unless: { _ in channel.waiters.epoch != epoch }
        )
        guard isInTime else {
            throw ParleyError(.timedOut, "\(what) \(peer.remoteAddress) took too long")
        }
    }

    /// Made once: a program that is told when to go on gets it for every piece.
    private static let wouldBlock = ParleyError(.wouldBlock, "the stream would have to wait")

    private var isForeign: ParleyError {
        ParleyError(.unsupported, "\(peer.remoteAddress) is not a peer of this library's transports")
    }

    // MARK: Functions instead of waiting

    /// Calls `function` once, on the loop's thread, when a read may return: bytes, an end, or an error. The
    /// call may be spurious; read again then.
    ///
    /// - Throws: `noSuchPeer` when the loop has stopped. `function` is not called then.
    package func whenReadable(_ function: @escaping @Sendable () -> Void) throws(ParleyError) {
        switch source {
        case .channel(let channel, _): try notify(function) { $0.isReadable(channel) }
        case .only(let stream):
            guard let connection else { throw isForeign }
            try connection.whenReadable(of: stream, function)
        }
    }

    /// Calls `function` once, on the loop's thread, when a write may be tried again or would fail. As
    /// ``whenReadable(_:)``.
    package func whenWritable(_ function: @escaping @Sendable () -> Void) throws(ParleyError) {
        guard case .channel(let channel, _) = source else { throw isReadOnly }
        try notify(function) { $0.isWritable(channel) }
    }

    private func notify(
        _ function: @escaping @Sendable () -> Void,
        unless isReady: (inout Channels) -> Bool
    ) throws(ParleyError) {
        guard case .channel(let channel, let link) = source, let connection else { throw isForeign }
        try ForkedChild.check()
        let waits = link.channels.notify(
            at: channel,
            unless: isReady,
            connection.loop.promise(function)
        )
        if !waits { try connection.call(function, isPromised: true) }
    }
}

extension ParleyError.Code {
    /// Whether it says that a call has waited for too long, or may not wait.
    fileprivate var isOfWaiting: Bool {
        switch self {
        case .wouldBlock, .wouldDeadlock, .timedOut: true
        default: false
        }
    }
}

// MARK: - Opening

extension Connection {
    /// See ``Peer/openStream(protocol:)``. Blocks until the peer may have another stream.
    ///
    /// - Throws: as there, and as ``PeerStream/read(upTo:_:)``. No stream was opened then.
    package func openStream(
        protocol name: String,
        _ limit: WaitLimit
    ) throws(ParleyError) -> PeerStream {
        let link = try linkForStreams(named: name)
        return try PeerStream(openChannel(name, link, limit), of: self, over: link)
    }

    /// Opens a two-way stream that begins with `header`, and is an RPC for the other side.
    ///
    /// - Throws: as ``openStream(protocol:_:)``; `messageTooLong`, also for a header of more than
    ///   ``Multiplexed/longestHeaderAtOnce`` bytes when it may not wait.
    package func announceStream(
        header: ArraySlice<UInt8>,
        _ limit: WaitLimit
    ) throws(ParleyError) -> PeerStream {
        guard let link = multiplexed else {
            throw ParleyError(.unsupported, "the streams of \(remoteAddress) are one-way: open one of these")
        }
        try node.checkLength(ofMessage: header.count)
        if header.count > Multiplexed.longestHeaderAtOnce { try checkMayWait(toSend: header, limit) }
        let stream = try PeerStream(openChannel(Multiplexed.stream, link, limit), of: self, over: link)
        let opening = Multiplexed.opening(header)
        let accepted = try stream.write(opening.count, limit) { opening[$0] }
        guard accepted == opening.count else {
            // Released, the stream is reset.
            _ = try waiting(limit, "a stream's header to")
            throw ParleyError(.timedOut, "a stream's header to \(remoteAddress) took too long")
        }
        return stream
    }

    /// Throws before a stream is opened whose header may have to wait for room where waiting is not allowed.
    private func checkMayWait(
        toSend header: ArraySlice<UInt8>,
        _ limit: WaitLimit
    ) throws(ParleyError) {
        if case .none = limit {
            throw ParleyError(
                .messageTooLong,
                "a header of \(header.count) bytes may have to wait: without waiting a stream takes at most "
                    + "\(Multiplexed.longestHeaderAtOnce)"
            )
        }
        _ = try waiting(limit, "a stream's header to")
    }

    private func openChannel(
        _ name: String,
        _ link: MultiplexedLink,
        _ limit: WaitLimit
    ) throws(ParleyError) -> Channel {
        while true {
            let (channel, epoch) = try link.open(name)
            if let channel { return channel }
            let deadline = try waiting(limit, "opening a stream to")
            let isInTime = link.channels.block(
                in: \.openWaiters,
                until: deadline,
                unless: { $0.openWaiters.epoch != epoch }
            )
            guard isInTime else {
                throw ParleyError(.timedOut, "opening a stream to \(remoteAddress) took too long")
            }
        }
    }
}
