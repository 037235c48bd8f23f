import Logging

extension LogEvent {
    /// The message, and behind it the metadata by its keys: `peer connected peer=127.0.0.1:3000`.
    ///
    /// - Parameter handlers: the metadata of the handler. What the event has of the same key counts more.
    package func text(with handlers: Logger.Metadata) -> String {
        let all = handlers.merging(metadata ?? [:]) { $1 }
        let pairs = all.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }
        return "\(message)\(pairs.joined())"
    }
}
