import Parley
import Synchronization

/// What one peer sends, apart from what the others do.
struct Mailbox: Sendable {
    /// A peer that waits its turn, as the transfer asks it to, never fills it.
    private static let capacity = 4

    let peer: any Peer
    private let rpcs: AsyncStream<RPC>
    private let continuation: AsyncStream<RPC>.Continuation

    init(_ peer: any Peer) {
        self.peer = peer
        (rpcs, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.capacity))
    }

    /// The next thing that the peer sent; nil when it has gone or the task is cancelled.
    func next() async -> RPC? { await rpcs.first { _ in true } }

    /// - Returns: false when there is no room for it.
    fileprivate func deliver(_ rpc: RPC) -> Bool {
        if case .dropped = continuation.yield(rpc) { false } else { true }
    }

    fileprivate func close() { continuation.finish() }
}

/// The mailboxes of all peers of one transport: so each peer can be talked to by a task of its own.
final class Mailboxes: Sendable {
    /// The mailbox of each peer that connects.
    let opened: AsyncStream<Mailbox>
    private let announce: AsyncStream<Mailbox>.Continuation
    private let mailboxes = Mutex<[ObjectIdentifier: Mailbox]>([:])

    init() { (opened, announce) = AsyncStream.makeStream() }

    /// For a transport's `onPeer`.
    func open(for peer: any Peer) {
        let mailbox = Mailbox(peer)
        mailboxes.withLock { $0[ObjectIdentifier(peer)] = mailbox }
        announce.yield(mailbox)
    }

    /// For a transport's `onDisconnect`.
    func close(for peer: any Peer) {
        mailboxes.withLock { $0.removeValue(forKey: ObjectIdentifier(peer)) }?.close()
    }

    /// Sorts what arrives, until the transport is closed or the task is cancelled.
    func sort(_ rpcs: RPCSequence) async {
        for await rpc in rpcs {
            // None is there any more when the peer has just gone.
            guard let mailbox = mailboxes.withLock({ $0[ObjectIdentifier(rpc.peer)] }) else { continue }
            if !mailbox.deliver(rpc) {
                close(for: rpc.peer)
                Task { await rpc.peer.close() }
            }
        }
    }
}
