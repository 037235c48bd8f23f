/// What all peers of a node together may have unwritten.
///
/// A peer's first ``freeBytes`` are its own; beyond that it takes parts of the budget, a chunk at a time, and gives them
/// back when its buffer has drained. So a message costs a comparison, and the lock here is taken once in many.
final class SendBudget: Sendable {
    /// What each peer has without asking: those who do not read must not silence the node towards the others.
    static let freeBytes = 16 * 1024
    static let chunkBytes = 64 * 1024

    private struct State {
        var free: Int
        var waiting: [Connection] = []
    }

    private let state: Lock<State>

    init(bytes: Int) { state = Lock(State(free: max(0, bytes))) }

    /// Takes a chunk for `connection`; otherwise its senders are woken when there is one. Its sending lock may be held:
    /// this lock is only ever taken behind that.
    func takeChunk(for connection: Connection) -> Bool {
        state.withLock { state in
            if state.free >= Self.chunkBytes {
                state.free -= Self.chunkBytes
                return true
            }
            if !state.waiting.contains(where: { $0 === connection }) { state.waiting.append(connection) }
            return false
        }
    }

    /// Takes what was appended already.
    func charge(_ bytes: Int) { state.withLock { $0.free -= bytes } }

    /// A connection has ended, and waits no more.
    func forget(_ connection: Connection) {
        state.withLock { $0.waiting.removeAll { $0 === connection } }
    }

    /// Takes bytes back, and wakes those who wait for some. No lock may be held.
    func giveBack(_ bytes: Int) {
        guard bytes > 0 else { return }
        let waiting = state.withLock { state in
            state.free += bytes
            defer { state.waiting = [] }
            return state.waiting
        }
        // Whoever is still short asks again, and waits again.
        for connection in waiting { connection.outbound.withLock { $0.senders.wakeAll() }.resume() }
    }

    /// How much is left; for tests.
    var freeBytes: Int { state.withLock { $0.free } }
}

extension Connection {
    /// Whether more may be appended: below the peer's high-water mark, and within what the node allows all of them.
    @inline(__always)
    func hasRoom(_ outbound: inout Outbound) -> Bool {
        outbound.unwrittenBytes < node.options.sendHighWaterBytes
            && (outbound.unwrittenBytes < outbound.reservedBytes || takeChunks(&outbound))
    }

    private func takeChunks(_ outbound: inout Outbound) -> Bool {
        while outbound.unwrittenBytes >= outbound.reservedBytes {
            guard node.sendBudget.takeChunk(for: self) else { return false }
            outbound.reservedBytes &+= SendBudget.chunkBytes
        }
        return true
    }

    /// The last message went beyond what was covered: the others shall have less.
    func chargeRest(_ outbound: inout Outbound) {
        node.sendBudget.charge(outbound.unwrittenBytes &- outbound.reservedBytes)
        outbound.reservedBytes = outbound.unwrittenBytes
    }
}

extension Connection.Outbound {
    /// Lets go of all of the budget that is not needed for what is unwritten; returns how much that was.
    mutating func releaseUnneeded() -> Int {
        let needed = max(SendBudget.freeBytes, unwrittenBytes)
        guard reservedBytes > needed else { return 0 }
        defer { reservedBytes = needed }
        return reservedBytes &- needed
    }

    /// The same for all of it: the connection has ended.
    mutating func releaseAll() -> Int {
        defer { reservedBytes = SendBudget.freeBytes }
        return reservedBytes &- SendBudget.freeBytes
    }
}
