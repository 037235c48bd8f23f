#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// State and the mutex that guards it. The state is reachable only with the mutex held. Copies share both.
///
/// It uses `pthread_mutex_t` instead of `Synchronization.Mutex`, because ThreadSanitizer on Linux sees only
/// the former. Mutex and state are one object, because neither may move and an idle peer has to be small. The
/// state is accessed by pointer, which avoids a class's runtime checks for overlapping accesses; the mutex
/// makes them unnecessary.
///
/// Rule: make no outward call while it is held. Collect what is to be done, unlock, then do it.
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

    package init(_ initial: consuming State) {
        storage = Storage.create(minimumCapacity: 1) { _ in pthread_mutex_t() }
        // Not in the closure: there the state would be copied instead of moved.
        let (mutex, state) = storage.withUnsafeMutablePointers { ($0, $1) }
        precondition(pthread_mutex_init(mutex, nil) == 0, "out of memory for a mutex")
        state.initialize(to: initial)
    }

    @inline(__always)
    package func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try storage.withUnsafeMutablePointers { (mutex, state) throws(Failure) in
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            return try body(&state.pointee)
        }
    }
}
