/// The result of a message sent to all peers; see ``Transport/broadcast(message:)-(ArraySlice<UInt8>)`` and
/// ``Transport/broadcast(message:within:)-(ArraySlice<UInt8>,_)``.
public struct Broadcast: Sendable {
    /// A peer that did not accept the message, and why.
    public struct Failure: Sendable {
        /// The peer.
        public let peer: any Peer
        /// `wouldBlock`: too much is unwritten to this peer, or a stream to it is open. `timedOut`: it still
        /// was when the time was over. Otherwise as a send to it throws.
        public let error: ParleyError
    }

    /// How many peers accepted the message.
    public var accepted = 0
    /// The peers that did not.
    public var failures: [Failure] = []
}

extension Transport {
    /// Sends one message to every open peer without waiting. A peer that would have to wait is skipped and
    /// named in the result.
    ///
    /// Any thread. The peers share the bytes of a large message; it is not copied for each of them.
    @discardableResult
    public func broadcast(message: ArraySlice<UInt8>) -> Broadcast {
        var (broadcast, waiting) = sendToAll(message)
        for peer in waiting {
            let error = ParleyError(.wouldBlock, "a message to \(peer.remoteAddress) would have to wait")
            broadcast.failures.append(.init(peer: peer, error: error))
        }
        return broadcast
    }

    /// Sends one message to every open peer. Where it would have to wait, for room or behind an open stream,
    /// it waits side by side for all those peers, until `limit` has passed.
    ///
    /// Peers that need not wait have the message at once. Returns when each peer has accepted the message or
    /// failed. Cancelling the task ends the wait; the peers that still wait have failed with `cancelled`.
    ///
    /// ```swift
    /// let late = await transport.broadcast(message: news, within: .seconds(5)).failures
    /// ```
    @discardableResult
    public func broadcast(message: ArraySlice<UInt8>, within limit: Duration) async -> Broadcast {
        var (broadcast, waiting) = sendToAll(message)
        guard !waiting.isEmpty else { return broadcast }
        await withTaskGroup(of: Sent.self) { group in
            for peer in waiting { group.addTask { await Sent(message, to: peer) } }
            group.addTask {
                // The clock traps beyond what it can count.
                try? await Task.sleep(for: min(limit, .seconds(1 << 32)))
                return .timeIsUp
            }
            var left = waiting.count
            var isTimeUp = false
            for await sent in group {
                switch sent {
                case .accepted: broadcast.accepted += 1
                case .failed(let peer, let error):
                    broadcast.failures.append(
                        .init(peer: peer, error: isTimeUp ? .afterTime(error, for: peer, limit) : error)
                    )
                case .timeIsUp:
                    isTimeUp = !Task.isCancelled
                    group.cancelAll()
                    continue
                }
                left -= 1
                // Ends the wait for the time.
                if left == 0 { group.cancelAll() }
            }
        }
        return broadcast
    }

    /// Sends to every peer that need not wait. Returns the others beside the result.
    private func sendToAll(_ message: ArraySlice<UInt8>) -> (Broadcast, waiting: [any Peer]) {
        var broadcast = Broadcast()
        var waiting: [any Peer] = []
        for peer in openPeers {
            do throws(ParleyError) {
                if try peer.trySend(message: message) {
                    broadcast.accepted += 1
                } else {
                    waiting.append(peer)
                }
            } catch { broadcast.failures.append(.init(peer: peer, error: error)) }
        }
        return (broadcast, waiting)
    }

    /// Sends one message to every peer; see ``broadcast(message:within:)-(ArraySlice<UInt8>,_)``.
    @discardableResult
    public func broadcast(message: [UInt8], within limit: Duration) async -> Broadcast {
        await broadcast(message: message[...], within: limit)
    }

    /// Sends one message of UTF-8 text to every peer; see
    /// ``broadcast(message:within:)-(ArraySlice<UInt8>,_)``.
    @discardableResult
    public func broadcast(message: String, within limit: Duration) async -> Broadcast {
        if let refusal = refusal(of: message) { return refusal }
        return await broadcast(message: Array(message.utf8)[...], within: limit)
    }

    /// Sends one message to every peer; see ``broadcast(message:)-(ArraySlice<UInt8>)``.
    @discardableResult
    public func broadcast(message: [UInt8]) -> Broadcast { broadcast(message: message[...]) }

    /// Sends one message of UTF-8 text to every peer; see ``broadcast(message:)-(ArraySlice<UInt8>)``.
    @discardableResult
    public func broadcast(message: String) -> Broadcast {
        refusal(of: message) ?? broadcast(message: Array(message.utf8)[...])
    }

    /// The result for a text that is too long for every peer. Its length is checked before it is copied.
    private func refusal(of message: String) -> Broadcast? {
        guard message.utf8.count >= WireBuffer.keptSliceBytes,
            let node = (self as? any NodeTransport)?.node
        else { return nil }
        do throws(ParleyError) {
            try node.checkLength(ofMessage: message.utf8.count)
            return nil
        } catch { return Broadcast(failures: openPeers.map { Broadcast.Failure(peer: $0, error: error) }) }
    }
}

/// What has become of a message that had to wait.
private enum Sent: Sendable {
    case accepted
    case failed(any Peer, ParleyError)
    case timeIsUp

    init(_ message: ArraySlice<UInt8>, to peer: any Peer) async {
        do {
            try await peer.sendWhenPossible(message: message)
            self = .accepted
        } catch { self = .failed(peer, error) }
    }
}

extension ParleyError {
    /// The error of a message that was not accepted in time. When the time is up all waits are cancelled, so
    /// `cancelled` becomes `timedOut`; any other error stays.
    static func afterTime(_ error: ParleyError, for peer: any Peer, _ limit: Duration) -> ParleyError {
        guard error.code == .cancelled else { return error }
        return ParleyError(.timedOut, "a message to \(peer.remoteAddress) was not accepted within \(limit)")
    }
}
