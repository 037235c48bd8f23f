// Requests and their answers. Any thread, unless a comment says otherwise. OpenRequests decides about this
// side's requests, PeerState about the other side's.

// MARK: - Asking

extension Connection {
    /// See ``Peer/request(_:timeout:)-(ArraySlice<UInt8>,_)``.
    public func request(
        _ message: ArraySlice<UInt8>,
        timeout: Duration
    ) async throws(ParleyError) -> ArraySlice<UInt8> {
        let deadline = MonotonicTime.millisecondsNow &+ timeout.inMilliseconds
        let caller = RequestCaller()
        var waited: Refusal?
        while let refusal = try submit(request: message, caller, until: deadline, waited) {
            try await waitToRequest(refusal, until: deadline, timeout)
            waited = refusal
        }
        return try await waitForAnswer(to: caller).get()
    }

    /// Waits for the answer to a request that was sent.
    private func waitForAnswer(to caller: RequestCaller) async -> RequestCaller.Answer {
        if isNonisolated(), let working = EventLoop.working, let answer = work(for: caller, on: working) {
            return answer
        }
        let suspension = Suspension()
        defer { suspension.end() }
        let answer = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let answer = wait(.task(continuation), for: caller)
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            if giveUp(caller) { tell(caller, .failure(cancelledRequest)) }
        }
        // ThreadSanitizer sees no order between whoever resumes a continuation and its task, but it does see
        // this lock; see ``Lock/suspend(at:unless:)``.
        outbound.withLock { _ in }
        return answer
    }

    /// Lets the loop work until the answer is there. Returns nil when it is better to suspend.
    private func work(for caller: RequestCaller, on loop: EventLoop) -> RequestCaller.Answer? {
        let ticket = newTicket()
        if let answer = wait(.working(loop, ticket), for: caller) { return answer }
        _ = loop.work(until: ticket)
        return answer(to: caller)
    }

    /// Lets `waiter` be told of the answer. Returns the answer if it is there already; `waiter` is not told
    /// then.
    private func wait(_ waiter: RequestCaller.Waiter, for caller: RequestCaller) -> RequestCaller.Answer? {
        outbound.withLock { _ in
            if caller.answer == nil { caller.waiter = waiter }
            return caller.answer
        }
    }

    private var lateAnswer: ParleyError {
        ParleyError(.timedOut, "\(remoteAddress) did not answer a request in time")
    }

    private var cancelledRequest: ParleyError { .cancelled("waiting for the answer of \(remoteAddress)") }

    /// Waits until a refused request may be tried again.
    private func waitToRequest(
        _ refusal: Refusal,
        until deadline: UInt64,
        _ timeout: Duration
    ) async throws(ParleyError) {
        let isEarlier = outbound.withLock { $0.openRequests.noteUnsent(deadline: deadline) }
        if isEarlier { checkRequests(by: deadline) }
        try await waitToSend(refusal)
        guard MonotonicTime.millisecondsNow >= deadline else { return }
        giveUpWait(refusal)
        throw ParleyError(.timedOut, "no request could be sent to \(remoteAddress) for \(timeout)")
    }

    /// Accepts a request if that is possible now. Otherwise returns why not, and `caller` is not told.
    private func submit(
        request message: ArraySlice<UInt8>,
        _ caller: RequestCaller,
        until deadline: UInt64,
        _ waited: Refusal?
    ) throws(ParleyError) -> Refusal? {
        try node.checkLength(ofMessage: message.count)
        var isEarlier = false
        let refusal = try acceptRare(.request, waited: waited) { (outbound) throws(ParleyError) in
            // Only a task has no waiter yet. Others may ask in a callback that runs inside of a task. It is
            // not theirs, and its cancellation does not concern them.
            if caller.waiter == nil, Task.isCancelled { throw cancelledRequest }
            if let reason = outbound.lifecycle.endOfAnswers { throw reason }
            let number = outbound.openRequests.nextNumber
            try outbound.append { (encoder, buffer) throws(ParleyError) in
                try encoder.form.encode(request: number, message, into: &buffer)
            }
            caller.number = number
            isEarlier = outbound.openRequests.add(caller, deadline: deadline)
        }
        if isEarlier { checkRequests(by: deadline) }
        return refusal
    }

    private func checkRequests(by deadline: UInt64) {
        loop.perform { [self] in context.timers.check(self, by: deadline) }
    }

    /// Gives a request up. Returns whether its caller was not told yet; the caller of this function tells it.
    private func giveUp(_ caller: RequestCaller) -> Bool {
        outbound.withLock { outbound in
            guard let number = caller.number else { return false }
            return outbound.openRequests.giveUp(number) != nil
        }
    }
}

