import CLibUV

/// A thread that waits to be told something, once: what a blocking call is made of.
///
/// Source: <https://docs.libuv.org/en/v1.x/threading.html>; libuv's condition variables count monotonic time.
package final class ThreadParker: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<uv_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<uv_cond_t>.allocate(capacity: 1)
    private var isTold = false

    package init() {
        let isReady = uv_mutex_init(mutex) == 0 && uv_cond_init(condition) == 0
        precondition(isReady, "out of memory for a condition variable")
    }

    deinit {
        uv_cond_destroy(condition)
        uv_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Lets the thread go on, whether it waits already or not. Any thread.
    package func tell() {
        uv_mutex_lock(mutex)
        isTold = true
        uv_cond_signal(condition)
        uv_mutex_unlock(mutex)
    }

    /// Waits for ``tell()``; false when `deadline` passes first. Nil is never.
    package func wait(until deadline: Moment?) -> Bool {
        uv_mutex_lock(mutex)
        defer { uv_mutex_unlock(mutex) }
        while !isTold {
            guard let deadline else {
                uv_cond_wait(condition, mutex)
                continue
            }
            let left = Moment.now.duration(to: deadline)
            guard left > .zero else { return false }
            _ = uv_cond_timedwait(condition, mutex, left.wholeNanoseconds)
        }
        return true
    }
}

extension Duration {
    /// Rounded up, and at most about three centuries.
    fileprivate var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds < 9_000_000_000 else { return 9_000_000_000_000_000_000 }
        return UInt64(clamping: seconds) &* 1_000_000_000 &+ UInt64(clamping: attoseconds / 1_000_000_000 + 1)
    }
}
