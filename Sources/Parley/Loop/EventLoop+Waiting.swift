extension EventLoop {
    /// Gives up, for the reason that is passed to it. The loop's thread only.
    typealias Cancel = (ParleyError) -> Void

    /// Starts something on the loop's thread and waits until it finishes.
    ///
    /// `start` gets the function to call exactly once with the result, on the loop's thread, and returns how to
    /// give up; giving up has to finish too, unless it is finished already. When the task is cancelled, that is
    /// called with the code `cancelled`.
    func wait<Success: Sendable>(
        _ start: @escaping (EventLoop, @escaping (Result<Success, ParleyError>) -> Void) -> Cancel
    ) async throws(ParleyError) -> Success {
        try self.start()
        let wait = Wait<Success>()
        // `wait` and `start` move to the loop's thread and are used nowhere else.
        nonisolated(unsafe) let start = start
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                let isRunning = execute { [self] in
                    wait.continuation = continuation
                    guard !wait.isCancelled else { return wait.finish(.failure(.cancelled("the operation"))) }
                    let cancel = start(self) { wait.finish($0) }
                    if wait.continuation != nil { wait.cancel = cancel }
                }
                if !isRunning {
                    wait.result.withLock { $0 = .failure(ParleyError(.closed, "the transport is closed")) }
                    continuation.resume()
                }
            }
        } onCancel: {
            execute {
                wait.isCancelled = true
                wait.cancel?(.cancelled("the operation"))
                wait.finish(.failure(.cancelled("the operation")))
            }
        }
        // Without a result nobody would have resumed it.
        return try wait.result.withLock { $0! }.get()
    }

    /// The loop's thread only, but for the result.
    private final class Wait<Success: Sendable>: @unchecked Sendable {
        /// Handed over under a lock and not by the continuation: ThreadSanitizer does not see the latter, and would take
        /// what the loop's thread has written into the result for a race.
        let result = Lock<Result<Success, ParleyError>?>(nil)
        var continuation: UnsafeContinuation<Void, Never>?
        var cancel: Cancel?
        var isCancelled = false

        func finish(_ result: Result<Success, ParleyError>) {
            guard let continuation else { return }
            self.result.withLock { $0 = result }
            continuation.resume()
            self.continuation = nil
            cancel = nil
        }
    }
}
