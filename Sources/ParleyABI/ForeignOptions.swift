import CParley
import Parley
import ParleyNoise

extension parley_options {
    /// Copies the fields that the program knows. The others stay zero, which is their default.
    mutating func read(_ pointer: UnsafePointer<parley_options>?) throws(ParleyError) {
        guard let pointer else { return }
        let unused = MemoryLayout.size(ofValue: reserved)
        let advice = "begin with PARLEY_OPTIONS_INIT"
        do throws(ParleyError) {
            try copy(pointer, into: &self, reserved: unused, "parley_options", advice)
        } catch {
            // Nothing else takes the decoder then: an owner of its userdata destroys it.
            if let decoder { _ = try? ForeignWireForm(decoder) }
            throw error
        }
    }
}

extension TransportOptions {
    /// Translates the options. ``ForeignNode`` handles the callbacks and the log.
    init(_ foreign: parley_options) throws(ParleyError) {
        // First, so that its userdata has an owner, which destroys it when a later check fails.
        let decoder = try WireForm(foreign)
        let address = foreign.listen_address
        self.init(
            listenAddress: address == nil ? ":0" : try text(address, "listen_address"),
            decoder: decoder
        )
        try set(\.inboxCapacity, foreign.inbox_capacity, "inbox_capacity")
        try set(\.inboxCapacityBytes, foreign.inbox_capacity_bytes, "inbox_capacity_bytes")
        try set(\.sendHighWaterBytes, foreign.send_high_water_bytes, "send_high_water_bytes")
        try set(\.sendLowWaterBytes, foreign.send_low_water_bytes, "send_low_water_bytes")
        try set(\.limits.maxPeers, foreign.max_peers, "max_peers")
        try set(\.limits.maxInboundPeers, foreign.max_inbound_peers, "max_inbound_peers")
        try set(\.limits.maxOutboundPeers, foreign.max_outbound_peers, "max_outbound_peers")
        try set(\.limits.maxPeersPerIPv4, foreign.max_peers_per_ipv4, "max_peers_per_ipv4")
        try set(
            \.limits.maxPeersPerIPv6Customer,
            foreign.max_peers_per_ipv6_customer,
            "max_peers_per_ipv6_customer"
        )
        try set(\.limits.maxPeersPerIPv6Site, foreign.max_peers_per_ipv6_site, "max_peers_per_ipv6_site")
        try set(\.limits.maxHandshakes, foreign.max_handshakes, "max_handshakes")
        try set(\.limits.acceptsPerSecond, foreign.accepts_per_second, "accepts_per_second")
        try set(
            \.limits.maxOpenRequests,
            foreign.max_open_requests,
            "max_open_requests",
            atMost: Limits.mostOpenRequests
        )
        try set(\.limits.maxStreamsPerPeer, foreign.max_streams_per_peer, "max_streams_per_peer")
        try set(\.limits.maxStreams, foreign.max_streams, "max_streams")
        try set(\.limits.streamsPerSecond, foreign.streams_per_second, "streams_per_second")
        try set(\.limits.streamBytesPerPeer, foreign.stream_bytes_per_peer, "stream_bytes_per_peer")
        try set(\.limits.sendBufferBytes, foreign.send_buffer_bytes, "send_buffer_bytes")
        try set(\.limits.receiveBufferBytes, foreign.receive_buffer_bytes, "receive_buffer_bytes")
        try set(\.limits.readAheadBytes, foreign.read_ahead_bytes, "read_ahead_bytes")
        try set(\.loops, foreign.loops, "loops", atMost: Self.loopCounts.upperBound)
        try set(\.peerEventCapacity, foreign.peer_event_capacity, "peer_event_capacity")
        guard peerEventCapacity == 0 || foreign.on_rpcs == nil else {
            throw ParleyError(
                .invalidArgument,
                "peer_event_capacity needs the inbox, and a transport with on_rpcs has none"
            )
        }
        guard sendLowWaterBytes <= sendHighWaterBytes else {
            throw ParleyError(
                .invalidArgument,
                "send_low_water_bytes is \(sendLowWaterBytes), above send_high_water_bytes "
                    + "(\(sendHighWaterBytes))"
            )
        }
        busyPoll = .microseconds(Int64(try checked(foreign.busy_poll_us, "busy_poll_us", in: 0...Int32.max)))
        try timeouts.set(foreign)
        keepAlive = try KeepAlive(foreign)
        security = try Security(foreign)
        guard foreign.identity != nil || foreign.codec != PARLEY_CODEC_LIBP2P || foreign.decoder != nil else {
            throw ParleyError(.invalidArgument, "identity is NULL, and PARLEY_CODEC_LIBP2P needs one")
        }
        if foreign.one_connection_per_id {
            guard let identity = foreign.identity else {
                throw ParleyError(.invalidArgument, "one_connection_per_id needs identity, which is NULL")
            }
            let own = try object(identity, "identity", ForeignIdentity.self).identity.id
            duplicates = .smallerDials(own)
        }
        // Signed: in C it may be -1.
        let levels = Int(PARLEY_LOG_TRACE.rawValue)...Int(PARLEY_LOG_CRITICAL.rawValue)
        let level = Int(Int32(truncatingIfNeeded: foreign.log_level.rawValue))
        _ = try checked(level, "log_level", in: levels)
        // Nothing is left to refuse, unless a range above is wider than Parley's.
        try validate()
    }

