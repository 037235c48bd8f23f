/// Shares one loop's time among the handshakes of its secured links. A step of a handshake takes up to 0.2 ms
/// of a core, and a stranger needs 32 bytes to ask for it. The loop's thread only.
final class HandshakeTurns: EndOfTurn, @unchecked Sendable {
    /// The most steps per turn, so that a flood of handshakes cannot starve the peers.
    static let stepsPerTurn = 4

    private let loop: EventLoop
    /// In the order of their turns.
    private var waiting: [SecuredLink] = []
    private var isScheduled = false

    init(on loop: EventLoop) { self.loop = loop }

    /// Calls ``SecuredLink/makeStep()`` when it is this link's turn.
    func add(_ link: SecuredLink) {
        waiting.append(link)
        schedule()
    }

    func turnEnds() {
        isScheduled = false
        let links = waiting.prefix(Self.stepsPerTurn)
        waiting.removeFirst(links.count)
        for link in links { link.makeStep() }
        schedule()
    }

    private func schedule() {
        guard !isScheduled, !waiting.isEmpty else { return }
        isScheduled = true
        loop.atEndOfTurn(self)
    }
}
