import CLibUV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// A timer for what is seldom due: a loop that waits for it pays nothing. Everything here happens on the loop's thread.
///
/// While a timer of libuv's runs, every wait of the loop is a timed one, which the kernel sets up and takes down again:
/// about 7 % of a round trip. A timerfd(2) is set once. Where there is none, or no descriptor is left, it is a timer all
/// the same.
final class TimerFD {
    private enum Kind {
        case timer(LoopTimer)
        case descriptor(Int32, UnsafeMutablePointer<uv_poll_t>)
    }

    private let kind: Kind
    private let action: () -> Void

    /// - Parameters:
    ///   - descriptor: of a timerfd; nil when there is none.
    ///   - action: called when it goes off.
    init(on loop: EventLoop, descriptor: Int32? = TimerFD.makeDescriptor(), action: @escaping () -> Void) {
        loop.assertIsCurrent()
        self.action = action
        guard let descriptor, let poll = Self.watch(descriptor, on: loop) else {
            kind = .timer(LoopTimer(on: loop))
            return
        }
        kind = .descriptor(descriptor, poll)
        // libuv's from here to the close callback.
        poll.pointee.data = Unmanaged.passRetained(self).toOpaque()
        uv_poll_start(poll, Int32(UV_READABLE.rawValue)) { poll, _, _ in
            Unmanaged<TimerFD>.fromOpaque(poll!.pointee.data).takeUnretainedValue().goOff()
        }
    }

    deinit { if case .descriptor(_, let poll) = kind { poll.deallocate() } }

    /// Goes off once, so many milliseconds from now, instead of when it was set for before.
    func set(inMilliseconds delay: UInt64) {
        switch kind {
        case .timer(let timer):
            timer.start(after: .milliseconds(delay)) { [self] in action() }
        case .descriptor(let descriptor, _):
            #if os(Linux)
                // Zero would turn it off.
                let nanoseconds = max(1, Int(delay % 1_000) * 1_000_000)
                let time = timespec(tv_sec: Int(delay / 1_000), tv_nsec: nanoseconds)
                var setting = itimerspec(it_interval: timespec(), it_value: time)
                timerfd_settime(descriptor, 0, &setting, nil)
            #endif
        }
    }

    /// It does not go off any more. Idempotent.
    func close() {
        switch kind {
        case .timer(let timer): timer.close()
        case .descriptor(let descriptor, let poll):
            let handle = clibuv_poll_as_handle(poll)
            guard uv_is_closing(handle) == 0 else { return }
            uv_close(handle) { Unmanaged<TimerFD>.fromOpaque($0!.pointee.data).release() }
            // libuv has let go of it.
            closeDescriptor(descriptor)
        }
    }

    private func goOff() {
        guard case .descriptor(let descriptor, _) = kind else { return }
        var times: UInt64 = 0
        // It is not readable any more; whoever has set it anew meanwhile is told when that is due.
        guard read(descriptor, &times, MemoryLayout.size(ofValue: times)) > 0 else { return }
        action()
    }

    static func makeDescriptor() -> Int32? {
        #if os(Linux)
            let descriptor = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK | TFD_CLOEXEC))
            return descriptor < 0 ? nil : descriptor
        #else
            return nil
        #endif
    }

    /// The handle for a descriptor, which is closed when there can be none.
    private static func watch(_ descriptor: Int32, on loop: EventLoop) -> UnsafeMutablePointer<uv_poll_t>? {
        let poll = UnsafeMutablePointer<uv_poll_t>.allocate(capacity: 1)
        guard uv_poll_init(loop.uv, poll, descriptor) != 0 else { return poll }
        poll.deallocate()
        closeDescriptor(descriptor)
        return nil
    }
}
