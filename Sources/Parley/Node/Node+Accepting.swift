// What every connection that others make goes through before it costs anything. The first loop's thread, but where it
// says otherwise.

extension Node {
    /// Whether the next connection may be taken out of the backlog.
    enum AcceptPermit {
        case now
        case after(Duration)
        /// ``resumeAccepting`` is called when there is room.
        case whenThereIsRoom
    }

    func acceptPermit() -> AcceptPermit {
        loop.assertIsCurrent()
        // Where this host's own connections are exempt, the rate waits until the address is known.
        if !options.limits.exemptsLoopback, let delay = acceptBudget.wait(at: loop.milliseconds) {
            beginAcceptPause(.acceptsPerSecond)
            return .after(delay)
        }
        let pause = state.withLock { $0.admission.pause }
        guard let pause else { return .now }
        beginAcceptPause(pause)
        // Somebody may have left in between.
        let hasRoom = state.withLock { $0.endAcceptPause() }
        return hasRoom ? .now : .whenThereIsRoom
    }

    /// Notes, counts and logs that connections wait in the backlog.
    func beginAcceptPause(_ pause: AcceptPause) {
        let isNews = state.withLock { state in
            defer { state.acceptPause = pause }
            guard state.acceptPause != pause else { return false }
            state.counters.acceptPauses[pause, default: 0] &+= 1
            return true
        }
        // That has a line of its own.
        if isNews, pause != .descriptors {
            logThrottled(.warning, .acceptingPaused, key: pause.rawValue, ["limit": "\(pause.rawValue)"])
        }
    }

    /// Accepting goes on after a pause that ends by itself.
    func acceptPauseIsOver() { state.withLock { $0.acceptPause = nil } }

    /// There is room again. Any thread.
    func acceptAgain() { loop.execute { [self] in resumeAccepting?() } }

    /// What becomes of a connection that was taken out of the backlog.
    enum AcceptDecision {
        /// It may come in; ``adopt(_:)``, or ``withdraw(_:)``, is next.
        case admitted
        /// It is turned away.
        case refused
        /// ``Limits/acceptsPerSecond`` is used up: ask again then.
        case after(Duration)
    }

    /// Counts a connection that has come, turns it away, or lets it wait.
    func admit(_ ip: IPAddress?, _ address: @autoclosure () -> SocketAddress) -> AcceptDecision {
        loop.assertIsCurrent()
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

    /// An admitted connection did not come to be. Any thread.
    func withdraw(_ ip: IPAddress?) {
        let hasRoom = state.withLock { state in
            state.admission.leave(ip, wasOpen: false)
            return state.endAcceptPause()
        }
        if hasRoom { acceptAgain() }
    }
}

extension Node.State {
    /// Whether a pause for want of room is over; the listener is to be told then.
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
