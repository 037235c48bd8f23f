import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Threads for handshakes that may block: each has one of its own, so that silent peers delay nobody. A
/// thread is started when a handshake finds none idle, and ends after a second without work: starting one
/// costs more than most handshakes.
final class HandshakeThreads: Sendable {
    /// Who made the connection. Each side has its share of the threads, so that strangers cannot hold up a
    /// dial.
    enum Side { case inbound, outbound }

    private struct Job {
        let side: Side
        let work: @Sendable () -> Void
    }

    private struct Share {
        let maxThreads: Int
        var running = 0
        /// Handshakes beyond ``maxThreads``. The node's limits admit no more peers than that, so there are
        /// some only while callbacks whose peers have gone already do not return.
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

    /// Where a thread finds its next job, for a new thread the first. `@unchecked Sendable`: the lock of
    /// ``state`` guards the job, but for a new thread, which nobody else knows yet.
    private final class JobSlot: @unchecked Sendable {
        let filled = ThreadParker()
        var job: Job?

        init(_ job: Job? = nil) { self.job = job }
    }

    /// How long a thread waits for more to do.
    private static let patience = Duration.seconds(1)

    private let state: Lock<State>

    /// - Parameters:
    ///   - maxInbound: how many handshakes run at once with peers that have dialed this node.
    ///   - maxOutbound: the same for peers that this node has dialed.
    init(maxInbound: Int, maxOutbound: Int) {
        state = Lock(
            State(inbound: Share(maxThreads: maxInbound), outbound: Share(maxThreads: maxOutbound))
        )
    }

    /// Runs `work` on a thread where blocking does no harm.
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
                guard startThread(job) else { throw Self.shortage }
                state.threads += 1
            }
            state[side].running += 1
            return idle
        }
        idle?.filled.wake()
    }

    private static var shortage: ParleyError {
        ParleyError(.tooManyOpenFiles, "the system has no thread left for a handshake")
    }

    /// Refuses more work, and blocks until nothing runs and nothing waits. Idempotent.
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

    /// What each thread does, beginning with the job in `slot`.
    private func work(_ slot: JobSlot) {
        pthread_setspecific(workerKey, Unmanaged.passUnretained(self).toOpaque())
        var job = slot.job.take()
        while let side = job?.side {
            // Released before the thread idles: it holds the peer.
            job.take()?.work()
            job = next(after: side)
        }
    }

    /// The next job of a thread that has finished one; nil when the thread is to end.
    private func next(after side: Side) -> Job? {
        let slot = JobSlot()
        let waiting = state.withLock { state -> Job? in
            if !state[side].waiting.isEmpty { return state[side].waiting.removeFirst() }
            state[side].running -= 1
            if state.isStopped { slot.filled.wake() } else { state.idle.append(slot) }
            return nil
        }
        if let waiting { return waiting }
        _ = slot.filled.wait(until: .now + Self.patience)
        let (job, stopping) = state.withLock { state -> (Job?, [ThreadParker]) in
            state.idle.removeAll { $0 === slot }
            if let job = slot.job.take() { return (job, []) }
            state.threads -= 1
            return (nil, state.threads == 0 ? state.stopping : [])
        }
        for parker in stopping { parker.wake() }
        return job
    }

    /// Whether this is one of the threads.
    var isCurrent: Bool { pthread_getspecific(workerKey) == Unmanaged.passUnretained(self).toOpaque() }
}

private let workerKey: pthread_key_t = {
    var key = pthread_key_t()
    precondition(pthread_key_create(&key, nil) == 0, "no thread-specific key is left")
    return key
}()

extension HandshakeThreads {
    private func startThread(_ job: Job) -> Bool {
        let context = Unmanaged.passRetained(Entry(self, JobSlot(job))).toOpaque()
        #if canImport(Darwin)
            var thread: pthread_t?
            let status = pthread_create(&thread, nil, { HandshakeThreads.enter($0) }, context)
            if status == 0, let thread { pthread_detach(thread) }
        #else
            var thread = pthread_t()
            let status = pthread_create(&thread, nil, { HandshakeThreads.enter($0!) }, context)
            if status == 0 { pthread_detach(thread) }
        #endif
        if status != 0 { Unmanaged<Entry>.fromOpaque(context).release() }
        return status == 0
    }

    /// What a new thread is handed.
    private final class Entry {
        let threads: HandshakeThreads
        let slot: JobSlot

        init(_ threads: HandshakeThreads, _ slot: JobSlot) {
            self.threads = threads
            self.slot = slot
        }
    }

    private static func enter(_ context: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        let entry = Unmanaged<Entry>.fromOpaque(context).takeRetainedValue()
        entry.threads.work(entry.slot)
        return nil
    }
}
