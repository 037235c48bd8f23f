import Synchronization

/// Ends work with another node that answers nothing, though its connection lives.
final class StallWatch: Sendable {
    private let limit: Duration
    private let moves = Atomic(0)

    /// - Parameter limit: how long nothing may move. It is noticed within twice that time.
    init(limit: Duration) { self.limit = limit }

    /// Something has arrived.
    func hasMoved() { moves.add(1, ordering: .relaxed) }

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
                    let now = moves.load(ordering: .relaxed)
                    guard now != seen else { return nil }
                    seen = now
                    try await Task.sleep(for: limit)
                }
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let result = first else { throw failure }
            return result
        }
    }
}
