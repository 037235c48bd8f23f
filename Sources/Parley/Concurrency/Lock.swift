#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// State and the mutex that guards it: there is no other way to the state. Copies share both.
///
/// A `pthread_mutex_t` and not `Synchronization.Mutex`, because ThreadSanitizer on Linux sees the former and not
/// the latter. Mutex and state are one object: neither may move, and an idle peer should be small. Reached by pointer, the
/// state also costs none of the checks for overlapping accesses that a class makes: the mutex is that check.
///
/// Rule: nothing is called out to while it is held; collect what is to be done, unlock, do it.
package struct Lock<State>: @unchecked Sendable {
    private let storage: ManagedBuffer<pthread_mutex_t, State>

    private final class Storage: ManagedBuffer<pthread_mutex_t, State> {
        deinit {
            withUnsafeMutablePointers { mutex, state in
                state.deinitialize(count: 1)
                pthread_mutex_destroy(mutex)
            }
        }
    }

    package init(_ initial: State) {
        storage = Storage.create(minimumCapacity: 1) { _ in pthread_mutex_t() }
        storage.withUnsafeMutablePointers { mutex, state in
            precondition(pthread_mutex_init(mutex, nil) == 0, "out of memory for a mutex")
            state.initialize(to: initial)
        }
    }

    @inline(__always)
    package func withLock<Result, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try storage.withUnsafeMutablePointers { (mutex, state) throws(Failure) in
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            return try body(&state.pointee)
        }
    }
}
