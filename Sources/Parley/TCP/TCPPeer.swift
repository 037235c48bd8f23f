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
        let secured = context.node.secure(handle, on: context, isOutbound: isOutbound, expecting: id)
        super.init(
            context: context,
            link: secured.map { $0 as any Link } ?? handle,
            isOutbound: isOutbound,
            localAddress: local,
            remoteAddress: remote,
            remoteIP: remoteIP
        )
        handle.setOwner(secure(secured))
        // What a sender's thread writes by itself would not be sealed.
        if secured == nil { outbound.withLock { $0.socket = handle.descriptor } }
    }
}
