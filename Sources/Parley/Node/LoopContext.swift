import Synchronization

/// One event loop of a node, its thread, and what belongs to them alone. A connection stays with the context that it was
/// given to: everything of one peer happens on one thread, in order.
///
/// `@unchecked Sendable`: what changes is the thread's only, unless it says otherwise.
package final class LoopContext: @unchecked Sendable {
    unowned let node: Node
    /// Its place among the node's contexts.
    package let index: Int
    package let loop: EventLoop

    /// What its connections have received and left unread: changed by its own thread only, so that a plain load and store
    /// are enough, and read by those of the others.
    private let buffered = Atomic(0)
    /// Emptied, lent to whoever decodes.
    private var scratch = DecodedRuns()

    /// Connections that have ended in this turn, and why, of which `onDisconnect` is to hear.
    var gone: [(Connection, ParleyError)] = []

    /// Keeps its connections' time-outs.
    let timers: ConnectionTimers

    init(of node: Node, index: Int) {
        self.node = node
        self.index = index
        loop = EventLoop(busyPoll: node.options.busyPoll)
        timers = ConnectionTimers(on: loop)
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

    /// What its connections have received and left unread. Any thread.
    var bufferedBytes: Int { buffered.load(ordering: .relaxed) }

    /// Accounts for a change of ``bufferedBytes``.
    func addBufferedBytes(_ grown: Int) {
        loop.assertIsCurrent()
        buffered.store(buffered.load(ordering: .relaxed) &+ grown, ordering: .relaxed)
    }
}
