/// How many bytes all peers of a node together may have unwritten: a value. ``SharedSendBudget`` is the
/// node's.
///
/// A peer's first ``freeBytes`` do not count. Beyond them it takes chunks of the budget, and gives them back
/// when its queue has drained. So a message costs one comparison, and the budget's lock is taken rarely.
///
/// The more a peer has taken, the more it leaves to others. A peer that has ``largeBytes`` takes more only
/// while half of the budget is free. So slow readers, however many, leave a part for those that come later.
struct SendBudget {
    /// What each peer has without asking, so that peers that do not read cannot block sends to others.
    static let freeBytes = 16 * 1024
    static let chunkBytes = 64 * 1024
    /// A peer that has taken this much leaves half of the budget to the others.
    static let largeBytes = 256 * 1024

    private let total: Int
    /// How many bytes are free. Negative when the last messages, which are accepted whole, exceeded the
    /// budget.
    private(set) var available: Int
    /// The numbers of the connections whose senders wait for a chunk, in the order of their requests.
    private var waiting = Line<UInt64>(keeping: 0)

    init(bytes: Int) {
        total = max(0, bytes)
        available = total
    }

    /// Takes a chunk for a connection that has reserved `reserved` bytes so far. Returns whether there was
    /// one.
    mutating func takeChunk(reserved: Int) -> Bool {
        let taken = min(max(0, reserved - Self.freeBytes), Self.largeBytes)
        let leftToOthers = Int(Double(total / 2) * Double(taken) / Double(Self.largeBytes))
        guard available - Self.chunkBytes >= leftToOthers else { return false }
        available -= Self.chunkBytes
        return true
    }

    /// Takes bytes that were already appended.
    mutating func charge(_ bytes: Int) { available -= bytes }

    mutating func giveBack(_ bytes: Int) { available += bytes }

    /// Adds a connection whose senders wait for a chunk. Each connection waits once.
    mutating func enqueue(_ number: UInt64) { waiting.append(number) }

    var waitingCount: Int { waiting.count }

    /// The number of places in the line, including empty ones. For tests.
    var placesHeld: Int { waiting.placesHeld }

    /// Removes and returns the connection whose turn it is, if there is a chunk for it.
    mutating func nextWaiting() -> UInt64? {
        available >= Self.chunkBytes ? waiting.popFirst() : nil
    }
}

/// The send budget of a node, shared by all threads.
final class SharedSendBudget: Sendable {
    private let budget: Lock<SendBudget>
    /// Lets the connection with that number take its chunk.
    private let serve: @Sendable (UInt64) -> Void

    init(bytes: Int, serve: @escaping @Sendable (UInt64) -> Void) {
        budget = Lock(SendBudget(bytes: bytes))
        self.serve = serve
    }

    /// Takes a chunk for a connection that has reserved `reserved` bytes so far. The caller may hold the
    /// connection's sending lock: this lock is always the second one.
    func takeChunk(reserved: Int) -> Bool { budget.withLock { $0.takeChunk(reserved: reserved) } }

    /// Takes bytes that were already appended.
    func charge(_ bytes: Int) { budget.withLock { $0.charge(bytes) } }

    /// Returns bytes and serves the waiting connections. No lock may be held.
    func giveBack(_ bytes: Int) {
        guard bytes > 0 else { return }
        serveWaiting { $0.giveBack(bytes) }
    }

    /// Adds a connection whose senders wait for a chunk. No lock may be held.
    func enqueue(_ number: UInt64) { serveWaiting { $0.enqueue(number) } }

    /// Serves connections while there are chunks. One that takes none leaves it to the next.
    private func serveWaiting(_ change: (inout SendBudget) -> Void) {
        var next = budget.withLock { budget in
            change(&budget)
            return budget.nextWaiting()
        }
        while let number = next {
            serve(number)
            next = budget.withLock { $0.nextWaiting() }
        }
    }

    /// How many bytes are free, for tests.
    var freeBytes: Int { budget.withLock { $0.available } }

    /// How many connections wait for their turn, for tests.
    var waitingCount: Int { budget.withLock { $0.waitingCount } }
}

extension Connection {
    /// Takes chunks of the node's budget until one more send may be appended. Returns whether there were
    /// enough.
    func reserveMore(_ outbound: inout Outbound) -> Bool {
        while !outbound.queue.isWithinReserve {
            guard node.sendBudget.takeChunk(reserved: outbound.queue.reservedBytes) else { return false }
            outbound.queue.reserve(SendBudget.chunkBytes)
        }
        return true
    }

    /// Requests a turn for a sender that waits for room, if the node's budget is what it lacks. No lock may
    /// be held.
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

    /// Wakes the senders if the node's budget has room for them. It is this connection's turn. No lock may be
    /// held.
    func budgetHasRoom() {
        multiplexed?.budgetHasRoom()
        outbound.withLock { outbound in
            outbound.awaitsBudget = false
            // No sender waits any more, or the free bytes are reserved for others.
            guard outbound.lifecycle.end == nil, !outbound.sendWaiters.isEmpty, hasRoom(&outbound) else {
                return WaitQueue.Woken()
            }
            return outbound.sendWaiters.wakeAll()
        }.resume()
    }
}
