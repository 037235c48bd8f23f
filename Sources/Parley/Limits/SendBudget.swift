/// What all peers of a node together may have unwritten: a value; ``SharedSendBudget`` is the node's.
///
/// A peer's first ``freeBytes`` are its own; beyond that it takes parts of the budget, a chunk at a time, and gives them
/// back when its queue has drained. So a message costs a comparison, and the budget's lock is taken once in many.
///
/// The more a peer has taken, the more of the budget it leaves to others: one that has ``largeBytes`` takes more only
/// while half of the budget is free. So many peers that read slowly leave a part for those that come later.
struct SendBudget {
    /// What each peer has without asking: those who do not read must not silence the node towards the others.
    static let freeBytes = 16 * 1024
    static let chunkBytes = 64 * 1024
    /// A peer that has taken so much leaves half of the budget to the others.
    static let largeBytes = 256 * 1024

    private let total: Int
    /// How much is left. Messages are taken whole, so it may be less than nothing.
    private(set) var available: Int
    /// Connections whose senders wait for a chunk, by number, in the order of their coming.
    private var waiting: [UInt64] = []
    private var head = 0

    init(bytes: Int) {
        total = max(0, bytes)
        available = total
    }

    /// Takes a chunk for a connection that has reserved so much so far; returns whether there was one.
    mutating func takeChunk(reserved: Int) -> Bool {
        let taken = min(max(0, reserved - Self.freeBytes), Self.largeBytes)
        let leftToOthers = Int(Double(total / 2) * Double(taken) / Double(Self.largeBytes))
        guard available - Self.chunkBytes >= leftToOthers else { return false }
        available -= Self.chunkBytes
        return true
    }

    /// Takes what was appended already.
    mutating func charge(_ bytes: Int) { available -= bytes }

    mutating func giveBack(_ bytes: Int) { available += bytes }

    /// A connection's senders wait for a chunk; each waits once.
    mutating func enqueue(_ number: UInt64) { waiting.append(number) }

    var waitingCount: Int { waiting.count - head }

    /// The length of the array, including those that had their turn, for tests.
    var placesHeld: Int { waiting.count }

    /// The connection whose turn it is, if there is a chunk for it.
    mutating func nextTurn() -> UInt64? {
        guard waitingCount > 0, available >= Self.chunkBytes else { return nil }
        defer {
            head += 1
            if head == waiting.count {
                waiting = []
                head = 0
            } else if head >= 64, head * 2 >= waiting.count {
                waiting.removeFirst(head)
                head = 0
            }
        }
        return waiting[head]
    }
}

/// The send budget of a node, which all its threads share.
final class SharedSendBudget: Sendable {
    private let budget: Lock<SendBudget>
    /// Lets the connection with that number take its chunk. Set once, before there are connections.
    private let serve: @Sendable (UInt64) -> Void

    init(bytes: Int, serve: @escaping @Sendable (UInt64) -> Void) {
        budget = Lock(SendBudget(bytes: bytes))
        self.serve = serve
    }

    /// Takes a chunk for a connection that has reserved so much so far. Its sending lock may be held: this lock is only ever
    /// taken behind that.
    func takeChunk(reserved: Int) -> Bool { budget.withLock { $0.takeChunk(reserved: reserved) } }

    /// Takes what was appended already.
    func charge(_ bytes: Int) { budget.withLock { $0.charge(bytes) } }

    /// Takes bytes back, and serves those whose turn it is. No lock may be held.
    func giveBack(_ bytes: Int) {
        guard bytes > 0 else { return }
        serveTurns { $0.giveBack(bytes) }
    }

    /// The connection's senders wait for a chunk. No lock may be held.
    func enqueue(_ number: UInt64) { serveTurns { $0.enqueue(number) } }

    /// Whoever has its turn and takes nothing leaves it to the next.
    private func serveTurns(_ change: (inout SendBudget) -> Void) {
        var next = budget.withLock { budget in
            change(&budget)
            return budget.nextTurn()
        }
        while let number = next {
            serve(number)
            next = budget.withLock { $0.nextTurn() }
        }
    }

    /// How much is left; for tests.
    var freeBytes: Int { budget.withLock { $0.available } }
}

extension Connection {
    /// Takes chunks of the node's budget until one more send may be appended; returns whether there were enough.
    func reserveMore(_ outbound: inout Outbound) -> Bool {
        while !outbound.queue.isWithinReserve {
            guard node.sendBudget.takeChunk(reserved: outbound.queue.reservedBytes) else { return false }
            outbound.queue.reserve(SendBudget.chunkBytes)
        }
        return true
    }

    /// A sender waits for room: if it is the node's budget that lacks, this connection gets a turn. No lock may be held.
    func awaitBudget() {
        let lacksBudget = outbound.withLock { outbound in
            guard !outbound.awaitsBudget, outbound.lifecycle.end == nil, !outbound.queue.isWithinReserve,
                outbound.queue.unwrittenBytes < node.sendMarks.high
            else { return false }
            outbound.awaitsBudget = true
            return true
        }
        if lacksBudget { node.sendBudget.enqueue(number) }
    }

    /// It is this connection's turn to take of the budget: wakes its senders if there is enough. No lock may be held.
    func takeBudgetTurn() {
        outbound.withLock { outbound in
            outbound.awaitsBudget = false
            // Nobody waits any more, or what is free is for others.
            guard outbound.lifecycle.end == nil, !outbound.senders.isEmpty, hasRoom(&outbound) else {
                return WaitQueue.Woken()
            }
            return outbound.senders.wakeAll()
        }.resume()
    }
}