    private mutating func set(
        _ option: WritableKeyPath<TransportOptions, Int>,
        _ value: Int,
        _ name: String,
        atMost most: Int = .max
    ) throws(ParleyError) {
        let value = try checked(UInt(bitPattern: value), name, in: 0...UInt(most))
        if value > 0 { self[keyPath: option] = Int(value) }
    }
}

/// The value of an option in C, when it is in its range. Zero is the default.
private func checked<Value: FixedWidthInteger>(
    _ value: Value,
    _ name: String,
    in range: ClosedRange<Value>
) throws(ParleyError) -> Value {
    guard range.contains(value) else {
        throw ParleyError(
            .invalidArgument,
            "\(name) is \(value), outside \(range.lowerBound) to \(range.upperBound)"
        )
    }
    return value
}

extension Timeouts {
    /// Sets the time-outs that are not the default.
    fileprivate mutating func set(_ foreign: parley_options) throws(ParleyError) {
        if let given = try given(foreign.dial_timeout_ms, "dial_timeout_ms") { dial = given ?? .century }
        if let given = try given(foreign.handshake_timeout_ms, "handshake_timeout_ms") {
            handshake = given ?? .century
        }
        if let given = try given(foreign.close_timeout_ms, "close_timeout_ms") {
            close = given ?? .century
        }
        if let given = try given(foreign.stream_idle_timeout_ms, "stream_idle_timeout_ms") {
            streamIdle = given
        }
        if let given = try given(foreign.idle_timeout_ms, "idle_timeout_ms") { idle = given }
        if let given = try given(foreign.write_timeout_ms, "write_timeout_ms") { write = given }
        if let given = try given(foreign.write_stall_timeout_ms, "write_stall_timeout_ms") {
            writeStall = given
        }
        if let given = try given(foreign.frame_timeout_ms, "frame_timeout_ms") { frame = given }
        let least = try checked(foreign.least_bytes_per_second, "least_bytes_per_second", in: 0...Int32.max)
        if least > 0 { leastBytesPerSecond = Int(least) }
        let maxMissed = try checked(foreign.heartbeat_max_missed, "heartbeat_max_missed", in: 0...Int32.max)
        if let given = try given(foreign.heartbeat_interval_ms, "heartbeat_interval_ms"), let interval = given
        {
            guard interval >= Heartbeat.shortestInterval else {
                throw ParleyError(
                    .invalidArgument,
                    "heartbeat_interval_ms is \(foreign.heartbeat_interval_ms), outside 10 to \(Int32.max)"
                )
            }
            var heartbeat = Heartbeat(interval: interval)
            if maxMissed > 0 { heartbeat.maxMissed = Int(maxMissed) }
            self.heartbeat = heartbeat
        }
    }

    /// `.none` means the default, `.some(nil)` means never.
    private func given(_ milliseconds: Int32, _ name: String) throws(ParleyError) -> Duration?? {
        switch milliseconds {
        case 0: nil
        case PARLEY_FOREVER: .some(nil)
        case 1...: .some(.milliseconds(Int64(milliseconds)))
        default:
            throw ParleyError(
                .invalidArgument,
                "\(name) is \(milliseconds), outside \(PARLEY_FOREVER) to \(Int32.max)"
            )
        }
    }
}

