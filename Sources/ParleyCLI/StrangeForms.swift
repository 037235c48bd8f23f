import Parley

/// Reports connections that ended because what came is not of the wire form that is spoken here.
final class StrangeForms: Sendable {
    private let errors = ThrottledErrors()

    /// Prints a line for a connection that has ended, if nothing else does.
    func reportEnd(of peer: any Peer, _ reason: ParleyError, isProven: Bool) {
        let traffic = peer.statistics.traffic
        guard
            let sentence = Self.line(
                about: peer.remoteAddress,
                reason,
                isProven: isProven,
                hasHeard: traffic.messagesReceived > 0 || traffic.streamsReceived > 0
            )
        else { return }
        errors.report("strange", sentence)
    }

    /// - Parameters:
    ///   - isProven: whether the peer has proved its id, or does not have to: others have a line already.
    ///   - hasHeard: whether something was understood. A transfer that breaks off has a line already.
    /// - Returns: nil when there is nothing to say.
    static func line(
        about address: SocketAddress,
        _ reason: ParleyError,
        isProven: Bool,
        hasHeard: Bool
    ) -> String? {
        guard reason.code == .protocolViolation, isProven, !hasHeard else { return nil }
        return "refused \(address): \(reason.message)"
    }
}
