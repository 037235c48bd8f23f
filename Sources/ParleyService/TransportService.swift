public import Parley
public import ServiceLifecycle

/// A transport as a service: it listens when its group starts, and is closed when the group shuts down.
///
/// ```swift
/// let service = TransportService(transport) { rpcs in
///     for await rpc in rpcs { try await rpc.peer.send(message: rpc.payload) }
/// }
/// try await ServiceGroup(services: [service], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger).run()
/// ```
///
/// On a graceful shutdown it stops listening, writes out what was sent (for at most ``Timeouts/close``) and closes every
/// peer; what has arrived is still consumed. Cancellation does the same.
public struct TransportService: Service {
    private let transport: any Transport
    private let isListening: Bool
    private let consume: (@Sendable (RPCSequence) async throws -> Void)?

    /// A service that runs until it is shut down, or until the transport is closed.
    ///
    /// - Parameters:
    ///   - transport: closed at the end, whatever that is.
    ///   - isListening: whether to listen; false for a node that only dials.
    ///   - consume: gets what the peers send; nil leaves that to somebody else. When it throws, so does the service.
    public init(
        _ transport: any Transport,
        isListening: Bool = true,
        consume: (@Sendable (RPCSequence) async throws -> Void)? = nil
    ) {
        self.transport = transport
        self.isListening = isListening
        self.consume = consume
    }

    /// Listens, consumes, and closes the transport in the end.
    ///
    /// - Throws: what ``Transport/listenAndAccept()`` and the consumer throw.
    public func run() async throws {
        let (end, ended) = AsyncStream.makeStream(of: Void.self)
        let closing = transport
        do {
            if isListening { try await transport.listenAndAccept() }
            try await withTaskCancellationOrGracefulShutdownHandler {
                if let consume {
                    try await consume(transport.consume())
                } else {
                    for await _ in end {}
                }
            } onCancelOrGracefulShutdown: {
                ended.finish()
                // A consumer ends with the transport.
                Task { await closing.close() }
            }
        } catch {
            await transport.close()
            throw error
        }
        await transport.close()
    }
}
