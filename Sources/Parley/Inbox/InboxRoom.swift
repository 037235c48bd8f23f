/// How much may still be offered to an ``InboxQueue``.
///
/// A producer may keep it after an offer: consumers only make more room, so it remains a lower bound for that
/// producer's queue.
struct InboxRoom {
    /// The number of RPCs.
    var rpcs: Int
    /// The bytes of payload. The RPC that exceeds them is still accepted whole.
    var bytes: Int
    /// Producers that were called because there is room and have not offered yet.
    var turns: Int
    /// Whether it is the room of one peer's part of the queue. Another peer's may differ, so nobody keeps it.
    var isOfOnePeer = false

    /// No room, for a producer that has not asked the queue yet.
    static let unknown = InboxRoom(rpcs: 0, bytes: 0, turns: 0)

    var isEmpty: Bool { rpcs <= 0 || bytes <= 0 }

    /// Whether a producer has to ask the queue before it offers.
    var isToBeAsked: Bool { isEmpty || isOfOnePeer }

    /// One producer's share of the room: at least one RPC if there is room. The rest is for the producers
    /// whose turn is still to come.
    var share: (rpcs: Int, bytes: Int) { isEmpty ? (0, bytes) : (max(1, rpcs / (turns &+ 1)), bytes) }
}
