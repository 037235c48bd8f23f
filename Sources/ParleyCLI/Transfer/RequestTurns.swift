import Parley
import Synchronization

/// Which requests look into the served folder now, and which wait for their turn. A value; ``RequestTurns``
/// wakes whom it names.
///
/// Turns come in the order of arrival, but an asker without a turn goes ahead of one that has a turn already.
struct TurnLine<Key: Hashable> {
    let mostOfOne: Int
    let mostInAll: Int
    /// In the order of their arrival.
    private var waiting: [(ticket: Int, key: Key)] = []
    private var working: [Int: Key] = [:]

    init(mostOfOne: Int, mostInAll: Int) {
        self.mostOfOne = mostOfOne
        self.mostInAll = mostInAll
    }

    /// - Parameter ticket: a number that no other request has.
    mutating func add(_ ticket: Int, of key: Key) { waiting.append((ticket: ticket, key: key)) }

    /// Begins the next turn, if one may begin now. Returns its ticket.
    mutating func beginNext() -> Int? {
        guard working.count < mostInAll else { return nil }
        var turns: [Key: Int] = [:]
        for key in working.values { turns[key, default: 0] += 1 }
        let (counts, most) = (turns, mostOfOne)
        let first = waiting.firstIndex { counts[$0.key] == nil }
        guard let next = first ?? waiting.firstIndex(where: { counts[$0.key, default: 0] < most }) else {
            return nil
        }
        let begun = waiting.remove(at: next)
        working[begun.ticket] = begun.key
        return begun.ticket
    }

    /// A turn is over, or is not wanted any more.
    mutating func remove(_ ticket: Int) {
        guard working.removeValue(forKey: ticket) == nil else { return }
        waiting.removeAll { $0.ticket == ticket }
    }
}

/// Lets a few requests at a time look into the folder that is served, and not many of one peer.
final class RequestTurns: Sendable {
    static let mostOfPeer = 2
    static let mostInAll = 4

    private struct State {
        var line = TurnLine<String>(mostOfOne: RequestTurns.mostOfPeer, mostInAll: RequestTurns.mostInAll)
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]

        /// Begins every turn that may begin now.
        mutating func begin() -> [CheckedContinuation<Void, Never>] {
            var woken: [CheckedContinuation<Void, Never>] = []
            while let ticket = line.beginNext() {
                if let waiter = waiters.removeValue(forKey: ticket) { woken.append(waiter) }
            }
            return woken
        }
    }

    private let state = Mutex(State())
    private let tickets = Atomic(0)

    /// Runs `body` when it is the turn of `owner`.
    ///
    /// - Throws: what `body` throws; `CancellationError` when the task is cancelled before it begins.
    func take<Success>(of owner: String, _ body: () async throws -> Success) async throws -> Success {
        let ticket = tickets.add(1, ordering: .relaxed).newValue
        defer { end(ticket) }
        await wait(with: ticket, of: owner)
        try Task.checkCancellation()
        return try await body()
    }

    /// Returns when the turn has begun, or when the task is cancelled.
    private func wait(with ticket: Int, of owner: String) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let woken = state.withLock { state -> [CheckedContinuation<Void, Never>] in
                    // A cancellation that has come already finds no waiter.
                    guard !Task.isCancelled else { return [continuation] }
                    state.line.add(ticket, of: owner)
                    state.waiters[ticket] = continuation
                    return state.begin()
                }
                for waiter in woken { waiter.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: ticket) }?.resume()
        }
    }

    private func end(_ ticket: Int) {
        let woken = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.line.remove(ticket)
            return state.begin()
        }
        for waiter in woken { waiter.resume() }
    }
}

extension PeerStream {
    /// How often the stream is checked.
    private static let lookInterval = Duration.milliseconds(500)

    /// Runs `body`, which neither reads nor writes the stream, and cancels it when the other side has reset
    /// the stream, or is gone.
    ///
    /// - Throws: what `body` throws, or how the stream has ended.
    func whileOpen<Success: Sendable>(
        _ body: @escaping @Sendable () async throws -> Success
    ) async throws -> Success {
        try await withThrowingTaskGroup(of: Success.self) { group in
            group.addTask { try await body() }
            group.addTask { [self] in
                while true {
                    try await Task.sleep(for: Self.lookInterval)
                    try await checkOpen()
                }
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw CancellationError() }
            return first
        }
    }

    /// Makes sure that the other side may still read what this side writes.
    ///
    /// - Throws: how the stream has ended. That the other side writes nothing more is no end.
    func checkOpen() async throws {
        let nothing: ArraySlice<UInt8> = []
        try await write(nothing)
    }
}
