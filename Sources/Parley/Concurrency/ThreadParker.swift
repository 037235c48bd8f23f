#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Blocks one thread until another thread wakes it. A wake-up ends one wait. A thread that waits often takes
/// the one of its last wait again.
///
/// Deadlines are on the monotonic clock: setting the system's clock does not change them.
package final class ThreadParker: Sendable {
    /// Whether a wake-up has come that no wait has used. It has a lock because C programs are checked with
    /// helgrind, drd and ThreadSanitizer, which do not follow `sem_clockwait`. The lock shows them what came
    /// before the wake-up.
    private let isWoken = Lock(false)
    private let semaphore = Semaphore()
    /// Where the thread may be handed what it waits for; nil before the first time. The owner of the queue in
    /// which the thread waits knows its type. That queue's lock guards it, and then the wake-up.
    @exclusivity(unchecked) nonisolated(unsafe) var hand: AnyObject?

    package init() {}

    /// Wakes the thread, or lets its next wait return at once. Any thread, once for each wait.
    package func wake() {
        isWoken.withLock { $0 = true }
        // After the lock: on a busy core the woken thread runs at once, and would block on it.
        semaphore.signal()
    }

    /// Blocks until ``wake()``; false when `deadline` passes first. Nil means no deadline.
    package func wait(until deadline: MonotonicTime?) -> Bool {
        // Each wake-up sets the flag and then signals. A signal without the flag is left over from an earlier
        // wake-up.
        while semaphore.wait(until: deadline) { if useWakeUp() { return true } }
        return useWakeUp()
    }

    private func useWakeUp() -> Bool {
        isWoken.withLock { isWoken in
            defer { isWoken = false }
            return isWoken
        }
    }
}

// MARK: - Kept for a thread's next wait

extension ThreadParker {
    /// The parker that this thread has kept, or a new one.
    package static func take() -> ThreadParker {
        guard let kept = pthread_getspecific(keptKey) else { return ThreadParker() }
        pthread_setspecific(keptKey, nil)
        return Unmanaged<ThreadParker>.fromOpaque(kept).takeRetainedValue()
    }

    /// Keeps a parker for the thread's next wait. Its last wait must have used its wake-up, or nobody may be
    /// left who could wake it.
    ///
    /// The signal of a wake-up that was seen at the deadline may be unused, or may still come. The next wait
    /// then returns from the semaphore, sees that it was not woken, and blocks again.
    package static func keep(_ parker: ThreadParker) {
        guard pthread_getspecific(keptKey) == nil else { return }
        pthread_setspecific(keptKey, Unmanaged.passRetained(parker).toOpaque())
    }
}

/// Where a thread keeps a ``ThreadParker``; released when the thread ends.
private let keptKey: pthread_key_t = {
    var key = pthread_key_t()
    let status = pthread_key_create(&key) { kept in
        #if canImport(Darwin)
            Unmanaged<ThreadParker>.fromOpaque(kept).release()
        #else
            if let kept { Unmanaged<ThreadParker>.fromOpaque(kept).release() }
        #endif
    }
    precondition(status == 0, "no thread-specific key is left")
    return key
}()
