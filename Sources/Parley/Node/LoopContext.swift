/// One event loop of a node, its thread, and the state that only this thread uses.
///
/// A connection stays on the context that it was assigned to, so everything of one peer happens on one
/// thread, in order.
///
/// `@unchecked Sendable`: mutable state is used on the loop's thread only.
package final class LoopContext: @unchecked Sendable {
    unowned let node: Node
    /// The index among the node's contexts.
    package let index: Int
    package let loop: EventLoop
    /// Runs the time-outs of its connections.
    let timers: ConnectionTimers
    /// Shares the loop's time among the handshakes of its secured links.
    let securing: SharedTurns<SecuredLink>
    /// Shares the loop's time among the multiplexed links that have received many frames.
    let receiving: SharedTurns<MultiplexedLink>
    /// State that the loop's thread uses for every message. The loop frees it.
    let local: PointerBox<Local>
    /// The connections that ended in this turn, with the reasons. `onDisconnect` is called for them at the
    /// end of the turn.
    var disconnected: [(Connection, ParleyError)] = []

    /// State that one loop's connections share. The loop's thread only.
    struct Local {
        /// How many RPCs and bytes this loop may still put into the inbox.
        var inboxRoom = InboxRoom.unknown
        /// The connection that was looked up last or has delivered last. It is usually the next to be looked
        /// up, and is found here without a lock. Nil when its node no longer knows it.
        var recent: Unmanaged<Connection>?
        /// The connection that keeps its large, empty send buffer: the last busy one.
        var lastBusy: Unmanaged<Connection>?
        /// Swapped with a peer's filled buffer while that is written.
        var spareBuffer = WireBuffer()
        /// The block for the next read of a stream. A stream's reader keeps a filled block, and a new one is
        /// made.
        var spareBlock = ReadBlock()
        /// Empty storage for the next decoding pass.
        private var spareRuns = DecodedRuns()

        mutating func takeSpareRuns() -> DecodedRuns {
            var taken = DecodedRuns()
            swap(&taken, &spareRuns)
            return taken
        }

        /// Takes the storage back and leaves empty arrays: an array with a second reference cannot keep its
        /// capacity.
        mutating func returnSpareRuns(_ runs: inout DecodedRuns) {
            runs.removeAll()
            swap(&runs, &spareRuns)
        }

        /// Takes the storage for the bounds of messages, and leaves the rest.
        @inline(__always)
        mutating func takeSpareBounds() -> [Range<Int>] {
            var taken: [Range<Int>] = []
            swap(&taken, &spareRuns.foundBounds)
            return taken
        }

        /// Takes that storage back.
        @inline(__always)
        mutating func returnSpareBounds(_ bounds: inout [Range<Int>]) {
            bounds.empty(keeping: DecodedRuns.keptBounds)
            swap(&bounds, &spareRuns.foundBounds)
        }

        /// Removes a connection that the node no longer knows.
        mutating func forget(_ connection: Connection) {
            let connection = Unmanaged.passUnretained(connection).toOpaque()
            if recent?.toOpaque() == connection { recent = nil }
            if lastBusy?.toOpaque() == connection { lastBusy = nil }
        }

        /// Lets this connection keep its large buffer and drops the previous one's. Only the last busy peer
        /// keeps its large buffer.
        mutating func noteBusy(_ connection: Connection) {
            let busy = Unmanaged.passUnretained(connection)
            guard lastBusy?.toOpaque() != busy.toOpaque() else { return }
            lastBusy?.withBorrowed { $0.dropEmptyBuffer() }
            lastBusy = busy
        }
    }

    init(of node: Node, index: Int) {
        self.node = node
        self.index = index
        loop = EventLoop(name: "parley loop \(index)", busyPoll: node.options.busyPoll)
        timers = ConnectionTimers(on: loop)
        securing = SharedTurns(on: loop, atMost: SecuredLink.stepsPerTurn) { $0.makeStep() ? 1 : 0 }
        receiving = SharedTurns(on: loop, atMost: MultiplexedLink.framesPerTurn) { $0.handleMore() }
        let local = PointerBox(Local())
        self.local = local
        loop.keep(local.opaque) { local.deallocate() }
    }

    /// The ``local`` of the context on whose loop's thread the caller runs. The context itself may be gone.
    static var localOfThisThread: PointerBox<Local>? {
        EventLoop.keptOnThisThread.map { PointerBox(opaque: $0) }
    }

    /// Takes the spare send buffer in exchange for an empty one, or returns it.
    func exchangeSpare(_ buffer: inout WireBuffer) { swap(&buffer, &local.value.spareBuffer) }

    /// Keeps a written buffer as the spare one if its capacity is larger.
    func returnSpare(_ buffer: inout WireBuffer) {
        buffer.removeAll(keeping: WireBuffer.busyBytes)
        if buffer.capacity > local.value.spareBuffer.capacity { exchangeSpare(&buffer) }
    }
}
