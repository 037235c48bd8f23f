public import Metrics
public import Parley

/// Exports a transport's statistics to swift-metrics, and so to Prometheus, StatsD or another backend.
///
/// ```swift
/// let metrics = TransportMetrics(of: transport)
/// await metrics.run(every: .seconds(10))
/// ```
///
/// It reads ``Transport/statistics`` at an interval, so sending and receiving cost nothing more. Numbers that
/// only grow become counters, the others gauges. Their names begin with the prefix: `parley_bytes_received`,
/// for example.
public actor TransportMetrics {
    private let transport: any Transport
    private let prefix: String
    private let dimensions: [(String, String)]
    private let factory: any MetricsFactory
    private var counters: [String: (counter: Counter, last: UInt64)] = [:]
    private var gauges: [String: Gauge] = [:]

    /// The metrics of one transport.
    ///
    /// - Parameters:
    ///   - transport: the transport to read.
    ///   - prefix: the beginning of every name.
    ///   - dimensions: added to each metric, to distinguish several transports of one process.
    ///   - factory: receives the metrics; the process's factory by default.
    public init(
        of transport: any Transport,
        prefix: String = "parley",
        dimensions: [(String, String)] = [],
        factory: any MetricsFactory = MetricsSystem.factory
    ) {
        self.transport = transport
        self.prefix = prefix
        self.dimensions = dimensions
        self.factory = factory
    }

    /// Records at an interval, until the task is cancelled, and then once more. In a `ServiceGroup` run it in
    /// `cancelWhenGracefulShutdown`, and list it before the transport: what is listed first ends last.
    public func run(every interval: Duration) async {
        while !Task.isCancelled {
            record()
            // It ends early when the task is cancelled, and not otherwise.
            try? await Task.sleep(for: interval)
        }
        record()
    }

    /// Records the current statistics once.
    public func record() {
        let statistics = transport.statistics
        recordTraffic(statistics.traffic)
        recordQueues(statistics)
        count("accepted", statistics.accepted)
        count("dialed", statistics.dialed)
        count("dials_failed", statistics.dialsFailed)
        count("handshakes_failed", statistics.handshakesFailed)
        count("peers_refused", statistics.peersRefused)
        count("shortages", statistics.shortages)
        count("undelivered_dropped", statistics.undeliveredDropped)
        let refused = statistics.streamRefusals
        for (reason, times) in [
            ("too_fast", refused.tooFast), ("too_many", refused.tooMany),
            ("too_many_unaccepted", refused.tooManyUnaccepted), ("no_memory", refused.noMemory),
            ("going_away", refused.goingAway), ("not_taken", refused.notTaken),
        ] { count("refused_streams", times, ("reason", reason)) }
        for (pause, times) in statistics.acceptPauses {
            count("accept_pauses", times, ("limit", pause.rawValue))
        }
        for (code, times) in statistics.refusals { count("refusals", times, ("reason", "\(code)")) }
        for (code, times) in statistics.disconnects { count("disconnects", times, ("reason", "\(code)")) }
    }

    private func recordTraffic(_ traffic: Traffic) {
        count("bytes_received", traffic.bytesReceived)
        count("bytes_sent", traffic.bytesSent)
        count("wire_bytes_received", traffic.wireBytesReceived)
        count("wire_bytes_sent", traffic.wireBytesSent)
        count("messages_received", traffic.messagesReceived)
        count("messages_sent", traffic.messagesSent)
        count("streams_received", traffic.streamsReceived)
        count("streams_sent", traffic.streamsSent)
        count("read_pauses", traffic.readPauses)
        count("send_waits", traffic.sendWaits)
        count("requests_received", traffic.requestsReceived)
        count("requests_sent", traffic.requestsSent)
        count("late_answers", traffic.lateAnswers)
    }

    private func recordQueues(_ statistics: TransportStatistics) {
        set("uptime_seconds", statistics.uptime / .seconds(1))
        set("peers", statistics.inboundPeers, ("direction", "inbound"))
        set("peers", statistics.outboundPeers, ("direction", "outbound"))
        set("handshaking", statistics.handshaking)
        set("dialing", statistics.dialing)
        set("paused_peers", statistics.pausedPeers)
        set("inbox_rpcs", statistics.inboxRPCs)
        set("inbox_bytes", statistics.inboxBytes)
        set("unsent_bytes", statistics.unsentBytes)
        set("unread_bytes", statistics.unreadBytes)
        set("open_requests", statistics.openRequests)
        set("unanswered_requests", statistics.unansweredRequests)
        set("open_streams", statistics.openStreams)
        set("accepting_paused", statistics.acceptPause == nil ? 0 : 1)
    }

    /// Adds the growth since the last recording to a counter.
    private func count(_ name: String, _ value: UInt64, _ dimension: (String, String)? = nil) {
        let key = "\(name) \(dimension?.1 ?? "")"
        var entry =
            counters[key] ?? (
                Counter(label: "\(prefix)_\(name)", dimensions: all(dimension), factory: factory), 0
            )
        // Statistics are collected peer by peer, so a sum may be slightly less than the last one.
        if value > entry.last {
            entry.counter.increment(by: value - entry.last)
            entry.last = value
        }
        counters[key] = entry
    }

    private func set(_ name: String, _ value: some BinaryInteger, _ dimension: (String, String)? = nil) {
        set(name, Double(value), dimension)
    }

    private func set(_ name: String, _ value: Double, _ dimension: (String, String)? = nil) {
        let key = "\(name) \(dimension?.1 ?? "")"
        let gauge =
            gauges[key] ?? Gauge(label: "\(prefix)_\(name)", dimensions: all(dimension), factory: factory)
        gauges[key] = gauge
        gauge.record(value)
    }

    private func all(_ dimension: (String, String)?) -> [(String, String)] {
        dimension.map { dimensions + [$0] } ?? dimensions
    }
}
