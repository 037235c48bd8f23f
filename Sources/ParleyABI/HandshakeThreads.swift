import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Threads for handshakes that may block. Each handshake has a thread of its own, so that silent peers delay
/// no other. A thread starts when a handshake finds none idle, and ends after a second without work: a start
/// costs more than most handshakes.
final class HandshakeThreads: Sendable {
    /// Which side made the connection. Each has its share of the threads, so that inbound connections cannot
    /// hold up a dial.
    enum Side { case inbound, outbound }

    private struct Job {
        let side: Side
        let work: @Sendable () -> Void
    }

    private struct Share {
        let maxThreads: Int
        var running = 0
        /// Handshakes beyond ``maxThreads``. The node's limits admit no more peers than that, so there are
        /// some only while `allow` does not return for peers that have ended.
        var waiting: [Job] = []
    }

    private struct State {
        var inbound: Share
        var outbound: Share
        var threads = 0
        /// LIFO: reuse the cache-warm thread.
        var idle: [JobSlot] = []
        var isStopped = false
        var stopping: [ThreadParker] = []

        subscript(side: Side) -> Share {
            get { side == .inbound ? inbound : outbound }
            set { if side == .inbound { inbound = newValue } else { outbound = newValue } }
        }
    }

    /// Holds the next job of the thread that makes it and idles. `@unchecked Sendable`: the lock of ``state``
    /// guards the job.
    private final class JobSlot: @unchecked Sendable {
        let filled = ThreadParker.take()
        var job: Job?
    }

    /// How long an idle thread waits for work.
    private static let idleTimeout = Duration.seconds(1)

    private let state: Lock<State>

    /// - Parameters:
    ///   - maxInbound: the most concurrent handshakes with peers that have dialed this node.
    ///   - maxOutbound: the same for peers that this node has dialed.
    init(maxInbound: Int, maxOutbound: Int) {
        state = Lock(
            State(inbound: Share(maxThreads: maxInbound), outbound: Share(maxThreads: maxOutbound))
        )
    }

    /// Runs `work` on a thread that may block.
    ///
    /// - Throws: `tooManyOpenFiles` when the system has no thread left, or too many handshakes wait for one;
    ///   `closed` after ``stop()``.
    func run(_ side: Side, _ work: @escaping @Sendable () -> Void) throws(ParleyError) {
        let job = Job(side: side, work: work)
        let idle = try state.withLock { state throws(ParleyError) -> JobSlot? in
            guard !state.isStopped else { throw ParleyError(.closed, "the transport is closed") }
            let share = state[side]
            guard share.running < share.maxThreads else {
                guard share.waiting.count < share.maxThreads else { throw Self.shortage }
                state[side].waiting.append(job)
                return nil
            }
            let idle = state.idle.popLast()
            if let idle {
                idle.job = job
            } else {
                let first = Lock(Optional(job))
                let status = LibraryThread.start("parley handshake") { [self] in self.work(first) }
                guard status == 0 else { throw Self.shortage }
                state.threads += 1
            }
            state[side].running += 1
            return idle
        }
        idle?.filled.wake()
    }

    /// Asks `question` on a thread that may block. The answer is no when there is no thread for it.
    func ask(_ side: Side, _ question: @escaping @Sendable () -> Bool) async -> Bool {
        await withUnsafeContinuation { continuation in
            do throws(ParleyError) {
                try run(side) { continuation.resume(returning: question()) }
            } catch { continuation.resume(returning: false) }
        }
    }

    private static var shortage: ParleyError {
        ParleyError(.tooManyOpenFiles, "the system has no thread left for a handshake")
    }

    /// Refuses further work, and blocks until all accepted work has run and all threads have ended.
    /// Idempotent.
    func stop() {
        let parker = ThreadParker()
        let idle = state.withLock { state in
            state.isStopped = true
            if state.threads == 0 { parker.wake() } else { state.stopping.append(parker) }
            defer { state.idle = [] }
            return state.idle
        }
        for slot in idle { slot.filled.wake() }
        _ = parker.wait(until: nil)
    }

    /// The main function of a thread.
    private func work(_ first: Lock<Job?>) {
        pthread_setspecific(workerKey, Unmanaged.passUnretained(self).toOpaque())
        var job = first.withLock { $0.take() }
        while let side = job?.side {
            // Released before the thread idles: it holds the peer.
            job.take()?.work()
            job = next(after: side)
        }
    }

    /// Waits for the next job of a thread that has finished one. Nil when the thread has to end.
    private func next(after side: Side) -> Job? {
        let slot = JobSlot()
        let waiting = state.withLock { state -> Job? in
            if !state[side].waiting.isEmpty { return state[side].waiting.removeFirst() }
            state[side].running -= 1
            if state.isStopped { slot.filled.wake() } else { state.idle.append(slot) }
            return nil
        }
        if let waiting { return waiting }
        if slot.filled.wait(until: .now + Self.idleTimeout) { ThreadParker.keep(slot.filled) }
        let (job, stopping) = state.withLock { state -> (Job?, [ThreadParker]) in
            state.idle.removeAll { $0 === slot }
            if let job = slot.job.take() { return (job, []) }
            state.threads -= 1
            return (nil, state.threads == 0 ? state.stopping : [])
        }
        for parker in stopping { parker.wake() }
        return job
    }

    /// Whether the caller runs on such a thread, of whatever transport: two that wait for one another's
    /// handshakes would wait for ever.
    static var isCurrent: Bool { pthread_getspecific(workerKey) != nil }
}

private let workerKey: pthread_key_t = {
    var key = pthread_key_t()
    precondition(pthread_key_create(&key, nil) == 0, "no thread-specific key is left")
    return key
}()
