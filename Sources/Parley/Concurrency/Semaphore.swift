#if canImport(Glibc)
    // CLibUV for sem_clockwait: the Glibc module does not declare it, the shim of CLibUV does.
    import CLibUV
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// One thread blocks on it until another thread signals it. A wait that begins after the signal returns at
/// once.
///
/// Deadlines are on the monotonic clock: setting the system's clock does not change them.
///
/// Source: sem_post(3), sem_clockwait(3). Where the C library has no `sem_clockwait`, a condition variable
/// takes its place.
struct Semaphore: ~Copyable, @unchecked Sendable {
    #if canImport(Glibc)
        private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

        init() {
            semaphore.initialize(to: sem_t())
            precondition(sem_init(semaphore, 0, 0) == 0, "a semaphore of one process can always be made")
        }

        deinit {
            sem_destroy(semaphore)
            semaphore.deallocate()
        }

        /// Lets one wait return: the one that blocks now, or the next one. Any thread.
        func signal() { sem_post(semaphore) }

        /// Blocks until a signal. It may also return true without one, when the thread handles a Unix signal.
        ///
        /// - Parameter deadline: nil means that it waits for ever.
        /// - Returns: false when the deadline passes first.
        func wait(until deadline: MonotonicTime?) -> Bool {
            guard let deadline else {
                sem_wait(semaphore)
                return true
            }
            var time = timespec(deadline)
            return sem_clockwait(semaphore, CLOCK_MONOTONIC, &time) == 0 || errno == EINTR
        }
    #else
        private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        private let isSignalled = UnsafeMutablePointer<Bool>.allocate(capacity: 1)

        init() {
            mutex.initialize(to: pthread_mutex_t())
            condition.initialize(to: pthread_cond_t())
            isSignalled.initialize(to: false)
            let isReady = pthread_mutex_init(mutex, nil) == 0 && Self.initialize(condition)
            precondition(isReady, "out of memory for a condition variable")
        }

        deinit {
            pthread_cond_destroy(condition)
            pthread_mutex_destroy(mutex)
            isSignalled.deallocate()
            condition.deallocate()
            mutex.deallocate()
        }

        /// Lets one wait return: the one that blocks now, or the next one. Any thread.
        func signal() {
            pthread_mutex_lock(mutex)
            isSignalled.pointee = true
            pthread_cond_signal(condition)
            pthread_mutex_unlock(mutex)
        }

        /// Blocks until a signal.
        ///
        /// - Parameter deadline: nil means that it waits for ever.
        /// - Returns: false when the deadline passes first.
        func wait(until deadline: MonotonicTime?) -> Bool {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            while !isSignalled.pointee {
                guard let deadline else {
                    pthread_cond_wait(condition, mutex)
                    continue
                }
                guard MonotonicTime.now < deadline else { return false }
                block(until: deadline)
            }
            isSignalled.pointee = false
            return true
        }

        #if canImport(Darwin)
            private static func initialize(_ condition: UnsafeMutablePointer<pthread_cond_t>) -> Bool {
                pthread_cond_init(condition, nil) == 0
            }

            private func block(until deadline: MonotonicTime) {
                var time = timespec(deadline, since: .now)
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

            private func block(until deadline: MonotonicTime) {
                var time = timespec(deadline)
                pthread_cond_timedwait(condition, mutex, &time)
            }
        #endif
    #endif
}