// MARK: - Asking without a task

extension Connection {
    /// See ``Peer/request(_:timeout:)-(ArraySlice<UInt8>,_)``. Blocks until the answer is there.
    ///
    /// - Throws: as there; `wouldBlock` when it may not wait, `wouldDeadlock` on an event loop's thread.
    ///   Nothing was sent then.
    package func request(
        _ message: ArraySlice<UInt8>,
        _ limit: WaitLimit
    ) throws(ParleyError) -> ArraySlice<UInt8> {
        let deadline = try waiting(limit, "a request to")
        let parker = ThreadParker.take()
        let caller = RequestCaller(.thread(parker))
        try blockUntilAccepted(limit) { (waited) throws(ParleyError) in
            try submit(request: message, caller, until: .max, waited)
        }
        if !parker.wait(until: deadline) {
            if giveUp(caller) { throw lateAnswer }
            // The answer came just now.
            _ = parker.wait(until: nil)
        }
        ThreadParker.keep(parker)
        guard let answer = answer(to: caller) else { throw cancelledRequest }
        return try answer.get()
    }

    /// Sends a request, and calls `function` once with the answer, on the loop's thread. Never waits.
    ///
    /// - Parameter timeout: nil waits for ever.
    /// - Throws: `wouldBlock` when the request would have to wait, and as a message. `function` is not called
    ///   then.
    package func request(
        _ message: ArraySlice<UInt8>,
        timeout: Duration?,
        _ function: @escaping @Sendable (Result<ArraySlice<UInt8>, ParleyError>) -> Void
    ) throws(ParleyError) {
        let deadline = timeout.map { MonotonicTime.millisecondsNow &+ $0.inMilliseconds } ?? .max
        let caller = RequestCaller()
        caller.waiter = .function(
            loop.promise { [self] in if let answer = answer(to: caller) { function(answer) } }
        )
        do throws(ParleyError) {
            if let refusal = try submit(request: message, caller, until: deadline, nil) {
                throw refused("a request to", refusal)
            }
        } catch {
            caller.waiter = nil
            loop.breakPromise()
            throw error
        }
    }
}

// MARK: - Answers that arrive

extension Connection {
    /// Hands answers to those who asked. The loop's thread only.
    func tellCallers(_ answers: [RequestAnswer]) {
        loop.assertIsCurrent()
        let limit = node.options.limits.maxOpenRequests
        let (callers, woken) = outbound.withLock { outbound in
            let wasFull = outbound.openRequests.count >= limit
            let callers = answers.map { outbound.openRequests.answered($0.request) }
            return (callers, wasFull ? outbound.sendWaiters.wakeAll() : WaitQueue.Woken())
        }
        woken.resume()
        for case (let answer, let caller?) in zip(answers, callers) {
            switch answer.outcome {
            case .reply(let message): tell(caller, .success(message))
            case .refusal(let code, let reason):
                let refused = ParleyError(requestRefused: code, reason: reason, by: "\(remoteAddress)")
                tell(caller, .failure(refused))
            }
        }
    }

    /// Ends the requests whose time-out has passed. Returns when to check again, in milliseconds. The loop's
    /// thread only.
    func checkRequests(at now: UInt64) -> UInt64 {
        let (expired, woken, next) = outbound.withLock { outbound in
            guard outbound.hasRequests else { return ([RequestCaller](), WaitQueue.Woken(), UInt64.max) }
            let (expired, wakesUnsent) = outbound.openRequests.expire(at: now)
            let woken = wakesUnsent ? outbound.sendWaiters.wakeAll() : WaitQueue.Woken()
            return (expired, woken, outbound.openRequests.nextCheck)
        }
        woken.resume()
        for caller in expired { tell(caller, .failure(lateAnswer)) }
        return next
    }
}

extension Connection.Outbound {
    /// A class, so that a connection without requests takes one word for them.
    final class RequestsBox {
        var requests = OpenRequests<RequestCaller>()
    }

