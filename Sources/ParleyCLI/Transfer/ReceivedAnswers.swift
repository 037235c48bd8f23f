import Synchronization

/// What the receiver has said so far, for the task that sends.
final class ReceivedAnswers: Sendable {
    /// Why an entry is not stored.
    enum Unwanted { case refused(String), failed(String) }

    private struct State {
        var unwanted: [Int: Unwanted] = [:]
        var isOver = false
        var failure: (any Error)?
        /// What the receiver has of the last file that it was asked about.
        var have: (entry: Int, hashes: [UInt64])?
        /// How often a wait for hashes was interrupted, so that something can be done meanwhile.
        var interruptions = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// In the order of the entries.
    var unwanted: [(Int, Unwanted)] { state.withLock { Array($0.unwanted) }.sorted { $0.0 < $1.0 } }

    /// Makes sure that the receiver takes what is sent.
    ///
    /// - Throws: why it says nothing more, when that is so before all was sent.
    func checkOpen() throws {
        let (isOver, failure) = state.withLock { ($0.isOver, $0.failure) }
        if let failure { throw failure }
        guard isOver else { return }
        throw Failure("the receiver answered before all was sent; is it parley receive?")
    }

    func isWanted(_ entry: Int) -> Bool { state.withLock { $0.unwanted[entry] == nil } }

    func add(_ answer: Unwanted, about entry: Int) { change { $0.unwanted[entry] = answer } }

    /// - Parameter hashes: of what the receiver has of the file that is to be sent next.
    func add(_ hashes: [UInt64], of entry: Int) { change { $0.have = (entry, hashes) } }

    func end(_ failure: (any Error)?) {
        change { state in
            guard !state.isOver else { return }
            state.isOver = true
            state.failure = failure
        }
    }

    /// Why the receiver says nothing more; waits until that is known. Nil when it has stored everything.
    var failure: (any Error)? {
        get async {
            await wait { $0.isOver ? true : nil }
            return state.withLock { $0.failure }
        }
    }

    /// The hashes of what the receiver has of a file; waits for them. Nil when it does not want the file, or
    /// says nothing more: see ``checkOpen()``.
    ///
    /// - Parameters:
    ///   - limit: how long the receiver may take. Then it has failed.
    ///   - interval: how often `meanwhile` is called.
    func have(
        of entry: Int,
        within limit: Duration,
        each interval: Duration,
        _ meanwhile: () async throws -> Void
    ) async throws -> [UInt64]? {
        let clock = Task<Void, any Error> { [self] in
            let start = ContinuousClock.now
            while true {
                try await Task.sleep(for: interval)
                if start.duration(to: .now) >= limit {
                    end(Failure("the receiver has not answered for \(limit)"))
                }
                change { $0.interruptions += 1 }
            }
        }
        defer { clock.cancel() }
        var seen = state.withLock { $0.interruptions }
        while true {
            let last = seen
            let outcome: Wait = await wait { state -> Wait? in
                if let have = state.have, have.entry == entry { return .known(have.hashes) }
                if state.isOver || state.unwanted[entry] != nil { return .known(nil) }
                return state.interruptions > last ? .interrupted(state.interruptions) : nil
            }
            switch outcome {
            case .known(let hashes): return hashes
            case .interrupted(let number): seen = number
            }
            try await meanwhile()
        }
    }

    private enum Wait { case known([UInt64]?), interrupted(Int) }

    private func change(_ body: (inout State) -> Void) {
        let waiting = state.withLock { state in
            body(&state)
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Waits until `answer` returns something.
    @discardableResult
    private func wait<Answer>(for answer: (State) -> Answer?) async -> Answer {
        while true {
            if let answer = state.withLock({ answer($0) }) { return answer }
            await withCheckedContinuation { continuation in
                let isKnown = state.withLock { state in
                    guard answer(state) == nil else { return true }
                    state.waiting.append(continuation)
                    return false
                }
                if isKnown { continuation.resume() }
            }
        }
    }
}
