/// Identifies one connection; see ``Peer/connectionID``.
///
/// ```swift
/// var sessions: [ConnectionID: Session] = [:]
/// for await rpc in transport.consume() {
///     sessions[rpc.peer.connectionID, default: Session()].handle(rpc)
/// }
/// ```
///
/// It does not keep the peer. It is not called `id`: that is the identity of the node at the other end, which
/// all its connections have in common.
public struct ConnectionID: Hashable, Sendable {
    private enum Source: Hashable {
        /// A connection of the library: its node's number in the process, and its own in the node.
        case connection(node: UInt64, number: UInt64)
        /// A peer of the application's own.
        case object(ObjectIdentifier)
    }

    private let source: Source

    init(node: UInt64, number: UInt64) { source = .connection(node: node, number: number) }

    init(_ peer: some Peer) { source = .object(ObjectIdentifier(peer)) }
}

extension ConnectionID: CustomStringConvertible {
    /// The number of the node in the process and of the connection in the node, such as `1-17`.
    public var description: String {
        switch source {
        case .connection(let node, let number): "\(node)-\(number)"
        case .object(let object): "\(UInt(bitPattern: object.hashValue))"
        }
    }
}
