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
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let isRunning = execute { [self] in
                    wait.continuation = continuation
                    guard !wait.isCancelled else { return wait.finish(.failure(.cancelled("the operation"))) }
                    let cancel = start(self) { wait.finish($0) }
                    if wait.continuation != nil { wait.cancel = cancel }
                }
                if !isRunning {
                    continuation.resume(returning: .failure(ParleyError(.closed, "the transport is closed")))
                }
            }
        } onCancel: {
            execute {
                wait.isCancelled = true
                wait.cancel?(.cancelled("the operation"))
                wait.finish(.failure(.cancelled("the operation")))
            }
        }
        return try result.get()
    }

    /// The loop's thread only.
    private final class Wait<Success: Sendable>: @unchecked Sendable {
        var continuation: UnsafeContinuation<Result<Success, ParleyError>, Never>?
        var cancel: Cancel?
        var isCancelled = false

        func finish(_ result: Result<Success, ParleyError>) {
            continuation?.resume(returning: result)
            continuation = nil
            cancel = nil
        }
    }
}