    var hasRequests: Bool { requestsBox != nil }

    /// The requests of this side that have no answer.
    var openRequests: OpenRequests<RequestCaller> {
        get { requestsBox?.requests ?? OpenRequests() }
        _modify {
            let box = requestsBox ?? RequestsBox()
            requestsBox = box
            yield &box.requests
        }
    }

    /// Takes the callers of all requests when no answer can come any more, and says why.
    mutating func takeUnanswerable() -> (callers: [RequestCaller], reason: ParleyError)? {
        guard hasRequests, let reason = lifecycle.endOfAnswers else { return nil }
        return (openRequests.removeAll(), reason)
    }
}

// MARK: - Answering

extension Connection {
    /// See ``Peer/reply(to:with:)``.
    public func reply(to request: UInt32, with message: ArraySlice<UInt8>) async throws(ParleyError) {
        try await answer(request) { (waited) throws(ParleyError) in
            try submit(replyTo: request, message, waited)
        }
    }

    /// See ``Peer/refuse(_:code:reason:)``.
    public func refuse(_ request: UInt32, code: UInt32, reason: String) async throws(ParleyError) {
        try await answer(request) { (waited) throws(ParleyError) in
            try submit(refusalOf: request, code, reason, waited)
        }
    }

    /// The same as ``reply(to:with:)``. Blocks while too much is unwritten.
    ///
    /// - Throws: as there, and as ``send(message:_:)``.
    package func reply(
        to request: UInt32,
        with message: ArraySlice<UInt8>,
        _ limit: WaitLimit
    ) throws(ParleyError) {
        try answer(request, limit) { (waited) throws(ParleyError) in
            try submit(replyTo: request, message, waited)
        }
    }

    /// The same as ``refuse(_:code:reason:)``. Blocks while too much is unwritten.
    ///
    /// - Throws: as there, and as ``send(message:_:)``.
    package func refuse(
        _ request: UInt32,
        code: UInt32,
        reason: String,
        _ limit: WaitLimit
    ) throws(ParleyError) {
        try answer(request, limit) { (waited) throws(ParleyError) in
            try submit(refusalOf: request, code, reason, waited)
        }
    }

    private func submit(
        replyTo request: UInt32,
        _ message: ArraySlice<UInt8>,
        _ waited: Refusal?
    ) throws(ParleyError) -> Refusal? {
        try node.checkLength(ofMessage: message.count)
        return try acceptRare(.message, waited: waited) { (outbound) throws(ParleyError) in
            try outbound.append { (encoder, buffer) throws(ParleyError) in
                try encoder.form.encode(replyTo: request, message, into: &buffer)
            }
        }
    }

    private func submit(
        refusalOf request: UInt32,
        _ code: UInt32,
        _ reason: String,
        _ waited: Refusal?
    ) throws(ParleyError) -> Refusal? {
        try acceptRare(.message, waited: waited) { (outbound) throws(ParleyError) in
            try outbound.append { (encoder, buffer) throws(ParleyError) in
                try encoder.form.encode(refusalOf: request, code: code, reason: reason, into: &buffer)
            }
        }
    }

    private func answer(
        _ request: UInt32,
        _ submit: (_ waited: Refusal?) throws(ParleyError) -> Refusal?
    ) async throws(ParleyError) {
        try begin(answering: request)
        do throws(ParleyError) { try await suspendUntilAccepted(submit) } catch {
            inbound.withLock { $0.state.reopen(request) }
            throw error
        }
        consumed(1)
    }

    private func answer(
        _ request: UInt32,
        _ limit: WaitLimit,
        _ submit: (_ waited: Refusal?) throws(ParleyError) -> Refusal?
    ) throws(ParleyError) {
        try begin(answering: request)
        do throws(ParleyError) { try blockUntilAccepted(limit, submit) } catch {
            inbound.withLock { $0.state.reopen(request) }
            throw error
        }
        consumed(1)
    }

    /// Takes the request, so that no second answer is sent.
    private func begin(answering request: UInt32) throws(ParleyError) {
        guard inbound.withLock({ $0.state.answer(request) }) else {
            throw ParleyError(
                .invalidArgument,
                "request \(request) of \(remoteAddress) is answered already, or never came"
            )
        }
    }
}
