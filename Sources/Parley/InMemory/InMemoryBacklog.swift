/// The in-memory counterpart of a listening socket's backlog: connections that were made and not accepted
/// yet.
///
/// `@unchecked Sendable`: everything here runs on the thread of the node's loop.
final class InMemoryBacklog: @unchecked Sendable {
    private static let capacity = 4_096

    private struct Waiting {
        let link: InMemoryLink
        let remote: SocketAddress
        let local: SocketAddress
    }

    private let node: Node
    private var waiting: [Waiting] = []
    private var isOpen = false
    private var retry: LoopTimer?

    init(of node: Node) { self.node = node }

    /// Adds a connection, which is accepted as soon as the limits allow. A full backlog refuses it.
    func add(_ link: InMemoryLink, from remote: SocketAddress, at local: SocketAddress) {
        node.loop.assertIsCurrent()
        guard isOpen, waiting.count < Self.capacity else { return link.discard() }
        waiting.append(Waiting(link: link, remote: remote, local: local))
        node.resumeAccepting = { [unowned self] in acceptAll() }
        acceptAll()
    }

    /// Takes connections, from now on.
    func open() { isOpen = true }

    /// Stops listening: refuses all waiting connections.
    func close() {
        isOpen = false
        node.resumeAccepting = nil
        retry?.close()
        retry = nil
        for connection in waiting { connection.link.discard() }
        waiting = []
    }

    private func acceptAll() {
        while let next = waiting.first {
            switch node.acceptPermit() {
            case .now: break
            case .whenThereIsRoom: return
            case .after(let delay): return pause(for: delay)
            }
            switch node.admit(IPAddress(v4: 0x7f00_0001), next.remote) {
            case .admitted: accept(waiting.removeFirst())
            case .refused: waiting.removeFirst().link.discard()
            case .after(let delay): return pause(for: delay)
            case .whenThereIsRoom: return
            }
        }
    }

    private func pause(for delay: Duration) {
        let retry = retry ?? LoopTimer(on: node.loop)
        self.retry = retry
        retry.start(after: delay) { [self] in
            node.acceptPauseIsOver()
            acceptAll()
        }
    }

    private func accept(_ connection: Waiting) {
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
