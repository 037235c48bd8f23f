/// Shares one loop's time among those who have work that others must not wait for. The loop's thread only.
final class SharedTurns<Waiting>: EndOfTurn, @unchecked Sendable {
    private let loop: EventLoop
    private let work: (Waiting) -> Int
    private var queue: TurnQueue<Waiting>
    private var isScheduled = false

    /// - Parameters:
    ///   - limit: how much work a turn has room for.
    ///   - work: does a part of one's work, and returns how much that was.
    init(on loop: EventLoop, atMost limit: Int, _ work: @escaping (Waiting) -> Int) {
        self.loop = loop
        self.work = work
        queue = TurnQueue(limit: limit)
    }

    /// Does a part of the work of `new` when it is its turn, once.
    func add(_ new: Waiting) {
        queue.add(new)
        schedule()
    }

    func turnEnds() {
        let turn = loop.turnNumber
        while let next = queue.next(in: turn) { queue.count(work(next)) }
        isScheduled = false
        schedule()
    }

    private func schedule() {
        guard !isScheduled, !queue.isEmpty else { return }
        isScheduled = true
        // The end of a turn may come several times before the sockets are polled again.
        if queue.hasRoom(in: loop.turnNumber) { loop.atEndOfTurn(self) } else { loop.atEndOfNextTurn(self) }
    }
}

/// Who waits for a part of the work of a loop, and how much of it one turn of the loop has room for. A value
/// without I/O.
///
/// A turn does one part of somebody's work. Whoever has more to do waits behind the others.
struct TurnQueue<Waiting> {
    private let limit: Int
    /// In the order of their turns.
    private var waiting = Line<Waiting>(keeping: 64)
    /// The turn in which the last work was asked for, and how much was done in it.
    private var turn: UInt64 = 0
    private var done = 0

    init(limit: Int) { self.limit = limit }

    var isEmpty: Bool { waiting.isEmpty }

    mutating func add(_ new: Waiting) { waiting.append(new) }

    /// Whether there may be more work in this turn.
    func hasRoom(in turn: UInt64) -> Bool { turn != self.turn || done < limit }

    /// Takes the next one whose work may be done in this turn; nil when nobody waits, or when the turn has no
    /// room. ``count(_:)`` follows.
    mutating func next(in turn: UInt64) -> Waiting? {
        guard !isEmpty, hasRoom(in: turn) else { return nil }
        if turn != self.turn { (self.turn, done) = (turn, 0) }
        return waiting.popFirst()
    }

    /// Counts what was done: nothing for one who is gone.
    mutating func count(_ work: Int) { done += work }
}
