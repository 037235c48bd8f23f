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
/// On a graceful shutdown it stops listening, lets `drain` finish what is under way, writes out accepted
/// bytes (for at most ``Timeouts/close``) and closes every peer. RPCs that are in the inbox are still
/// consumed. Cancellation does the same without `drain`.
public struct TransportService: Service {
    private let transport: any Transport
    private let isListening: Bool
    private let consume: (@Sendable (RPCSequence) async throws -> Void)?
    private let drain: @Sendable () async -> Void

    /// A service that runs until it is shut down, until `consume` returns, or until the transport is closed.
    ///
    /// - Parameters:
    ///   - transport: the transport to run. It is closed at the end, also after an error.
    ///   - isListening: whether to listen; false for a node that only dials.
    ///   - consume: consumes the RPCs; nil when the program consumes them elsewhere. What it throws ends the
    ///     service, which closes the transport and throws it.
    ///   - drain: called on a graceful shutdown, when no new peers come and before the peers are closed:
    ///     returns when what is under way is answered. Give it a limit: peers may go on asking. It is
    ///     cancelled when the group's patience (`maximumGracefulShutdownDuration`, endless by default) is
    ///     over, when the consumer returns, and when the transport is closed elsewhere.
    public init(
        _ transport: any Transport,
        isListening: Bool = true,
        consume: (@Sendable (RPCSequence) async throws -> Void)? = nil,
        drain: @escaping @Sendable () async -> Void = {}
    ) {
        self.transport = transport
        self.isListening = isListening
        self.consume = consume
        self.drain = drain
    }

    /// Listens and consumes until it is shut down, or the consumer returns, then closes the transport.
    ///
    /// - Throws: what ``Transport/listenAndAccept()`` and the consumer throw.
    public func run() async throws {
        let shutdown = Shutdown()
        var failure: (any Error)?
        do {
            try await withTaskCancellationHandler {
                try await withGracefulShutdownHandler {
                    try await serve()
                } onGracefulShutdown: {
                    shutdown.begin { await shutDown() }
                }
            } onCancel: {
                shutdown.cancel()
                // Closing ends the look-up of the listening name, the consumer's sequence, and the wait
                // without a consumer.
                Task { await transport.close() }
            }
        } catch { failure = error }
        await shutdown.end()
        await transport.close()
        if let failure { throw failure }
    }

    private func shutDown() async {
        await transport.stopListening()
        await drain()
        await transport.close()
    }

    /// Listens and consumes until the transport is closed, which a shutdown does, or until the consumer
    /// returns.
    private func serve() async throws {
        if isListening, try await !listen() { return }
        guard let consume else {
            // The program takes the RPCs elsewhere.
            return await transport.consume().untilFinished()
        }
        try await consume(transport.consume())
    }

    /// Listens, unless a shutdown has begun. Returns false when the transport is closed.
    private func listen() async throws -> Bool {
        do { try await transport.listenAndAccept() } catch {
            guard Task.isCancelled || Task.isShuttingDownGracefully else { throw error }
            switch error.code {
            // The shutdown has stopped it. Peers that were dialed may still be served.
            case .cancelled: return !Task.isCancelled
            case .closed: return false
            default: throw error
            }
        }
        // The shutdown may have found nothing to stop.
        if Task.isShuttingDownGracefully { await transport.stopListening() }
        return true
    }
}

/// The task of a graceful shutdown, if there was one.
private final class Shutdown: Sendable {
    private let task = Lock<Task<Void, Never>?>(nil)

    func begin(_ body: @escaping @Sendable () async -> Void) {
        task.withLock { if $0 == nil { $0 = Task { await body() } } }
    }

    func cancel() { task.withLock { $0 }?.cancel() }

    /// Cancels it, and waits for it: it has nothing left to do.
    func end() async {
        cancel()
        await task.withLock { $0 }?.value
    }
}
