import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Threads for callbacks that may block: as many as there is work for, up to a limit; more work waits. A thread ends
/// when nothing is left to do.
final class Workers: Sendable {
    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var threads = 0
        var isStopped = false
        var idleParkers: [ThreadParker] = []
    }

    private static let maxThreads = 64

    private let state = Lock(State())

    /// Runs `work` on a thread where blocking does no harm.
    ///
    /// - Throws: `tooManyOpenFiles` when the system has no thread left, `closed` behind ``stop()``.
    func run(_ work: @escaping @Sendable () -> Void) throws(ParleyError) {
        try state.withLock { state throws(ParleyError) in
            guard !state.isStopped else { throw ParleyError(.closed, "the transport is closed") }
            if state.threads < Self.maxThreads, startThread() { state.threads += 1 }
            // Without a new one, those there are come to it.
            guard state.threads > 0 else {
                throw ParleyError(.tooManyOpenFiles, "the system has no thread left for a handshake")
            }
            state.waiting.append(work)
        }
    }

    /// Refuses more work, and blocks until nothing runs and nothing waits. Idempotent.
    func stop() {
        let parker: ThreadParker? = state.withLock { state in
            state.isStopped = true
            guard state.threads > 0 else { return nil }
            let parker = ThreadParker()
            state.idleParkers.append(parker)
            return parker
        }
        _ = parker?.wait(until: nil)
    }

    private func work() {
        pthread_setspecific(workerKey, Unmanaged.passUnretained(self).toOpaque())
        while true {
            let (next, woken): ((@Sendable () -> Void)?, [ThreadParker]) = state.withLock { state in
                if !state.waiting.isEmpty { return (state.waiting.removeFirst(), []) }
                state.threads -= 1
                guard state.threads == 0 else { return (nil, []) }
                defer { state.idleParkers = [] }
                return (nil, state.idleParkers)
            }
            for parker in woken { parker.tell() }
            guard let next else { return }
            next()
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

extension Workers {
    private func startThread() -> Bool {
        let context = Unmanaged.passRetained(self).toOpaque()
        #if canImport(Darwin)
            var thread: pthread_t?
            let status = pthread_create(&thread, nil, { Workers.enter($0) }, context)
            if status == 0, let thread { pthread_detach(thread) }
        #else
            var thread = pthread_t()
            let status = pthread_create(&thread, nil, { Workers.enter($0!) }, context)
            if status == 0 { pthread_detach(thread) }
        #endif
        if status != 0 { Unmanaged<Workers>.fromOpaque(context).release() }
        return status == 0
    }

    private static func enter(_ context: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        Unmanaged<Workers>.fromOpaque(context).takeRetainedValue().work()
        return nil
    }
}
