/// Who asks a request: a task, a thread, or a function. It is told the answer once.
///
/// `@unchecked Sendable`: the connection's sending lock guards everything in it.
final class RequestCaller: @unchecked Sendable {
    typealias Answer = Result<ArraySlice<UInt8>, ParleyError>

    enum Waiter {
        case task(UnsafeContinuation<Answer, Never>)
        /// A task that works while it waits, and the number under which it is woken.
        case working(any WorkingWaiter, UInt64)
        case thread(ThreadParker)
        /// It looks at ``answer`` itself.
        case function(@Sendable () -> Void)
    }

    /// Nil while a task does not wait yet: it sends the request first. And once the caller is told.
    var waiter: Waiter?
    /// The request's number; nil until it is sent.
    var number: UInt32?
    /// Nil until the caller is told.
    fileprivate(set) var answer: Answer?

    init(_ waiter: Waiter? = nil) { self.waiter = waiter }
}

extension Connection {
    /// Tells a caller that was taken out of ``OpenRequests``. Any thread.
    func tell(_ caller: RequestCaller, _ answer: RequestCaller.Answer) {
        let waiter = outbound.withLock { _ in
            caller.answer = answer
            return caller.waiter.take()
        }
        switch waiter {
        case .task(let continuation): continuation.resume(returning: answer)
        case .working(let worker, let ticket): worker.wake(ticket)
        case .thread(let parker): parker.wake()
        case .function(let function): function()
        case nil: break
        }
    }

    /// What the caller was told; nil if nothing yet. Any thread.
    func answer(to caller: RequestCaller) -> RequestCaller.Answer? {
        outbound.withLock { _ in caller.answer }
    }
}
