import Logging

/// A connection that is made again whenever it ends; see ``Transport/keepConnected(to:backoff:)``.
public final class Reconnection: Sendable {
    private struct State {
        var peer: (any Peer)?
        var lastError: ParleyError?
        var connections = 0
        var failures = 0
        var isOver = false
        var task: Task<Void, Never>?
    }

    /// Where it leads.
    public let address: String
    private let backoff: Backoff
    private let state = Lock(State())

    fileprivate init(to address: String, backoff: Backoff) {
        self.address = address
        self.backoff = backoff
    }

    /// The peer, while there is a connection.
    public var peer: (any Peer)? { state.withLock { $0.peer } }

    /// Why the last connection has ended, or could not be made; nil before the first time.
    public var lastError: ParleyError? { state.withLock { $0.lastError } }

    /// How many connections were made so far.
    public var connections: Int { state.withLock { $0.connections } }

    /// How many times in a row it did not come to a stable connection.
    public var failures: Int { state.withLock { $0.failures } }

    /// Whether it has ended: it was cancelled, or the transport was closed.
    public var isOver: Bool { state.withLock { $0.isOver } }

    /// Dials no more. A connection that there is stays.
    public func cancel() { end() }

    /// Dials no more, and leaves the connection that there is to the caller.
    @discardableResult
    package func end() -> (any Peer)? {
        let (task, peer) = state.withLock { state in
            state.isOver = true
            return (state.task, state.peer)
        }
        task?.cancel()
        return peer
    }

    fileprivate func start(on transport: any Transport) {
        let task = Task { await run(on: transport) }
        let isOver = state.withLock { state in
            state.task = task
            return state.isOver
        }
        if isOver { task.cancel() }
    }

    private func run(on transport: any Transport) async {
        let node = (transport as? any NodeTransport)?.node
        while !Task.isCancelled {
            let began = ContinuousClock.now
            let error = await connection(on: transport)
            let delay: Duration? = state.withLock { state in
                let wasStable = state.peer != nil && began.duration(to: .now) >= backoff.stable
                state.peer = nil
                state.lastError = error
                state.failures = wasStable ? 1 : state.failures + 1
                return state.isOver ? nil : backoff.delay(failures: state.failures)
            }
            guard let delay, !Task.isCancelled, node?.isClosing != true else { break }
            node?.log(
                .info,
                .reconnecting,
                ["address": "\(address)", "error": "\(error)", "retryIn": "\(delay)"]
            )
            do { try await Task.sleep(for: delay) } catch { break }
        }
        state.withLock { state in
            state.isOver = true
            state.task = nil
        }
        node?.unregister(self)
    }

    /// Makes one connection and waits for its end; returns why that was, or why there was none.
    private func connection(on transport: any Transport) async -> ParleyError {
        do {
            let peer = try await transport.dial(address)
            let isWanted = state.withLock { state in
                guard !state.isOver else { return false }
                state.peer = peer
                state.connections += 1
                return true
            }
            guard isWanted else {
                // It was cancelled meanwhile, and nobody knows of this one.
                await peer.close()
                return .cancelled("staying connected to \(address)")
            }
            return try await peer.untilClosed()
        } catch let error as ParleyError {
            return error
        } catch {
            return ParleyError(.handshakeFailed, "greeting \(address) failed: \(error)")
        }
    }
}

extension Transport {
    /// Connects to another node, and again whenever the connection ends, until the transport is closed or the
    /// reconnection is cancelled.
    ///
    /// It survives that the other side is not there yet, restarts, or refuses: it waits longer each time. Peers are
    /// announced as those of every dial are, with ``TransportOptions/onPeer``.
    ///
    /// - Parameters:
    ///   - address: as for ``dial(_:)``.
    ///   - backoff: how long to wait between two dials.
    /// - Throws: ``ParleyError``: `invalidAddress`, `closed`.
    @discardableResult
    public func keepConnected(
        to address: String,
        backoff: Backoff = Backoff()
    ) throws(ParleyError) -> Reconnection {
        _ = try SocketAddress(address)
        let reconnection = Reconnection(to: address, backoff: backoff)
        if let node = (self as? any NodeTransport)?.node,
            !node.register(reconnection, on: node.loop, stop: { reconnection.cancel() })
        {
            throw ParleyError(.closed, "the transport is closed")
        }
        reconnection.start(on: self)
        return reconnection
    }
}

/// A transport of this library.
protocol NodeTransport: Transport {
    var node: Node { get }
}

extension TCPTransport: NodeTransport {}
extension InMemoryTransport: NodeTransport {}
