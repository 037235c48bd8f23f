import CLibUV

/// A one-shot timer on an event loop. The loop's thread only.
///
/// Source: <https://docs.libuv.org/en/v1.x/timer.html>
final class LoopTimer {
    private let loop: EventLoop
    private let timer: UnsafeMutablePointer<uv_timer_t>
    private var action: (() -> Void)?

    init(on loop: EventLoop) {
        loop.assertIsCurrent()
        self.loop = loop
        timer = .allocate(capacity: 1)
        uv_timer_init(loop.uv, timer)
        // libuv holds a reference until the close callback.
        timer.pointee.data = Unmanaged.passRetained(self).toOpaque()
    }

    deinit { timer.deallocate() }

    /// Calls `action` once after `delay`. It replaces an earlier action that was not called yet.
    func start(after delay: Duration, _ action: @escaping () -> Void) {
        loop.assertIsCurrent()
        self.action = action
        // libuv counts from the time it cached when this turn began.
        uv_update_time(loop.uv)
        uv_timer_start(
            timer,
            { Unmanaged<LoopTimer>.fromOpaque($0!.pointee.data).takeUnretainedValue().fire() },
            delay.wholeMilliseconds,
            0
        )
    }

    /// Cancels the action that was not called yet.
    func stop() {
        loop.assertIsCurrent()
        uv_timer_stop(timer)
        action = nil
    }

    /// Stops the timer and closes its handle. Idempotent.
    func close() {
        loop.assertIsCurrent()
        action = nil
        let handle = clibuv_timer_as_handle(timer)
        guard uv_is_closing(handle) == 0 else { return }
        uv_close(handle) { Unmanaged<LoopTimer>.fromOpaque($0!.pointee.data).release() }
    }

    private func fire() {
        let action = action
        self.action = nil
        action?()
    }
}

extension EventLoop {
    /// A timer for a short time: the spare one, or a new one. ``giveBack(_:)`` follows.
    func takeTimer() -> LoopTimer {
        assertIsCurrent()
        return spareTimer.take() ?? LoopTimer(on: self)
    }

    /// Stops a timer, and keeps it as the spare one if there is none.
    func giveBack(_ timer: LoopTimer) {
        timer.stop()
        guard spareTimer == nil else { return timer.close() }
        spareTimer = timer
    }
}

extension Duration {
    /// Whole seconds, clamped to 1...32,767, the range of the kernel's keep-alive options.
    var wholeSeconds: Int32 { Int32(clamping: max(1, min(attoseconds / 1_000_000_000_000_000_000, 32_767))) }
}
