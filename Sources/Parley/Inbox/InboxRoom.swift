/// How much may still be offered to an ``InboxQueue``.
///
/// A producer may remember it: consumers only add to it, so what was left behind the producer's own last offer is a lower
/// bound.
struct InboxRoom {
    /// How many RPCs.
    var rpcs: Int
    /// How many bytes of payload; the RPC that goes over it is taken whole.
    var bytes: Int
    /// Producers that were called because there is room, and have not had their turn yet.
    var turns: Int

    /// Nothing, until the queue is asked.
    static let unknown = InboxRoom(rpcs: 0, bytes: 0, turns: 0)

    var isEmpty: Bool { rpcs <= 0 || bytes <= 0 }

    /// One producer's part, at least one RPC if there is room for any: those whose turn is still to come get theirs.
    var share: (rpcs: Int, bytes: Int) { isEmpty ? (0, bytes) : (max(1, rpcs / (turns &+ 1)), bytes) }
}
