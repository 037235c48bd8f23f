// How work gets to a loop's thread, and into its turns.

import CLibUV

extension EventLoop {
    /// Starts the thread unless it runs.
    ///
    /// - Throws: ``ParleyError`` when the system has no descriptors or threads left, or after ``stop()``.
    package func start() throws(ParleyError) {
        try ForkedChild.check()
        try submissionQueue.withLock { queue throws(ParleyError) in try startLocked(&queue) }
    }

    /// Runs `work` on the loop's thread, after other work that was submitted before it. Jobs have an order of
    /// their own.
    ///
    /// - Returns: false when the loop has stopped or cannot start. `work` is dropped then.
    @discardableResult
    package func execute(_ work: @escaping @Sendable () -> Void) -> Bool { submit(.work(work)) }

    /// Waits until all work that was submitted before has run. Returns at once when there is no thread.
    func hasRunWhatWasSubmitted() async {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            guard hasStarted, execute({ continuation.resume() }) else { return continuation.resume() }
        }
    }

    /// Runs `work` on the loop's thread if that was started; otherwise does nothing.
    func executeIfStarted(_ work: @escaping @Sendable () -> Void) {
        if hasStarted { execute(work) }
    }

    /// Runs `work` on the loop's thread: at once when the caller runs on it, otherwise as ``execute(_:)``
    /// does.
    package func perform(_ work: @escaping @Sendable () -> Void) {
        if isCurrent { work() } else { execute(work) }
    }

    /// Calls `object.turnEnds()` on the loop's thread, after this turn's callbacks and jobs. Any thread.
    @discardableResult
    func atEndOfTurn(_ object: any EndOfTurn) -> Bool {
        if isCurrent {
            turn.pointee.endOfTurn.append(object)
            return true
        }
        return submit(.endOfTurn(object))
    }

    /// Calls `object.turnEnds()` at the end of the next turn: the sockets are polled first, without blocking.
    /// The loop's thread only.
    func atEndOfNextTurn(_ object: any EndOfTurn) {
        assertIsCurrent()
        turn.pointee.endOfNextTurn.append(object)
    }

    /// Whether the loop's own thread has submitted something that has not run. The loop's thread only.
    var hasSubmissions: Bool { !turn.pointee.ownSubmissions.isEmpty }

    func submit(_ submission: Submission) -> Bool {
        if isCurrent {
            guard !refusesSubmissions else { return false }
            turn.pointee.ownSubmissions.append(submission)
            return true
        }
        if ForkedChild.isThisProcess { return false }
        return submissionQueue.withLock { queue in
            if queue.phase == .idle {
                do { try startLocked(&queue) } catch { return false }
            }
            guard queue.phase == .running else { return false }
            queue.submissions.append(submission)
            if queue.submissions.count == 1, !queue.isPolled {
                queue.wakes &+= 1
                uv_async_send(handles.wakeup)
            }
            return true
        }
    }
}

/// Work that is collected during a turn of the loop and done at its end.
protocol EndOfTurn: AnyObject, Sendable {
    /// Called on the loop's thread at the end of a turn, once for each ``EventLoop/atEndOfTurn(_:)``.
    func turnEnds()
}
