import Synchronization

/// Ends work with another node that answers nothing, though its connection lives.
final class StallWatch: Sendable {
    private let limit: Duration
    private let sleep: @Sendable (Duration) async throws -> Void
    private let moves = Atomic(0)
    private let isPaused = Atomic(false)

    /// - Parameters:
    ///   - limit: how long nothing may move. It is noticed within twice that time.
    ///   - sleep: waits between two looks.
    init(
        limit: Duration,
        sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) {
        self.limit = limit
        self.sleep = sleep
    }

    /// Something has arrived.
    func hasMoved() { moves.add(1, ordering: .relaxed) }

    /// Stops counting while this side works on what has arrived.
    func pause() { isPaused.store(true, ordering: .relaxed) }

    /// Counts again, from now on.
    func goOn() {
        hasMoved()
        isPaused.store(false, ordering: .releasing)
    }

    /// Runs `body`, and cancels it when nothing has moved for too long.
    ///
    /// - Throws: `failure` then, or what `body` throws.
    func run<Result: Sendable>(
        failingWith failure: Failure,
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask { [self] in
                var seen = -1
                while true {
                    // In this order: when the pause is over, its end is seen as a move.
                    let isPaused = isPaused.load(ordering: .acquiring)
                    let now = moves.load(ordering: .relaxed)
                    guard now != seen || isPaused else { return nil }
                    seen = now
                    try await sleep(limit)
                }
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let result = first else { throw failure }
            return result
        }
    }
}
