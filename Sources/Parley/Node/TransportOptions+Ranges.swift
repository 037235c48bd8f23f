// The range of each option. A value out of its range is refused.

extension TransportOptions {
    /// Throws when an option is out of its range. A transport with such options throws the same error from
    /// ``Transport/listenAndAccept()``, ``Transport/dial(_:)`` and `keepConnected`.
    ///
    /// - Throws: ``ParleyError`` `invalidArgument`, which names the first such option, its value and its
    ///   range.
    public func validate() throws(ParleyError) {
        try Self.check(inboxCapacity, "inboxCapacity", in: 1...)
        try Self.check(inboxCapacityBytes, "inboxCapacityBytes", in: 1...)
        try Self.check(sendHighWaterBytes, "sendHighWaterBytes", in: 1...)
        try Self.check(sendLowWaterBytes, "sendLowWaterBytes", in: 0...)
        guard sendLowWaterBytes <= sendHighWaterBytes else {
            throw ParleyError(
                .invalidArgument,
                "sendLowWaterBytes is \(sendLowWaterBytes), above sendHighWaterBytes (\(sendHighWaterBytes))"
            )
        }
        try Self.check(loops, "loops", in: Self.loopCounts)
        try Self.check(busyPoll, "busyPoll", in: Duration.zero...)
        try Self.check(
            decoder.maxMessageBytes,
            "the wire form's maxMessageBytes",
            in: 0...decoder.greatestMaxMessageBytes
        )
        guard decoder.layers != .libp2p || security.link != nil else {
            throw ParleyError(
                .invalidArgument,
                "the wire form libp2p needs an identity: set security to .noise(identity), of ParleyNoise"
            )
        }
        try keepAlive?.validate()
        try limits.validate()
        try timeouts.validate()
    }

    /// Throws when a wait is out of its range: dials would follow one another without a pause.
    static func validate(_ backoff: Backoff) throws(ParleyError) {
        try check(backoff.initial, "backoff.initial", in: Duration.milliseconds(1)...)
        try check(backoff.longest, "backoff.longest", in: Duration.milliseconds(1)...)
        try check(backoff.stable, "backoff.stable", in: Duration.zero...)
    }

    /// The range of ``loops``.
    package static let loopCounts = 1...256

    fileprivate static func check<Value: Sendable>(
        _ value: Value,
        _ name: String,
        in range: ClosedRange<Value>
    ) throws(ParleyError) {
        guard range.contains(value) else {
            throw ParleyError(
                .invalidArgument,
                "\(name) is \(value), outside \(range.lowerBound) to \(range.upperBound)"
            )
        }
    }

    fileprivate static func check<Value: Sendable>(
        _ value: Value?,
        _ name: String,
        in range: PartialRangeFrom<Value>
    ) throws(ParleyError) {
        guard let value, !range.contains(value) else { return }
        throw ParleyError(.invalidArgument, "\(name) is \(value), below \(range.lowerBound)")
    }
}

extension KeepAlive {
    /// The seconds that the kernel accepts; see tcp(7) and Linux's `MAX_TCP_KEEPIDLE`.
    package static let seconds = 1...32_767
    /// The number of probes that the kernel accepts.
    package static let counts = 1...127

    fileprivate func validate() throws(ParleyError) {
        let range: ClosedRange<Duration> =
            .seconds(Self.seconds.lowerBound) ... .seconds(Self.seconds.upperBound)
        try TransportOptions.check(idle, "keepAlive.idle", in: range)
        try TransportOptions.check(interval, "keepAlive.interval", in: range)
        try TransportOptions.check(count, "keepAlive.count", in: Self.counts)
    }
}

extension Limits {
    fileprivate func validate() throws(ParleyError) {
        try TransportOptions.check(maxPeers, "limits.maxPeers", in: 0...)
        try TransportOptions.check(maxInboundPeers, "limits.maxInboundPeers", in: 0...)
        try TransportOptions.check(maxOutboundPeers, "limits.maxOutboundPeers", in: 0...)
        try TransportOptions.check(maxPeersPerIPv4, "limits.maxPeersPerIPv4", in: 0...)
        try TransportOptions.check(maxPeersPerIPv6Customer, "limits.maxPeersPerIPv6Customer", in: 0...)
        try TransportOptions.check(maxPeersPerIPv6Site, "limits.maxPeersPerIPv6Site", in: 0...)
        try TransportOptions.check(maxHandshakes, "limits.maxHandshakes", in: 0...)
        try TransportOptions.check(acceptsPerSecond, "limits.acceptsPerSecond", in: 1...)
        try TransportOptions.check(maxBans, "limits.maxBans", in: 1...)
        try TransportOptions.check(maxOpenRequests, "limits.maxOpenRequests", in: 1...Self.mostOpenRequests)
        try TransportOptions.check(maxStreamsPerPeer, "limits.maxStreamsPerPeer", in: 0...)
        try TransportOptions.check(maxStreams, "limits.maxStreams", in: 0...)
        try TransportOptions.check(streamsPerSecond, "limits.streamsPerSecond", in: 1...)
        try TransportOptions.check(streamBytesPerPeer, "limits.streamBytesPerPeer", in: 0...)
        try TransportOptions.check(maxMessageBytes, "limits.maxMessageBytes", in: 0...)
        try TransportOptions.check(sendBufferBytes, "limits.sendBufferBytes", in: 0...)
        try TransportOptions.check(receiveBufferBytes, "limits.receiveBufferBytes", in: 0...)
        try TransportOptions.check(readAheadBytes, "limits.readAheadBytes", in: 1...)
    }
}

extension Timeouts {
    fileprivate func validate() throws(ParleyError) {
        try TransportOptions.check(dial, "timeouts.dial", in: Duration.zero...)
        try TransportOptions.check(handshake, "timeouts.handshake", in: Duration.zero...)
        try TransportOptions.check(idle, "timeouts.idle", in: Duration.zero...)
        try TransportOptions.check(streamIdle, "timeouts.streamIdle", in: Duration.zero...)
        try TransportOptions.check(frame, "timeouts.frame", in: Duration.zero...)
        try TransportOptions.check(leastBytesPerSecond, "timeouts.leastBytesPerSecond", in: 0...)
        try TransportOptions.check(write, "timeouts.write", in: Duration.zero...)
        try TransportOptions.check(writeStall, "timeouts.writeStall", in: Duration.zero...)
        try TransportOptions.check(close, "timeouts.close", in: Duration.zero...)
        guard let heartbeat else { return }
        try TransportOptions.check(
            heartbeat.interval,
            "timeouts.heartbeat.interval",
            in: Heartbeat.shortestInterval...
        )
        try TransportOptions.check(heartbeat.maxMissed, "timeouts.heartbeat.maxMissed", in: 1...)
    }
}

extension Heartbeat {
    /// The least ``interval``.
    package static let shortestInterval = Duration.milliseconds(10)
}
