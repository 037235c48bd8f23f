/// One TCP connection to another node.
public final class TCPPeer: Connection, @unchecked Sendable {
    /// A peer over a connected socket; nil when the other side has already closed it. The thread of `context`
    /// only.
    init?(
        context: LoopContext,
        handle: TCPHandle,
        isOutbound: Bool,
        local: SocketAddress?,
        remote: SocketAddress?,
        remoteIP: IPAddress?
    ) {
        guard let local, let remote else { return nil }
        super.init(
            context: context,
            link: handle,
            isOutbound: isOutbound,
            localAddress: local,
            remoteAddress: remote,
            remoteIP: remoteIP
        )
        handle.setOwner(self)
        outbound.withLock { $0.socket = handle.descriptor }
    }
}
