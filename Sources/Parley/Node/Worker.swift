import Synchronization

/// One event loop of a node, its thread, and what belongs to them alone. A connection stays with the worker that it was
/// given to: everything of one peer happens on one thread, in order.
///
/// `@unchecked Sendable`: what changes is the thread's only, unless it says otherwise.
package final class Worker: @unchecked Sendable {
    unowned let node: Node
    /// Its place among the node's workers.
    package let index: Int
    package let loop: EventLoop

    /// What its connections have received and left unread: changed by its own thread only, so that a plain load and store
    /// are enough, and read by those of the others.
    private let buffered = Atomic(0)
    /// Emptied, lent to whoever decodes.
    private var scratch = DecodedRuns()

    /// How many connections it has. Its own thread only.
    private var connections = 0
    /// Connections that have ended in this turn, and why, of which `onDisconnect` is to hear.
    var gone: [(Connection, ParleyError)] = []

    /// When connections are to be looked at, and the timer for it.
    private var looks = LookQueue()
    private var lookTimer: LoopTimer?
    private var looksArmedFor = UInt64.max
    private var isLooking = false

    init(of node: Node, index: Int) {
        self.node = node
        self.index = index
        loop = EventLoop(busyPoll: node.options.busyPoll)
    }

    func takeScratch() -> DecodedRuns {
        var taken = DecodedRuns()
        swap(&taken, &scratch)
        return taken
    }

    /// Takes it back, and leaves nothing: while there is a second reference to them, arrays cannot keep their space.
    func returnScratch(_ decoded: inout DecodedRuns) {
        decoded.removeAll()
        swap(&decoded, &scratch)
    }

    /// A connection of its own is taken in; ``hasLost()`` follows.
    func hasTakenIn() {
        loop.assertIsCurrent()
        connections &+= 1
    }

    /// A connection that was taken in has ended.
    func hasLost() {
        loop.assertIsCurrent()
        connections &-= 1
        if connections == 0 { forgetLooks() }
    }

    /// What its connections have received and left unread. Any thread.
    var bufferedBytes: Int { buffered.load(ordering: .relaxed) }

    /// Accounts for a change of ``bufferedBytes``.
    func addBufferedBytes(_ grown: Int) {
        loop.assertIsCurrent()
        buffered.store(buffered.load(ordering: .relaxed) &+ grown, ordering: .relaxed)
    }
}

// MARK: - Looking at connections

extension Worker {
    /// Sees to it that the connection, one of its own, is looked at by then.
    func look(at connection: Connection, by due: UInt64) {
        loop.assertIsCurrent()
        guard due < connection.watch.nextLook, connection.ending != .over else { return }
        connection.watch.nextLook = due
        looks.push(LookQueue.Entry(due: due, number: connection.number))
        armLooks()
    }

    private func armLooks() {
        guard let first = looks.first, first < looksArmedFor, !isLooking else { return }
        looksArmedFor = first
        let timer = lookTimer ?? LoopTimer(on: loop)
        lookTimer = timer
        let now = loop.milliseconds
        // The timer holds the node as long as it runs, and so no longer than connections do. Not weak: the node's count of
        // references would be elsewhere from then on, and every message would pay for that.
        timer.start(after: .milliseconds(first > now ? first - now : 0)) { [node, unowned self] in
            lookAtAll(of: node)
        }
    }

    private func lookAtAll(of node: Node) {
        looksArmedFor = .max
        isLooking = true
        let now = loop.milliseconds
        while let entry = looks.pop(at: now) {
            guard let connection = node.connection(entry.number), connection.watch.nextLook == entry.due
            else {
                continue
            }
            connection.watch.nextLook = .max
            look(at: connection, by: connection.look(at: now))
        }
        isLooking = false
        armLooks()
    }

    /// There is nobody left to look at.
    private func forgetLooks() {
        looks = LookQueue()
        lookTimer?.stop()
        looksArmedFor = .max
    }

    /// Ends the timer.
    func stopLooking() {
        lookTimer?.close()
        lookTimer = nil
        looksArmedFor = 0
    }
}
