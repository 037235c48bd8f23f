@testable import Parley

/// Takes a node's statistics while it is told of the end of a peer.
final class StatisticsAtTheEnd: PeerObserver {
    let takesRPCs = false
    /// The node. Set it to nil in the end: the node has this observer.
    let transport = Lock<TCPTransport?>(nil)
    let seen = Events<TransportStatistics>()

    func peerDidConnect(_ peer: Connection) {}
    func didReceive(_ runs: [MessageRun], from peer: Connection) {}
    func didReceive(_ bytes: Span<UInt8>, _ messages: [Range<Int>], from peer: Connection) {}
    func peerDidDisconnect(_ peer: Connection, _ reason: ParleyError) {
        if let statistics = transport.withLock({ $0?.statistics }) { seen.add(statistics) }
    }
}
