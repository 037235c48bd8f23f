import Parley

/// Passes a new transport to `body`, and closes it when `body` returns or throws.
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

/// A dialed peer on a transport of its own. The transport closes when the connection ends, so that its
/// sequence of RPCs ends after the last one that arrived.
struct DialedPeer: Sendable {
    let peer: any Peer
    let transport: TCPTransport
    /// This node's own id; nil without one.
    let ownID: PeerID?

    /// Waits until the connection has ended, and returns the reason: `cancelled` when the task is cancelled.
    var end: ParleyError {
        get async { do throws(ParleyError) { return try await peer.untilClosed() } catch { return error } }
    }

    /// The same for at most `limit`. The other side may have ended its half of the connection alone, or only
    /// a stream: then this side closes the connection. Nil when the other side has not ended it.
    func end(within limit: Duration) async -> ParleyError? {
        let failure = Failure("the connection has not ended within \(limit)")
        let end = try? await withDeadline(limit, failingWith: failure) { [peer] in
            try await peer.untilClosed()
        }
        if let end { return end }
        await peer.close()
        let reason = try? await peer.untilClosed()
        return reason?.code == .closed ? nil : reason
    }

    /// Waits until everything that was sent is written, or the connection ends. Closing alone waits for some
    /// seconds. Returns at once when the task is cancelled.
    func untilWritten() async {
        while peer.statistics.unsentBytes > 0, !transport.peers.isEmpty {
            do { try await Task.sleep(for: .milliseconds(20)) } catch { return }
        }
    }

    /// Whether the peer has sent anything.
    var hasHeard: Bool {
        let traffic = peer.statistics.traffic
        return traffic.messagesReceived > 0 || traffic.streamsReceived > 0
    }

    /// What to say behind an error that the connection or a stream has ended with: see ``DialHint``.
    func hint(after code: ParleyError.Code, wanting command: DialHint.Command? = nil) -> String {
        hint(after: code, hasHeard: hasHeard, wanting: command)
    }

    /// The same, where the caller knows better what has come.
    func hint(after code: ParleyError.Code, hasHeard: Bool, wanting command: DialHint.Command?) -> String {
        DialHint.text(
            after: code,
            hasHeard: hasHeard,
            uptime: peer.statistics.uptime,
            ownID: ownID,
            wanting: command
        )
    }
}

/// Dials `address` and passes the peer to `body`. Closes it when `body` returns or throws.
func withPeer<Result>(
    at address: String,
    _ options: TransportOptions,
    _ body: (DialedPeer) async throws -> Result
) async throws -> Result {
    try await withTransport(options) { transport in
        let peer = try await dial(address, with: transport, isSecured: options.security.id != nil)
        Task {
            _ = try? await peer.untilClosed()
            await transport.close()
        }
        return try await body(DialedPeer(peer: peer, transport: transport, ownID: options.security.id))
    }
}

/// Dials, and says what helps when a node without an identity may have answered.
private func dial(
    _ address: String,
    with transport: TCPTransport,
    isSecured: Bool
) async throws -> any Peer {
    do { return try await transport.dial(address) } catch let error as ParleyError
        where isSecured && [.endOfStream, .connectionReset, .securityFailed].contains(error.code)
    {
        // A node that has no place for another connection resets it.
        let mayBeFull = error.code == .connectionReset
        let hints =
            (mayBeFull ? "; it may have no room for another connection from here" : "")
            + "; a node without an identity needs --plain"
        throw Failure("\(address) did not prove an id: \(error.message)\(hints)")
    }
}

/// Runs `body`, and cancels it when it takes longer than `limit`.
///
/// - Throws: `failure` when the time is over, or what `body` throws.
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

extension Peer {
    /// How a line calls the peer that it introduces: `12D3KooW…@192.168.1.5:3000`, without an id the address.
    var label: String { id.map { "\($0)@\(remoteAddress)" } ?? remoteAddress.description }
}
