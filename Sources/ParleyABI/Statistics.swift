import CParley
import Parley

// Snapshots of a transport and of its peers. parley.h documents each function.

extension parley_traffic {
    fileprivate init(_ traffic: Traffic) {
        self.init(
            bytes_received: traffic.bytesReceived,
            bytes_sent: traffic.bytesSent,
            messages_received: traffic.messagesReceived,
            messages_sent: traffic.messagesSent,
            streams_received: traffic.streamsReceived,
            streams_sent: traffic.streamsSent,
            read_pauses: traffic.readPauses,
            send_waits: traffic.sendWaits
        )
    }
}

extension Duration {
    /// Whole units of which a second has `second`; zero for a negative duration.
    fileprivate func whole(per second: UInt64) -> UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(seconds) &* second &+ UInt64(attoseconds) / (1_000_000_000_000_000_000 / second)
    }
}

/// Fills the `size` bytes that the program passes for the struct's size: the fields that it knows, and zeros
/// for those that only a newer header has.
private func copy<Value>(
    _ value: Value,
    to place: UnsafeMutablePointer<Value>?,
    _ size: Int
) throws(ParleyError) {
    let place = UnsafeMutableRawPointer(try output(place, "statistics"))
    try checkSize(size, "size")
    guard size > 0 else { throw ParleyError(.invalidArgument, "size is 0") }
    let known = MemoryLayout<Value>.size
    // No version's struct is larger.
    let largest = 64 * known
    guard size <= largest else { throw ParleyError(.invalidArgument, "size is \(size), above \(largest)") }
    withUnsafeBytes(of: value) { bytes in
        place.copyMemory(from: bytes.baseAddress!, byteCount: min(size, known))
    }
    if size > known {
        (place + known).initializeMemory(as: UInt8.self, repeating: 0, count: size - known)
    }
}

/// See parley.h.
@c @implementation
public func parley_get_statistics(
    _ transport: OpaquePointer?,
    _ place: UnsafeMutablePointer<parley_statistics>?,
    _ size: Int
) -> Int32 {
    status {
        let now = try node(transport).transport.statistics
        let statistics = parley_statistics(
            traffic: parley_traffic(now.traffic),
            uptime_ms: now.uptime.whole(per: 1_000),
            inbound_peers: UInt64(now.inboundPeers),
            outbound_peers: UInt64(now.outboundPeers),
            handshaking: UInt64(now.handshaking),
            dialing: UInt64(now.dialing),
            paused_peers: UInt64(now.pausedPeers),
            inbox_rpcs: UInt64(now.inboxRPCs),
            inbox_bytes: UInt64(now.inboxBytes),
            unsent_bytes: UInt64(now.unsentBytes),
            unread_bytes: UInt64(now.unreadBytes),
            accepted: now.accepted,
            dialed: now.dialed,
            dials_failed: now.dialsFailed,
            handshakes_failed: now.handshakesFailed,
            peers_refused: now.peersRefused,
            accept_pauses: now.acceptPauses.values.reduce(0, &+),
            shortages: now.shortages,
            turned_away: now.refusals.values.reduce(0, &+),
            disconnects: now.disconnects.values.reduce(0, &+),
            undelivered_dropped: now.undeliveredDropped,
            requests_received: now.traffic.requestsReceived,
            requests_sent: now.traffic.requestsSent,
            late_answers: now.traffic.lateAnswers,
            open_requests: UInt64(now.openRequests),
            unanswered_requests: UInt64(now.unansweredRequests),
            wire_bytes_received: now.traffic.wireBytesReceived,
            wire_bytes_sent: now.traffic.wireBytesSent,
            open_streams: UInt64(now.openStreams),
            refused_streams: now.refusedStreams
        )
        try copy(statistics, to: place, size)
    }
}

/// See parley.h.
@c @implementation
public func parley_peer_get_statistics(
    _ transport: OpaquePointer?,
    _ peer: parley_peer,
    _ place: UnsafeMutablePointer<parley_peer_statistics>?,
    _ size: Int
) -> Int32 {
    status {
        let now = try connection(transport, peer).statistics
        let statistics = parley_peer_statistics(
            traffic: parley_traffic(now.traffic),
            uptime_ms: now.uptime.whole(per: 1_000),
            silence_ms: now.silence.whole(per: 1_000),
            unsent_bytes: UInt64(now.unsentBytes),
            unread_bytes: UInt64(now.unreadBytes),
            round_trip_us: now.roundTripTime?.whole(per: 1_000_000) ?? 0,
            unanswered_heartbeats: UInt64(now.unansweredHeartbeats),
            is_reading_paused: now.isReadingPaused,
            requests_received: now.traffic.requestsReceived,
            requests_sent: now.traffic.requestsSent,
            late_answers: now.traffic.lateAnswers,
            open_requests: UInt64(now.openRequests),
            unanswered_requests: UInt64(now.unansweredRequests),
            wire_bytes_received: now.traffic.wireBytesReceived,
            wire_bytes_sent: now.traffic.wireBytesSent,
            open_streams: UInt64(now.openStreams),
            refused_streams: now.refusedStreams
        )
        try copy(statistics, to: place, size)
    }
}
