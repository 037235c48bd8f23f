// What all peers of a node together may have received and left unread. The connection's loop's thread only.

extension Connection {
    /// A peer that keeps no more than this is never the one to be dropped.
    private static let innocentBytes = 64 * 1024

    /// Accounts for what is buffered now; false when that was too much, and the peer is dropped.
    func isWithinReceiveBuffer(_ buffered: Int) -> Bool {
        let grown = buffered &- bufferedBytes
        guard grown != 0, ending != .over, !watch.isDead else { return true }
        bufferedBytes = buffered
        context.addBufferedBytes(grown)
        let limit = node.options.limits.receiveBufferBytes
        guard grown > 0, node.bufferedBytes > limit, buffered > Self.innocentBytes else { return true }
        fail(
            ParleyError(
                .receiveBufferFull,
                "\(remoteAddress) keeps \(buffered) bytes unread, and all peers more than \(limit)"
            )
        )
        return false
    }
}
