import Dispatch
import Parley
import Synchronization

/// A few threads for calls that may block on a disk. On Swift's own threads, of which there is one for each
/// processor, such calls would hold up everything else: the handshakes of those who come, and the end of the
/// process.
final class FileThreads: Sendable {
    /// For the opening of files that are sent. Apart from the walks, which may take long.
    static let opens = FileThreads(atMost: 4)

    private typealias Job = @Sendable () -> Void

    private struct State {
        /// What no thread has begun, in the order of the calls.
        var jobs: [Job] = []
        var threads = 0
    }

    private let mostThreads: Int
    private let state = Lock(State())

    /// - Parameter mostThreads: so many works run at a time; others wait for their turn.
    init(atMost mostThreads: Int) { self.mostThreads = mostThreads }

    /// Runs `work` on a thread that may block, and waits until it is done.
    ///
    /// - Parameter work: looks at the sign now and then, and returns early when it is set: the task is
    ///   cancelled then. Work that has not begun by then does not begin.
    /// - Throws: what `work` throws, or `CancellationError` when it was to stop.
    func run<Success: Sendable>(
        _ work: @escaping @Sendable (StopSign) throws -> Success
    ) async throws -> Success {
        let stop = StopSign()
        // Added behind the handler: a task that is cancelled already sets the sign first.
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (done: CheckedContinuation<Success, any Error>) in
                add {
                    done.resume(
                        with: Result {
                            try stop.check()
                            let success = try work(stop)
                            // What stops early has no result: it would look whole.
                            try stop.check()
                            return success
                        }
                    )
                }
            }
        } onCancel: {
            stop.set()
        }
    }

    private func add(_ job: @escaping Job) {
        let needsThread = state.withLock { state -> Bool in
            state.jobs.append(job)
            guard state.threads < mostThreads else { return false }
            state.threads += 1
            return true
        }
        // A queue of its own is a thread of its own.
        if needsThread { DispatchQueue(label: "parley.files").async { self.work() } }
    }

    /// Does what is to be done, until there is nothing.
    private func work() { while let job = next() { job() } }

    private func next() -> Job? {
        state.withLock { state -> Job? in
            guard !state.jobs.isEmpty else {
                state.threads -= 1
                return nil
            }
            // Not from a slice: that would keep the job, and with it the file that it has opened.
            return state.jobs.removeFirst()
        }
    }
}

/// Tells work on another thread to stop.
final class StopSign: Sendable {
    private let isRaised = Atomic(false)

    var isSet: Bool { isRaised.load(ordering: .relaxed) }

    func set() { isRaised.store(true, ordering: .relaxed) }

    fileprivate func check() throws {
        if isSet { throw CancellationError() }
    }
}

/// Hands a value that is not `Sendable` to another thread and back. Whoever hands it over does not touch it
/// until the work is done: ``FileThreads/run(_:)`` waits for that.
struct Handed<Value>: @unchecked Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }
}
