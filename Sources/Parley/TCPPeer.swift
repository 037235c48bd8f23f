/// One TCP connection to another node.
public final class TCPPeer: Connection, @unchecked Sendable {
    /// A peer over a connected socket; nil when the other side is gone already. The loop's thread only.
    ///
    /// - Parameter remote: the other side's address, if it is known.
    init?(node: Node, handle: TCPHandle, isOutbound: Bool, remote: SocketAddress? = nil) {
        guard let local = handle.localAddress, let remote = remote ?? handle.remoteAddress else { return nil }
        super.init(
            node: node,
            link: handle,
            isOutbound: isOutbound,
            localAddress: local,
            remoteAddress: remote
        )
        handle.setOwner(self)
        outbound.withLock { $0.socket = handle.descriptor }
    }
}
