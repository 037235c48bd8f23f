/// Connections that were made in memory and not accepted yet: what the kernel keeps for a listening socket.
///
/// `@unchecked Sendable`: everything here happens on the thread of the node's loop.
final class InMemoryBacklog: @unchecked Sendable {
    private static let capacity = 4_096

    private struct Waiting {
        let link: InMemoryLink
        let remote: SocketAddress
        let local: SocketAddress
    }

    private let node: Node
    private var waiting: [Waiting] = []
    private var isAbandoned = false
    private var retry: LoopTimer?

    init(of node: Node) { self.node = node }

    /// Another connection has come; accepts it as soon as there is room.
    func add(_ link: InMemoryLink, from remote: SocketAddress, at local: SocketAddress) {
        node.loop.assertIsCurrent()
        guard !isAbandoned, waiting.count < Self.capacity else { return link.abandon() }
        waiting.append(Waiting(link: link, remote: remote, local: local))
        node.resumeAccepting = { [unowned self] in acceptAll() }
        acceptAll()
    }

    /// Nobody listens any more: those who wait are turned away.
    func abandon() {
        isAbandoned = true
        node.resumeAccepting = nil
        retry?.close()
        for connection in waiting { connection.link.abandon() }
        waiting = []
    }

    private func acceptAll() {
        while !waiting.isEmpty {
            switch node.acceptPermit() {
            case .now: accept(waiting.removeFirst())
            case .whenThereIsRoom: return
            case .after(let delay):
                let retry = retry ?? LoopTimer(on: node.loop)
                self.retry = retry
                return retry.start(after: delay) { [self] in
                    node.acceptPauseIsOver()
                    acceptAll()
                }
            }
        }
    }

    private func accept(_ connection: Waiting) {
        guard node.admit(connection.remote.ip, connection.remote) else { return connection.link.abandon() }
        let peer = InMemoryPeer(
            context: node.contexts[0],
            link: connection.link,
            isOutbound: false,
            localAddress: connection.local,
            remoteAddress: connection.remote
        )
        node.adopt(peer)
    }
}
