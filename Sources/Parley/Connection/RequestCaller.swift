/// Who waits for the answer to one request: a task, suspended or working, a thread, or a function. It is told
/// once.
///
/// `@unchecked Sendable`: the connection's sending lock guards everything in it. Only whoever asks sets
/// `number`, and so may read it without.
final class RequestCaller: @unchecked Sendable {
    typealias Answer = Result<ArraySlice<UInt8>, ParleyError>

    /// The result of an attempt to send a request.
    enum Attempt: Sendable {
        case over(Answer)
        /// It was not sent. Wait for what is refused, and try again.
        case refused(Connection.Refusal)
    }

    enum Waiter {
        case task(UnsafeContinuation<Attempt, Never>)
        /// A task that lets its loop work, with this ticket.
        case working(any WorkingWaiter, UInt64)
        case thread(ThreadParker)
        case function(@Sendable (Answer) -> Void)

        var isTask: Bool {
            switch self {
            case .task, .working: true
            case .thread, .function: false
            }
        }
    }

    /// Nil until the request is sent.
    var waiter: Waiter?
    /// The request's number; nil until it is sent.
    var number: UInt32?
    /// What a thread or a working task finds when it is woken.
    fileprivate(set) var answer: Answer?
}

extension Connection {
    /// Tells a caller that was taken out of ``OpenRequests``. Any thread.
    func tell(_ caller: RequestCaller, _ answer: RequestCaller.Answer) {
        let waiter = outbound.withLock { _ in
            caller.answer = answer
            return caller.waiter
        }
        switch waiter {
        case .task(let continuation): continuation.resume(returning: .over(answer))
        case .working(let worker, let ticket): worker.wake(ticket)
        case .thread(let parker): parker.wake()
        case .function(let function): function(answer)
        case nil: break
        }
    }

    /// What the caller was told; nil if nothing yet. Any thread.
    func answer(to caller: RequestCaller) -> RequestCaller.Answer? {
        outbound.withLock { _ in caller.answer }
    }
}
