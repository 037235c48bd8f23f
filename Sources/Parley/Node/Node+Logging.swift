import Logging

extension Node {
    /// One line for an event of a peer, with its address as metadata.
    func log(
        _ level: Logger.Level,
        _ event: Logger.Message,
        _ connection: Connection,
        _ reason: ParleyError? = nil
    ) {
        guard options.logger.logLevel <= level else { return }
        var metadata: Logger.Metadata = [
            "peer": "\(connection.remoteAddress)", "outbound": "\(connection.isOutbound)",
        ]
        if let reason { metadata["reason"] = "\(reason)" }
        options.logger.log(level: level, event, metadata: metadata)
    }
}
