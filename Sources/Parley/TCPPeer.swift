/// One TCP connection to another node.
public final class TCPPeer: Connection, @unchecked Sendable {
    /// A peer over a connected socket; nil when the other side is gone already. The loop's thread only.
    init?(node: Node, handle: TCPHandle, isOutbound: Bool) {
        guard let local = handle.localAddress, let remote = handle.remoteAddress else { return nil }
        super.init(
            node: node,
            link: handle,
            isOutbound: isOutbound,
            localAddress: local,
            remoteAddress: remote
        )
        handle.setOwner(self)
        if let keepAlive = node.options.keepAlive { handle.setKeepAlive(keepAlive) }
    }
}
