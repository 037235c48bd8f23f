/// The result of a message sent to all peers; see ``Transport/broadcast(message:)-(ArraySlice<UInt8>)``.
public struct Broadcast: Sendable {
    /// A peer that did not accept the message, and why.
    public struct Failure: Sendable {
        /// The peer.
        public let peer: any Peer
        /// `wouldBlock`: too much is unwritten to this peer, or a stream to it is open. Otherwise as a send
        /// to it throws.
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
        var broadcast = Broadcast()
        for peer in peers {
            do throws(ParleyError) {
                guard try peer.trySend(message: message) else {
                    throw ParleyError(.wouldBlock, "a message to \(peer.remoteAddress) would have to wait")
                }
                broadcast.accepted += 1
            } catch { broadcast.failures.append(.init(peer: peer, error: error)) }
        }
        return broadcast
    }

    /// Sends one message to every peer; see ``broadcast(message:)-(ArraySlice<UInt8>)``.
    @discardableResult
    public func broadcast(message: [UInt8]) -> Broadcast { broadcast(message: message[...]) }

    /// Sends one message of UTF-8 text to every peer; see ``broadcast(message:)-(ArraySlice<UInt8>)``.
    @discardableResult
    public func broadcast(message: String) -> Broadcast { broadcast(message: Array(message.utf8)[...]) }
}
