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
    /// The numbers of the connections whose senders wait for a chunk, in the order of their requests. Those
    /// that have taken too much for what is free now stay, behind the others.
    private var waiting = Line<UInt64>(keeping: 0)
    /// What each of them had reserved when it asked last. Those that are not here wait no longer.
    private var reserved: [UInt64: Int] = [:]

    init(bytes: Int) {
        total = max(0, bytes)
        available = total
    }

    /// Takes a chunk for a connection that has reserved `reserved` bytes so far. Returns whether there was
    /// one.
    mutating func takeChunk(reserved: Int) -> Bool {
        guard hasChunk(reserved: reserved) else { return false }
        available -= Self.chunkBytes
        return true
    }

    private func hasChunk(reserved: Int) -> Bool {
        let taken = min(max(0, reserved - Self.freeBytes), Self.largeBytes)
        let leftToOthers = Int(Double(total / 2) * Double(taken) / Double(Self.largeBytes))
        return available - Self.chunkBytes >= leftToOthers
    }

    /// Takes bytes that were already appended.
    mutating func charge(_ bytes: Int) { available -= bytes }

    mutating func giveBack(_ bytes: Int) { available += bytes }

    /// Adds a connection whose senders wait for a chunk, and which has reserved `reserved` bytes so far. Each
    /// connection waits once.
    mutating func enqueue(_ number: UInt64, reserved bytes: Int) {
        if reserved.updateValue(bytes, forKey: number) == nil { waiting.append(number) }
    }

    /// The connection has ended.
    mutating func forget(_ number: UInt64) { reserved[number] = nil }

    var waitingCount: Int { reserved.count }

    /// The number of places in the line, including empty ones. For tests.
    var placesHeld: Int { waiting.placesHeld }

    /// Removes and returns the connection whose turn it is, if there is a chunk for it.
    mutating func nextWaiting() -> UInt64? {
        guard available >= Self.chunkBytes else { return nil }
        for _ in 0..<waiting.count {
            guard let next = waiting.popFirst() else { break }
            guard let bytes = reserved[next] else { continue }
            if hasChunk(reserved: bytes) {
                reserved[next] = nil
                return next
            }
            waiting.append(next)
        }
        return nil
    }
}

/// The send budget of a node, shared by all threads.
final class SharedSendBudget: Sendable {
    private let budget: Lock<SendBudget>
    /// Lets the connection with that number take its chunk. Returns what it has reserved when it still has to
    /// wait; otherwise nil.
    private let serve: @Sendable (UInt64) -> Int?

    init(bytes: Int, serve: @escaping @Sendable (UInt64) -> Int?) {
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
    func enqueue(_ number: UInt64, reserved: Int) {
        serveWaiting { $0.enqueue(number, reserved: reserved) }
    }

    /// Removes a connection that has ended.
    func forget(_ number: UInt64) { budget.withLock { $0.forget(number) } }

    /// Serves connections while there are chunks. One that takes none leaves it to the next.
    private func serveWaiting(_ change: (inout SendBudget) -> Void) {
        var next = budget.withLock { budget in
            change(&budget)
            return budget.nextWaiting()
        }
        while let number = next {
            let reserved = serve(number)
            next = budget.withLock { budget in
                if let reserved { budget.enqueue(number, reserved: reserved) }
                return budget.nextWaiting()
            }
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
        let reserved = outbound.withLock { outbound -> Int? in
            guard !outbound.awaitsBudget, outbound.lifecycle.end == nil, !outbound.queue.isWithinReserve,
                outbound.queue.unwrittenBytes < node.sendMarks.high
            else { return nil }
            outbound.awaitsBudget = true
            return outbound.queue.reservedBytes
        }
        if let reserved { node.sendBudget.enqueue(number, reserved: reserved) }
    }

    /// Wakes the senders if the node's budget has room for them. It is this connection's turn. No lock may be
    /// held.
    ///
    /// - Returns: what it has reserved when it waits for more of the budget; otherwise nil.
    func budgetHasRoom() -> Int? {
        let ofStreams = multiplexed?.budgetHasRoom()
        let (woken, reserved) = outbound.withLock { outbound -> (WaitQueue.Woken, Int?) in
            outbound.awaitsBudget = false
            let isAwaited = outbound.queue.waitingForRoom > 0 || !outbound.sendWaiters.isEmpty
            guard outbound.lifecycle.end == nil, isAwaited else { return (WaitQueue.Woken(), nil) }
            // A sender that has counted itself and does not wait yet sees the new epoch.
            guard !hasRoom(&outbound) else { return (outbound.sendWaiters.wakeAll(), nil) }
            // Without room at the link its own writes wake the senders.
            outbound.awaitsBudget = outbound.queue.unwrittenBytes < node.sendMarks.high
            return (WaitQueue.Woken(), outbound.awaitsBudget ? outbound.queue.reservedBytes : nil)
        }
        woken.resume()
        // Those who have taken less are served first.
        return [reserved, ofStreams].compactMap(\.self).min()
    }
}
