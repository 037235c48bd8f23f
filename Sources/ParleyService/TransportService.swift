public import Parley
public import ServiceLifecycle

/// Runs a transport as a service: it listens when its group starts and is closed when the group shuts down.
///
/// ```swift
/// let service = TransportService(transport) { rpcs in
///     // A peer that has gone meanwhile gets no answer; the others go on.
///     for await rpc in rpcs { try? await rpc.peer.send(message: rpc.payload) }
/// }
/// let group = ServiceGroup(
///     services: [service],
///     gracefulShutdownSignals: [.sigterm, .sigint],
///     logger: logger
/// )
/// try await group.run()
/// ```
///
/// On a graceful shutdown it stops listening, writes out accepted bytes (for at most
/// ``Timeouts/close``) and closes every peer. RPCs that are in the inbox are still consumed.
/// Cancellation does the same.
public struct TransportService: Service {
    private let transport: any Transport
    private let isListening: Bool
    private let consume: (@Sendable (RPCSequence) async throws -> Void)?

    /// A service that runs until it is shut down, or until the transport is closed.
    ///
    /// - Parameters:
    ///   - transport: the transport to run. It is closed at the end, also after an error.
    ///   - isListening: whether to listen; false for a node that only dials.
    ///   - consume: consumes the RPCs; nil when the program consumes them elsewhere. What it throws ends the
    ///     service, which closes the transport and throws it.
    public init(
        _ transport: any Transport,
        isListening: Bool = true,
        consume: (@Sendable (RPCSequence) async throws -> Void)? = nil
    ) {
        self.transport = transport
        self.isListening = isListening
        self.consume = consume
    }

    /// Listens and consumes until it is shut down, then closes the transport.
    ///
    /// - Throws: what ``Transport/listenAndAccept()`` and the consumer throw.
    public func run() async throws {
        var failure: (any Error)?
        do { try await serve() } catch { failure = error }
        await transport.close()
        if let failure { throw failure }
    }

    /// Listens and consumes until the transport is closed, which a shutdown does, or until the consumer
    /// returns.
    private func serve() async throws {
        let closing = transport
        try await withTaskCancellationOrGracefulShutdownHandler {
            if isListening, try await !listen() { return }
            if let consume {
                try await consume(transport.consume())
            } else {
                // The program takes the RPCs elsewhere.
                await transport.consume().untilFinished()
            }
        } onCancelOrGracefulShutdown: {
            // Closing ends the look-up of the listening name, the consumer's sequence, and the wait without a
            // consumer.
            Task { await closing.close() }
        }
    }

    /// Listens. Returns false when a shutdown began before it listened.
    private func listen() async throws -> Bool {
        do { try await transport.listenAndAccept() } catch {
            let isShutDown = Task.isCancelled || Task.isShuttingDownGracefully
            guard isShutDown, error.code == .closed || error.code == .cancelled else { throw error }
            return false
        }
        return true
    }
}
