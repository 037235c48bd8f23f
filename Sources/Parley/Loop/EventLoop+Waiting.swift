// Waiting in async code for an operation on the loop's thread.

extension EventLoop {
    /// Cancels an operation for the given reason. The loop's thread only.
    typealias Cancel = (ParleyError) -> Void

    /// Starts an operation on the loop's thread and waits for its result.
    ///
    /// `start` gets a completion function, which has to be called exactly once, on the loop's thread. It
    /// returns a cancel function, which has to complete the operation unless it is complete. When the task is
    /// cancelled, the cancel function is called with the code `cancelled`.
    func wait<Success: Sendable>(
        _ start: @escaping (EventLoop, @escaping (Result<Success, ParleyError>) -> Void) -> Cancel
    ) async throws(ParleyError) -> Success {
        try self.start()
        let wait = Wait<Success>()
        // `wait` and `start` move to the loop's thread and are used only there.
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
        // The continuation is resumed only after the result is set.
        return try wait.result.withLock { $0! }.get()
    }

    /// The state of one waiting operation. The loop's thread only, except `result`.
    private final class Wait<Success: Sendable>: @unchecked Sendable {
        /// Passed under a lock instead of by the continuation: ThreadSanitizer does not see that a
        /// continuation orders threads, and would report the loop thread's writes into the result as races.
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
