/// A transport that runs on a ``Node``.
protocol NodeTransport: Transport {
    var node: Node { get }
}

extension TCPTransport: NodeTransport {}
extension InMemoryTransport: NodeTransport {}
