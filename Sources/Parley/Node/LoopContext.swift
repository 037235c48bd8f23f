/// One event loop of a node, its thread, and what belongs to them alone.
///
/// A connection stays with the context that it was given to: everything of one peer happens on one thread, in order.
///
/// `@unchecked Sendable`: what changes is used on the loop's thread only.
package final class LoopContext: @unchecked Sendable {
    unowned let node: Node
    /// Its place among the node's contexts.
    package let index: Int
    package let loop: EventLoop
    /// Runs the time-outs of its connections.
    let timers: ConnectionTimers
    /// What its thread uses for every message.
    let local = PointerBox(Local())
    /// Connections that have ended in this turn, and why; `onDisconnect` is called for them when the turn ends.
    var gone: [(Connection, ParleyError)] = []

    /// What one loop's connections share. The loop's thread only.
    struct Local {
        /// How much its peers may still put into the inbox.
        var inboxRoom = InboxRoom.unknown
        /// The connection that was looked up last, or has delivered last: most often it is the next to be looked up,
        /// and is found here without a lock. Nil when its node no longer knows it.
        var recent: Unmanaged<Connection>?
        /// The connection that keeps its large, empty send buffer: the last one that was busy.
        var lastBusy: Unmanaged<Connection>?
        /// Changes places with a peer's filled buffer while that is written.
        var spareBuffer = WireBuffer()
        /// Where a stream is read to; whoever fills it keeps it, and the next one is made.
        var spareBlock = ReadBlock()
        /// Emptied, for the next decoding.
        private var spareRuns = DecodedRuns()

        mutating func takeSpareRuns() -> DecodedRuns {
            var taken = DecodedRuns()
            swap(&taken, &spareRuns)
            return taken
        }

        /// Takes them back, and leaves nothing: arrays with a second reference cannot keep their space.
        mutating func returnSpareRuns(_ runs: inout DecodedRuns) {
            runs.removeAll()
            swap(&runs, &spareRuns)
        }

        /// The node no longer knows this connection.
        mutating func forget(_ connection: Connection) {
            let connection = Unmanaged.passUnretained(connection).toOpaque()
            if recent?.toOpaque() == connection { recent = nil }
            if lastBusy?.toOpaque() == connection { lastBusy = nil }
        }

        /// Lets this connection keep its large buffer, and takes it from the one that kept its own before: otherwise
        /// every peer that was busy once would hold much memory.
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
        loop = EventLoop(busyPoll: node.options.busyPoll)
        timers = ConnectionTimers(on: loop)
        loop.localContext = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { local.deallocate() }

    /// The context whose loop's thread the caller is on.
    static var current: Unmanaged<LoopContext>? {
        EventLoop.currentContext.map { Unmanaged.fromOpaque($0) }
    }

    /// Takes the spare send buffer for an empty one, or gives it back.
    func exchangeSpare(_ buffer: inout WireBuffer) { swap(&buffer, &local.value.spareBuffer) }

    /// Takes back a buffer that was written, if it has more room than the spare one.
    func returnSpare(_ buffer: inout WireBuffer) {
        buffer.removeAll(keeping: WireBuffer.busyBytes)
        if buffer.capacity > local.value.spareBuffer.capacity { exchangeSpare(&buffer) }
    }
}
