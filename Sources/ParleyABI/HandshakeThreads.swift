import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Threads for callbacks that may block: as many as there is work for, up to a limit; more work waits. A thread with
/// nothing left to do stays for a while, since to start one costs more than most handshakes.
final class HandshakeThreads: Sendable {
    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var threads = 0
        /// Threads that have nothing to do, the last one to become so at the end: it is the one that the caches know.
        var idle: [ThreadParker] = []
        var isStopped = false
        var stopping: [ThreadParker] = []
    }

    private static let maxThreads = 64
    /// How long a thread waits for more to do.
    private static let patience = Duration.seconds(1)

    private let state = Lock(State())

    /// Runs `work` on a thread where blocking does no harm.
    ///
    /// - Throws: `tooManyOpenFiles` when the system has no thread left, `closed` behind ``stop()``.
    func run(_ work: @escaping @Sendable () -> Void) throws(ParleyError) {
        let idle = try state.withLock { state throws(ParleyError) -> ThreadParker? in
            guard !state.isStopped else { throw ParleyError(.closed, "the transport is closed") }
            let idle = state.idle.popLast()
            if idle == nil, state.threads < Self.maxThreads, startThread() { state.threads += 1 }
            // Without a new one, those there are come to it.
            guard state.threads > 0 else {
                throw ParleyError(.tooManyOpenFiles, "the system has no thread left for a handshake")
            }
            state.waiting.append(work)
            return idle
        }
        idle?.wake()
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
        for thread in idle { thread.wake() }
        _ = parker.wait(until: nil)
    }

    private func work() {
        pthread_setspecific(workerKey, Unmanaged.passUnretained(self).toOpaque())
        var isPatient = true
        while true {
            switch next(isPatient) {
            case .work(let work):
                work()
                isPatient = true
            case .wait(let parker):
                isPatient = parker.wait(until: .now + Self.patience)
                if !isPatient { state.withLock { $0.idle.removeAll { $0 === parker } } }
            case .end(let stopping):
                for parker in stopping { parker.wake() }
                return
            }
        }
    }

    private enum Next {
        case work(@Sendable () -> Void)
        case wait(ThreadParker)
        /// It does not count any more; these wait for the last one.
        case end([ThreadParker])
    }

    private func next(_ isPatient: Bool) -> Next {
        state.withLock { state in
            if !state.waiting.isEmpty { return .work(state.waiting.removeFirst()) }
            if isPatient, !state.isStopped {
                let parker = ThreadParker()
                state.idle.append(parker)
                return .wait(parker)
            }
            state.threads -= 1
            return .end(state.threads == 0 ? state.stopping : [])
        }
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
    private func startThread() -> Bool {
        let context = Unmanaged.passRetained(self).toOpaque()
        #if canImport(Darwin)
            var thread: pthread_t?
            let status = pthread_create(&thread, nil, { HandshakeThreads.enter($0) }, context)
            if status == 0, let thread { pthread_detach(thread) }
        #else
            var thread = pthread_t()
            let status = pthread_create(&thread, nil, { HandshakeThreads.enter($0!) }, context)
            if status == 0 { pthread_detach(thread) }
        #endif
        if status != 0 { Unmanaged<HandshakeThreads>.fromOpaque(context).release() }
        return status == 0
    }

    private static func enter(_ context: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        Unmanaged<HandshakeThreads>.fromOpaque(context).takeRetainedValue().work()
        return nil
    }
}
