/// Who waits for the answer to one request: a task, a thread, or a function. It is told once.
///
/// `@unchecked Sendable`: the connection's sending lock guards `waiter` and `number` until the caller is
/// taken out of ``OpenRequests``. Whoever took it out tells it.
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
        case thread(ThreadParker)
        case function(@Sendable (Answer) -> Void)
    }

    /// Nil until the request is sent.
    var waiter: Waiter?
    /// The request's number; nil until it is sent.
    var number: UInt32?
    /// What a thread finds when it is woken.
    private(set) var answer: Answer?

    func tell(_ answer: Answer) {
        switch waiter {
        case .task(let continuation): continuation.resume(returning: .over(answer))
        case .thread(let parker):
            self.answer = answer
            parker.wake()
        case .function(let function): function(answer)
        case nil: break
        }
    }
}
