/// Shares one loop's time among the handshakes of its secured links. A step of a handshake takes up to 0.2 ms
/// of a core, and a stranger needs 32 bytes to ask for it. The loop's thread only.
final class HandshakeTurns: EndOfTurn, @unchecked Sendable {
    /// The most steps per turn, so that a flood of handshakes cannot starve the peers.
    static let stepsPerTurn = 4

    private let loop: EventLoop
    private var queue = HandshakeQueue<SecuredLink>(stepsPerTurn: stepsPerTurn)
    private var isScheduled = false

    init(on loop: EventLoop) { self.loop = loop }

    /// Calls ``SecuredLink/makeStep()`` when it is this link's turn.
    func add(_ link: SecuredLink) {
        queue.add(link)
        schedule()
    }

    func turnEnds() {
        let turn = loop.turnNumber
        while let link = queue.next(in: turn) {
            if link.makeStep() { queue.countStep() }
        }
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

/// Who waits for a step of its handshake, and how many steps one turn of the loop has room for. A value
/// without I/O.
///
/// Everybody makes one step and then waits behind the others.
struct HandshakeQueue<Waiting> {
    private let stepsPerTurn: Int
    /// In the order of their turns, from ``first`` on.
    private var waiting: [Waiting?] = []
    private var first = 0
    /// The turn in which the last step was asked for, and the steps that were made in it.
    private var turn: UInt64 = 0
    private var steps = 0

    init(stepsPerTurn: Int) { self.stepsPerTurn = stepsPerTurn }

    var isEmpty: Bool { first == waiting.count }

    mutating func add(_ new: Waiting) { waiting.append(new) }

    /// Whether there may be another step in this turn.
    func hasRoom(in turn: UInt64) -> Bool { turn != self.turn || steps < stepsPerTurn }

    /// Takes the next one whose step may be made in this turn; nil when nobody waits, or when the turn has no
    /// room. ``countStep()`` follows if the step was work: an end that is noticed late is none.
    mutating func next(in turn: UInt64) -> Waiting? {
        guard !isEmpty, hasRoom(in: turn) else { return nil }
        if turn != self.turn { (self.turn, steps) = (turn, 0) }
        let taken = waiting[first].take()
        first += 1
        if first == waiting.count || first > Self.mostTaken {
            waiting.removeFirst(first)
            first = 0
        }
        return taken
    }

    mutating func countStep() { steps += 1 }

    /// How many places are left empty at the front before the rest moves up.
    private static var mostTaken: Int { 64 }
}
