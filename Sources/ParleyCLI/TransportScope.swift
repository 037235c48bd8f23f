import Parley

/// Lends a transport to `body`, and closes it however that ends.
func withTransport<Result>(
    _ options: TransportOptions,
    _ body: (TCPTransport) async throws -> Result
) async throws -> Result {
    let transport = TCPTransport(options)
    do {
        let result = try await body(transport)
        await transport.close()
        return result
    } catch {
        await transport.close()
        throw error
    }
}

/// A peer that was dialed, on a transport of its own which closes when the peer ends: what the peer sends thus has
/// an end too, behind the last that has arrived.
struct DialedPeer: Sendable {
    let peer: any Peer
    let transport: TCPTransport
    fileprivate let closing: Task<ParleyError, Never>

    /// Why the connection ended; waits until it has.
    var end: ParleyError { get async { await closing.value } }
}

/// Dials `address`, lends the peer to `body`, and closes it however that ends.
func withPeer<Result>(
    at address: String,
    _ options: TransportOptions,
    _ body: (DialedPeer) async throws -> Result
) async throws -> Result {
    let (ends, end) = AsyncStream.makeStream(of: ParleyError.self)
    var options = options
    options.onDisconnect = { _, reason in end.yield(reason) }
    return try await withTransport(options) { transport in
        let peer = try await transport.dial(address)
        let closing = Task {
            let reason = await ends.first { _ in true }
            await transport.close()
            return reason ?? ParleyError(.closed, "the connection to \(peer.remoteAddress) was closed")
        }
        return try await body(DialedPeer(peer: peer, transport: transport, closing: closing))
    }
}

/// Runs `body`, and cancels it when it takes longer than `limit`.
///
/// - Throws: `failure` then.
func withDeadline<Result: Sendable>(
    _ limit: Duration,
    failingWith failure: Failure,
    _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask { try await body() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let result = first else { throw failure }
        return result
    }
}
