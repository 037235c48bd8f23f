import CLibUV

/// The libuv structures that every event loop has. They live on the heap, because libuv keeps pointers to
/// them.
struct LoopHandles {
    let loop = UnsafeMutablePointer<uv_loop_t>.allocate(capacity: 1)
    /// Wakes the loop for submissions of other threads.
    let wakeup = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)
    /// Called before each poll: it ends a turn.
    let beforePoll = UnsafeMutablePointer<uv_prepare_t>.allocate(capacity: 1)
    /// While it is active, the loop polls without blocking.
    let spin = UnsafeMutablePointer<uv_idle_t>.allocate(capacity: 1)

    /// Ends a wait in which nothing happens; see ``EventLoop/work(until:)``.
    let patience = UnsafeMutablePointer<uv_timer_t>.allocate(capacity: 1)

    /// Initialises the loop and its handles. After an error nothing has to be closed.
    func open(owner: EventLoop) throws(ParleyError) {
        let status = uv_loop_init(loop)
        guard status == 0 else { throw ParleyError(libuv: status, "cannot create an event loop") }
        let pointer = Unmanaged.passUnretained(owner).toOpaque()
        let asyncStatus = uv_async_init(loop, wakeup) { handle in
            Unmanaged<EventLoop>.fromOpaque(handle!.pointee.data).takeUnretainedValue().wokenUp()
        }
        guard asyncStatus == 0 else {
            uv_loop_close(loop)
            throw ParleyError(libuv: asyncStatus, "cannot create an event loop's wake-up")
        }
        wakeup.pointee.data = pointer
        uv_prepare_init(loop, beforePoll)
        beforePoll.pointee.data = pointer
        uv_prepare_start(beforePoll) { handle in
            Unmanaged<EventLoop>.fromOpaque(handle!.pointee.data).withBorrowed { $0.finishTurn() }
        }
        uv_idle_init(loop, spin)
        uv_timer_init(loop, patience)
        patience.pointee.data = pointer
    }

    /// Chooses whether polls return at once.
    func setSpinning(_ isSpinning: Bool) {
        if isSpinning { uv_idle_start(spin) { _ in } } else { uv_idle_stop(spin) }
    }

    /// Closes the handles. Idempotent.
    func close() {
        for handle in [
            clibuv_async_as_handle(wakeup), clibuv_prepare_as_handle(beforePoll), clibuv_idle_as_handle(spin),
            clibuv_timer_as_handle(patience),
        ] where uv_is_closing(handle) == 0 {
            uv_close(handle, nil)
        }
    }

    func deallocate() {
        loop.deallocate()
        wakeup.deallocate()
        beforePoll.deallocate()
        spin.deallocate()
        patience.deallocate()
    }
}
