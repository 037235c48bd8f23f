// The limits that an inbound connection passes before anything is spent on it. The first loop's thread,
// unless a comment says otherwise.

extension Node {
    /// Whether the next connection may be taken from the backlog.
    enum AcceptPermit {
        case now
        case after(Duration)
        /// ``resumeAccepting`` is called when there is room.
        case whenThereIsRoom
    }

    func acceptPermit() -> AcceptPermit {
        loop.assertIsCurrent()
        // With loopback exempt, the rate is checked when the address is known.
        if !options.limits.exemptsLoopback, let delay = acceptBudget.wait(at: loop.milliseconds) {
            beginAcceptPause(.acceptsPerSecond)
            return .after(delay)
        }
        return hasRoomToAccept() ? .now : .whenThereIsRoom
    }

    /// Whether there may be another inbound connection. Otherwise ``resumeAccepting`` is called when there is
    /// room.
    private func hasRoomToAccept() -> Bool {
        let pause = state.withLock { $0.admission.pause }
        guard let pause else { return true }
        beginAcceptPause(pause)
        // A peer may have left since the check.
        return state.withLock { $0.endAcceptPause() }
    }

    /// Records, counts and logs that connections wait in the backlog.
    func beginAcceptPause(_ pause: AcceptPause) {
        let isNews = state.withLock { state in
            defer { state.acceptPause = pause }
            guard state.acceptPause != pause else { return false }
            state.counters.acceptPauses[pause, default: 0] &+= 1
            return true
        }
        // A shortage of descriptors has a log line of its own.
        if isNews, pause != .descriptors {
            logThrottled(.warning, .acceptingPaused, key: pause.rawValue, ["limit": "\(pause.rawValue)"])
        }
    }

    /// Ends the record of a pause that was over by itself.
    func acceptPauseIsOver() { state.withLock { $0.acceptPause = nil } }

    /// Resumes accepting: there is room again. Any thread.
    func acceptAgain() { loop.execute { [self] in resumeAccepting?() } }

    /// What happens to a connection that was taken from the backlog.
    enum AcceptDecision {
        /// It is accepted. ``adopt(_:)`` or ``withdraw(_:)`` follows.
        case admitted
        /// It is reset.
        case refused
        /// ``Limits/acceptsPerSecond`` is used up. Ask again after the delay.
        case after(Duration)
        /// Others have taken the last place meanwhile. ``resumeAccepting`` is called when there is room.
        case whenThereIsRoom
    }

    /// Counts an inbound connection, and admits it, refuses it or delays it.
    func admit(_ ip: IPAddress?, _ address: @autoclosure () -> SocketAddress) -> AcceptDecision {
        loop.assertIsCurrent()
        guard hasRoomToAccept() else { return .whenThereIsRoom }
        if ip?.isLoopback != true || !options.limits.exemptsLoopback {
            if let delay = acceptBudget.wait(at: loop.milliseconds) {
                beginAcceptPause(.acceptsPerSecond)
                return .after(delay)
            }
            acceptBudget.take()
        }
        var refusal: ParleyError.Code?
        if let gate = options.gate, !gate.allows(address(), false) { refusal = .notAllowed }
        state.withLock { state in
            state.acceptPause = nil
            if refusal == nil { refusal = state.admission.admit(ip) }
            if let refusal { state.counters.refusals[refusal, default: 0] &+= 1 }
        }
        guard let refusal else { return .admitted }
        logThrottled(
            .notice,
            .connectionRefused,
            key: refusal.description,
            ["peer": "\(address())", "reason": "\(refusal)"]
        )
        return .refused
    }

    /// Undoes ``admit(_:_:)``: the admitted connection did not become a peer. Any thread.
    func withdraw(_ ip: IPAddress?) {
        let hasRoom = state.withLock { state in
            state.admission.leave(ip, wasOpen: false)
            return state.endAcceptPause()
        }
        if hasRoom { acceptAgain() }
    }
}

extension Node.State {
    /// Ends a pause for want of room if there is room now. Returns whether it did; the caller then tells the
    /// listener.
    mutating func endAcceptPause() -> Bool {
        switch acceptPause {
        case .maxPeers, .maxInboundPeers, .maxHandshakes: break
        case .acceptsPerSecond, .descriptors, nil: return false
        }
        guard admission.pause == nil else { return false }
        acceptPause = nil
        return true
    }
}
