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
        remoteIP: IPAddress?,
        expecting id: PeerID? = nil
    ) {
        guard let local, let remote else { return nil }
        let link = context.node.link(
            over: handle,
            on: context,
            isOutbound: isOutbound,
            remote: remote,
            expecting: id
        )
        super.init(
            context: context,
            link: link,
            isOutbound: isOutbound,
            localAddress: local,
            remoteAddress: remote,
            remoteIP: remoteIP
        )
        handle.setOwner(ownLinks())
        outbound.withLock { $0.socket = link.directSocket }
    }
}
