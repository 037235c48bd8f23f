import CLibUV

extension EventLoop {
    /// Begins `work`, which may block, on libuv's thread pool: neither the loop's thread nor the caller's
    /// waits for it.
    ///
    /// The work always runs, and to its end: cancellation does not stop it, and the loop's thread does not
    /// end before it. When the loop has stopped already, it runs on Swift's own pool. Two works that are
    /// under way at once may run at the same time, in either order.
    ///
    /// Any thread. Source: <https://docs.libuv.org/en/v1.x/threadpool.html>
    func offload<Success: Sendable>(
        _ work: @escaping @Sendable () throws(ParleyError) -> Success
    ) -> Offloaded<Success> {
        let offloaded = Offloaded<Success>()
        let request = WorkRequest { offloaded.finish(Result(catching: work)) }
        let isQueued = execute { [self] in request.queue(on: self) }
        if !isQueued { Task.detached { request.perform() } }
        return offloaded
    }
}

/// Work that runs elsewhere, and what came of it.
final class Offloaded<Success: Sendable>: Sendable {
    private enum State {
        case running
        /// This task waits for it.
        case awaited(UnsafeContinuation<Void, Never>)
        case finished(Result<Success, ParleyError>)
    }

    /// Also hands the result over: ThreadSanitizer does not see the order in a continuation, and would take
    /// what the work has written for a race.
    private let state: Lock<State>

    init() { state = Lock(.running) }

    /// Work that is done already.
    init(_ result: Result<Success, ParleyError>) { state = Lock(.finished(result)) }

    /// Waits until the work is done, also when the task is cancelled: a result is never lost. For one task at
    /// a time.
    var value: Success {
        get async throws(ParleyError) {
            await withUnsafeContinuation { continuation in
                let isFinished = state.withLock { state in
                    switch state {
                    case .running: state = .awaited(continuation)
                    case .awaited: preconditionFailure("two tasks wait for one work")
                    case .finished: return true
                    }
                    return false
                }
                if isFinished { continuation.resume() }
            }
            guard case .finished(let result) = state.withLock({ $0 }) else {
                preconditionFailure("resumed before the work was done")
            }
            return try result.get()
        }
    }

    fileprivate func finish(_ result: Result<Success, ParleyError>) {
        let continuation = state.withLock { state -> UnsafeContinuation<Void, Never>? in
            defer { state = .finished(result) }
            guard case .awaited(let continuation) = state else { return nil }
            return continuation
        }
        continuation?.resume()
    }
}

/// One `uv_work_t`. `@unchecked Sendable`: it goes from the caller to the loop's thread, to the pool's and
/// back.
private final class WorkRequest: @unchecked Sendable {
    private let request = UnsafeMutablePointer<uv_work_t>.allocate(capacity: 1)
    private var work: (@Sendable () -> Void)?

    init(_ work: @escaping @Sendable () -> Void) { self.work = work }

    deinit { request.deallocate() }

    /// The loop's thread only. The loop stays alive until the work is done.
    func queue(on loop: EventLoop) {
        loop.assertIsCurrent()
        // libuv's from here to the second callback.
        request.pointee.data = Unmanaged.passRetained(self).toOpaque()
        let status = uv_queue_work(
            loop.uv,
            request,
            {
                LibraryThread.namePoolThread()
                Unmanaged<WorkRequest>.fromOpaque($0!.pointee.data).takeUnretainedValue().perform()
            },
            { request, _ in Unmanaged<WorkRequest>.fromOpaque(request!.pointee.data).release() }
        )
        precondition(status == 0, "libuv refuses work only when it is given no function")
    }

    /// Once. What the work holds is released here, not on the loop's thread.
    func perform() { work.take()?() }
}