extension KeepAlive {
    /// Nil when keep-alive is turned off.
    fileprivate init?(_ foreign: parley_options) throws(ParleyError) {
        self.init()
        let seconds = 0...Int32(Self.seconds.upperBound)
        let idle = try checked(foreign.keepalive_idle_s, "keepalive_idle_s", in: -1...seconds.upperBound)
        let interval = try checked(foreign.keepalive_interval_s, "keepalive_interval_s", in: seconds)
        let counts = 0...Int32(Self.counts.upperBound)
        let count = try checked(foreign.keepalive_count, "keepalive_count", in: counts)
        if idle == -1 { return nil }
        if idle > 0 { self.idle = .seconds(Int64(idle)) }
        if interval > 0 { self.interval = .seconds(Int64(interval)) }
        if count > 0 { self.count = Int(count) }
    }
}

extension Security {
    /// ``ForeignNode`` adds the callback that decides about other ids.
    fileprivate init(_ foreign: parley_options) throws(ParleyError) {
        let ids = try PeerID.list(foreign.allowed_ids, count: foreign.allowed_id_count)
        guard let identity = foreign.identity else {
            guard ids == nil, foreign.allow == nil else {
                throw ParleyError(.invalidArgument, "allowed_ids and allow need identity, which is NULL")
            }
            self = .none
            return
        }
        let everyone = ids == nil && foreign.allow == nil
        self = .noise(
            try object(identity, "identity", ForeignIdentity.self).identity,
            allow: everyone ? .everyone : .only(ids ?? [])
        )
    }
}

extension PeerID {
    /// The ids of an array of texts; nil when it is NULL.
    fileprivate static func list(
        _ texts: UnsafePointer<UnsafePointer<CChar>?>?,
        count: Int
    ) throws(ParleyError) -> [PeerID]? {
        try checkSize(count, "allowed_id_count")
        guard let texts else {
            guard count == 0 else {
                throw ParleyError(
                    .invalidArgument,
                    "allowed_ids is NULL, but allowed_id_count is \(count)"
                )
            }
            return nil
        }
        var ids: [PeerID] = []
        for index in 0..<count {
            guard let text = texts[index] else {
                throw ParleyError(.invalidArgument, "allowed_ids[\(index)] is NULL")
            }
            ids.append(try PeerID(String(cString: text)))
        }
        return ids
    }
}

extension WireForm {
    fileprivate init(_ foreign: parley_options) throws(ParleyError) {
        // Created first, so that its userdata is destroyed when a later check fails.
        var own: ForeignWireForm?
        if let decoder = foreign.decoder { own = try ForeignWireForm(decoder) }
        let limit = try checked(
            UInt(bitPattern: foreign.max_message_bytes),
            "max_message_bytes",
            in: 0...UInt(UInt32.max)
        )
        let maxMessageBytes = limit == 0 ? FramedDecoder.defaultMaxMessageBytes : Int(limit)
        if let own {
            self = own.wireForm(maxMessageBytes: maxMessageBytes)
            return
        }
        switch foreign.codec {
        case PARLEY_CODEC_FRAMED: self = .framed(maxMessageBytes: maxMessageBytes)
        case PARLEY_CODEC_GOB: self = .gob(maxMessageBytes: maxMessageBytes, encoding: .selfContained)
        case PARLEY_CODEC_GOB_ONCE: self = .gob(maxMessageBytes: maxMessageBytes, encoding: .onePerConnection)
        case PARLEY_CODEC_UNFRAMED: self = .unframed
        case PARLEY_CODEC_MULTIPLEXED: self = .multiplexed(maxMessageBytes: maxMessageBytes)
        case PARLEY_CODEC_LIBP2P: self = .libp2p(maxMessageBytes: maxMessageBytes)
        default:
            let codec = Int32(truncatingIfNeeded: foreign.codec.rawValue)
            throw ParleyError(.invalidArgument, "codec is \(codec), which is not one of 0 and 2 to 6")
        }
    }
}
