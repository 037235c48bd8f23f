// A timer for long intervals that costs the loop's polls nothing.

import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A one-shot timer that adds no cost to the loop's polls, for long intervals. The loop's thread only.
///
/// While a libuv timer runs, every poll has a time-out, which the kernel sets up and removes each time: about
/// 7 % of a round trip. A timerfd(2) is set once. Where timerfd does not exist, or no descriptor is left, a
/// libuv timer is used.
final class TimerFD {
    private enum Kind {
        case timer(LoopTimer)
        case descriptor(Int32, UnsafeMutablePointer<uv_poll_t>)
    }

    private let kind: Kind
    private let action: () -> Void

    /// - Parameters:
    ///   - descriptor: a timerfd, which this object closes; nil uses a libuv timer.
    ///   - action: called each time the timer fires.
    init(on loop: EventLoop, descriptor: Int32? = TimerFD.makeDescriptor(), action: @escaping () -> Void) {
        loop.assertIsCurrent()
        self.action = action
        guard let descriptor, let poll = Self.watch(descriptor, on: loop) else {
            kind = .timer(LoopTimer(on: loop))
            return
        }
        kind = .descriptor(descriptor, poll)
        // libuv holds a reference until the close callback.
        poll.pointee.data = Unmanaged.passRetained(self).toOpaque()
        uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { poll, _, _ in
            Unmanaged<TimerFD>.fromOpaque(poll!.pointee.data).takeUnretainedValue().goOff()
        }
    }

    deinit { if case .descriptor(_, let poll) = kind { poll.deallocate() } }

    /// Fires once after `delay` milliseconds. It replaces an earlier setting.
    func set(inMilliseconds delay: UInt64) {
        switch kind {
        case .timer(let timer):
            timer.start(after: .milliseconds(delay)) { [self] in action() }
        case .descriptor(let descriptor, _):
            #if os(Linux)
                // A value of zero would disarm the timer.
                let nanoseconds = max(1, Int(delay % 1_000) * 1_000_000)
                let time = timespec(tv_sec: Int(delay / 1_000), tv_nsec: nanoseconds)
                var setting = itimerspec(it_interval: timespec(), it_value: time)
                timerfd_settime(descriptor, 0, &setting, nil)
            #endif
        }
    }

    /// Stops the timer and closes its descriptor. Idempotent.
    func close() {
        switch kind {
        case .timer(let timer): timer.close()
        case .descriptor(let descriptor, let poll):
            let handle = clibuv_poll_as_handle(poll)
            guard uv_is_closing(handle) == 0 else { return }
            uv_close(handle) { Unmanaged<TimerFD>.fromOpaque($0!.pointee.data).release() }
            // libuv does not use the descriptor after uv_close.
            closeDescriptor(descriptor)
        }
    }

    private func goOff() {
        guard case .descriptor(let descriptor, _) = kind else { return }
        var times: UInt64 = 0
        // Reading resets the descriptor. It fails when the timer was set anew in between: that setting fires
        // later.
        guard read(descriptor, &times, MemoryLayout.size(ofValue: times)) > 0 else { return }
        action()
    }

    static func makeDescriptor() -> Int32? {
        #if os(Linux)
            let descriptor = aboveStandard(
                timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK | TFD_CLOEXEC))
            )
            return descriptor < 0 ? nil : descriptor
        #else
            return nil
        #endif
    }

    /// Makes a poll handle for a descriptor; on failure returns nil and closes the descriptor.
    private static func watch(_ descriptor: Int32, on loop: EventLoop) -> UnsafeMutablePointer<uv_poll_t>? {
        let poll = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
        guard uv_poll_init(loop.uv, poll, descriptor) != 0 else { return poll }
        poll.deallocate()
        closeDescriptor(descriptor)
        return nil
    }
}
