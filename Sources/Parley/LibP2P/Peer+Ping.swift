// Ping, a protocol that every libp2p node answers: 32 random bytes that come back.
// Source: <https://github.com/libp2p/specs/blob/master/ping/ping.md>.

extension Peer {
    /// Asks a libp2p node for a sign of life.
    ///
    /// Each call opens a stream of its own, and returns when the other side has let go of it too: nodes of
    /// go-libp2p have room for a few at once and reset what is more. ``Timeouts/heartbeat`` asks all the time
    /// and by itself, without streams.
    ///
    /// - Parameter timeout: how long the answer may take once the stream is open, and after that how long the
    ///   other side may take to let go of the stream.
    /// - Returns: the round trip.
    /// - Throws: ``ParleyError``: `timedOut`, `protocolViolation` (other bytes came back), `unsupported` (the
    ///   other side answers no pings, or the wire form has no streams with names), or as
    ///   ``openStream(protocol:)`` and ``PeerStream/read(upTo:)``.
    @discardableResult
    public func ping(timeout: Duration = .seconds(10)) async throws(ParleyError) -> Duration {
        let stream = try await openStream(protocol: LibP2P.ping)
        let sent = (0..<LibP2P.pingBytes).map { _ in UInt8.random(in: .min ... .max) }
        let began = MonotonicTime.nanosecondsNow
        let answer = try await stream.limited(to: timeout) { () async throws(ParleyError) in
            try await stream.write(sent[...])
            return try await stream.read(exactly: sent.count)
        }
        let roundTrip = MonotonicTime.nanosecondsNow &- began
        defer { stream.close() }
        guard answer.elementsEqual(sent) else {
            throw ParleyError(.protocolViolation, "\(remoteAddress) answers a ping with other bytes")
        }
        // The answer is here: however the other side ends the stream, and whether it does, is its affair.
        try? await stream.limited(to: timeout) { () async throws(ParleyError) in
            try await stream.finish()
            _ = try await stream.read(upTo: 1)
        }
        return .nanoseconds(Int64(clamping: roundTrip))
    }
}

extension PeerStream {
    /// Calls `body`. When that takes longer than `limit`, the stream is reset, and what `body` waits for
    /// throws `timedOut`.
    func limited<Result>(
        to limit: Duration,
        _ body: () async throws(ParleyError) -> Result
    ) async throws(ParleyError) -> Result {
        let reason = ParleyError(
            .timedOut,
            "\(peer.remoteAddress) has not answered \(protocolName) within \(limit)"
        )
        let timer = Task(executorPreference: globalConcurrentExecutor) { [self] in
            // The clock traps beyond what it can count.
            try await Task.sleep(for: min(limit, .seconds(86_400)))
            abort(code: 0, because: reason)
        }
        defer { timer.cancel() }
        return try await body()
    }
}
