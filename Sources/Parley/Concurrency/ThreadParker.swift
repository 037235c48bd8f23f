#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Blocks one thread until another thread wakes it. Used once, by one blocking call; a thread that waits
/// often takes the one of its last wait again.
///
/// Deadlines are on the monotonic clock: setting the system's clock does not change them.
package final class ThreadParker: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var isWoken = false

    package init() {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        let isReady = pthread_mutex_init(mutex, nil) == 0 && Self.initialize(condition)
        precondition(isReady, "out of memory for a condition variable")
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Wakes the thread, or lets its next wait return at once. Any thread.
    package func wake() {
        pthread_mutex_lock(mutex)
        isWoken = true
        // Under the mutex: helgrind and drd call a signal without it a fault, and C programs are checked with
        // them. The price: on a busy core the woken thread runs at once, and blocks on the mutex.
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Blocks until ``wake()``; false when `deadline` passes first. Nil means no deadline.
    package func wait(until deadline: MonotonicTime?) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !isWoken {
            guard let deadline else {
                pthread_cond_wait(condition, mutex)
                continue
            }
            let left = MonotonicTime.now.duration(to: deadline)
            guard left > .zero else { return false }
            wait(atMost: left)
        }
        return true
    }

    #if canImport(Darwin)
        private static func initialize(_ condition: UnsafeMutablePointer<pthread_cond_t>) -> Bool {
            pthread_cond_init(condition, nil) == 0
        }

        private func wait(atMost duration: Duration) {
            var time = timespec(duration)
            pthread_cond_timedwait_relative_np(condition, mutex, &time)
        }
    #else
        private static func initialize(_ condition: UnsafeMutablePointer<pthread_cond_t>) -> Bool {
            var attributes = pthread_condattr_t()
            guard pthread_condattr_init(&attributes) == 0 else { return false }
            defer { pthread_condattr_destroy(&attributes) }
            return pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0
                && pthread_cond_init(condition, &attributes) == 0
        }

        private func wait(atMost duration: Duration) {
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC, &now)
            var time = timespec(duration)
            time.tv_sec += now.tv_sec
            time.tv_nsec += now.tv_nsec
            if time.tv_nsec >= 1_000_000_000 {
                time.tv_nsec -= 1_000_000_000
                time.tv_sec += 1
            }
            pthread_cond_timedwait(condition, mutex, &time)
        }
    #endif
}

// MARK: - Kept for a thread's next wait

extension ThreadParker {
    /// The parker that this thread has kept, or a new one.
    static func take() -> ThreadParker {
        guard let kept = pthread_getspecific(keptKey) else { return ThreadParker() }
        pthread_setspecific(keptKey, nil)
        return Unmanaged<ThreadParker>.fromOpaque(kept).takeRetainedValue()
    }

    /// Keeps a parker for the thread's next wait, unless another thread still has it.
    static func keep(_ parker: inout ThreadParker?) {
        guard isKnownUniquelyReferenced(&parker), pthread_getspecific(keptKey) == nil,
            let kept = parker.take()
        else { return }
        kept.isWoken = false
        pthread_setspecific(keptKey, Unmanaged.passRetained(kept).toOpaque())
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

extension timespec {
    /// Clamped to about three centuries, so that adding the current time cannot overflow.
    fileprivate init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(tv_sec: Int(min(seconds, 9_000_000_000)), tv_nsec: Int(attoseconds / 1_000_000_000))
    }
}
