import Logging

/// The library's log messages. The text of each is constant; everything that varies is metadata.
enum LogLine: String {
    /// `address`
    case listening
    /// `address`
    case listeningStopped = "listening stopped"
    /// `peer`, `outbound`, and `id` where links are secured
    case peerConnected = "peer connected"
    /// `peer`, `outbound`, `reason`, `suppressed`, and `id` where links are secured
    case peerDisconnected = "peer disconnected"
    /// `peer`, `reason`, `suppressed`, and `id` where an id was refused
    case connectionRefused = "connection refused"
    /// `limit`, `suppressed`
    case acceptingPaused = "accepting paused"
    /// `operation`, `error`, `suppressed`
    case descriptorsExhausted = "descriptors exhausted"
    /// `error`, `suppressed`
    case acceptFailed = "accept failed"
    /// `address` or `id`, `seconds`
    case banned
    /// `address`, `error`, `retryIn`
    case reconnecting
    /// `peer`, `bytes`, `suppressed`
    case messagesDropped = "messages dropped"
    /// `peer`, `reason`, `suppressed`
    case streamRefused = "stream refused"
    /// `peer`, `protocol`, `error`, `suppressed`
    case streamFailed = "stream failed"
    /// `peer`, `error`, `suppressed`
    case identifyFailed = "identify failed"
    /// `rpcs`, `consumed`, `suppressed`
    case inboxFull = "inbox full"
}

extension Node {
    func log(_ level: Logger.Level, _ event: LogLine, _ metadata: @autoclosure () -> Logger.Metadata) {
        guard options.logger.logLevel <= level else { return }
        options.logger.log(level: level, "\(event.rawValue)", metadata: metadata())
    }

    /// Logs an event of a peer, with its address as metadata.
    func log(
        _ level: Logger.Level,
        _ event: LogLine,
        _ connection: Connection,
        _ reason: ParleyError? = nil
    ) {
        log(level, event, metadata(of: connection, reason))
    }

    private func metadata(of connection: Connection, _ reason: ParleyError?) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            "peer": "\(connection.remoteAddress)", "outbound": "\(connection.isOutbound)",
        ]
        if let id = connection.id { metadata["id"] = "\(id)" }
        if let reason { metadata["reason"] = "\(reason)" }
        return metadata
    }

    /// Logs the end of a connection. Strangers can cause any number of those that were never open.
    func logEnd(of connection: Connection, _ end: Lifecycle.End) {
        guard !end.wasOpen, !connection.isOutbound else {
            return log(.info, .peerDisconnected, connection, end.reason)
        }
        logThrottled(.info, .peerDisconnected, key: "", metadata(of: connection, end.reason))
    }

    /// Logs an event that remote sides can cause at any rate. Lines over the rate are suppressed; the next
    /// line says how many.
    func logThrottled(
        _ level: Logger.Level,
        _ event: LogLine,
        key: String,
        isBurst: Bool = false,
        _ metadata: @autoclosure () -> Logger.Metadata
    ) {
        guard let suppressed = mayLog(level, event, key: key, isBurst: isBurst) else { return }
        log(level, event, suppressed: suppressed, metadata())
    }

    /// How many lines were suppressed before this one; nil when it is suppressed too, or nobody wants lines
    /// of that level.
    @inline(never)
    private func mayLog(_ level: Logger.Level, _ event: LogLine, key: String, isBurst: Bool) -> Int? {
        guard options.logger.logLevel <= level else { return nil }
        return logThrottle.withLock { throttle in
            // Under the lock: a time that another thread has read may be the later one.
            let now = MonotonicTime.millisecondsNow
            let key = "\(event.rawValue) \(key)"
            return isBurst ? throttle.permitBurst(key, at: now) : throttle.permit(key, at: now)
        }
    }

    @inline(never)
    private func log(
        _ level: Logger.Level,
        _ event: LogLine,
        suppressed: Int,
        _ metadata: Logger.Metadata
    ) {
        var metadata = metadata
        if suppressed > 0 { metadata["suppressed"] = "\(suppressed)" }
        options.logger.log(level: level, "\(event.rawValue)", metadata: metadata)
    }

    /// Reports that peers are no longer read because the inbox is full. Logged once per burst; as a warning
    /// when nobody has ever consumed. A loop's thread only.
    func reportFullInbox() {
        guard let inbox, options.logger.logLevel <= .warning else { return }
        let hasConsumers = inbox.hasConsumers
        logThrottled(
            hasConsumers ? .notice : .warning,
            .inboxFull,
            key: "",
            isBurst: true,
            ["rpcs": "\(inbox.depth.rpcs)", "consumed": hasConsumers ? "yes" : "never"]
        )
    }

    /// Reports that descriptors or memory ran out during `operation`. Counted and logged once per burst. Any
    /// thread.
    func reportShortage(_ error: ParleyError, during operation: String) {
        let isNew = logThrottle.withLock { $0.beginsBurst(operation, at: MonotonicTime.millisecondsNow) }
        if isNew { count { $0.shortages &+= 1 } }
        logThrottled(
            .error,
            .descriptorsExhausted,
            key: operation,
            isBurst: true,
            ["operation": "\(operation)", "error": "\(error)"]
        )
    }
}
