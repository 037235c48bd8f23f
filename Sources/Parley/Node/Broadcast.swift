/// Who got a message that was sent to all; see ``Transport/broadcast(message:)-(ArraySlice<UInt8>)``.
public struct Broadcast: Sendable {
    /// A peer that did not get it, and why.
    public struct Failure: Sendable {
        /// Who.
        public let peer: any Peer
        /// `wouldBlock`: it does not take what was sent to it before, or a stream to it is unfinished. Otherwise as a send
        /// to it throws.
        public let error: ParleyError
    }

    /// How many peers have accepted it.
    public var accepted = 0
    /// The others.
    public var failures: [Failure] = []
}

extension Transport {
    /// Sends one message to every peer that is greeted, without waiting for any: whoever is slow is left out, and named.
    ///
    /// Any thread. The bytes of a large message are shared, not copied for each peer.
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
