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
        if let delay = acceptBudget.wait(at: loop.milliseconds) {
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

    /// Counts a connection that has come, or turns it away.
    ///
    /// - Returns: whether it may come in; ``adopt(_:)``, or ``withdraw(_:)``, is next then.
    func admit(_ ip: IPAddress?, _ address: @autoclosure () -> SocketAddress) -> Bool {
        loop.assertIsCurrent()
        if ip?.isLoopback != true || !options.limits.exemptsLoopback { acceptBudget.take() }
        var refusal: ParleyError.Code?
        if let gate = options.gate, !gate.allows(address(), false) { refusal = .notAllowed }
        state.withLock { state in
            state.acceptPause = nil
            if refusal == nil { refusal = state.admission.admit(ip) }
            if let refusal { state.counters.refusals[refusal, default: 0] &+= 1 }
        }
        guard let refusal else { return true }
        logThrottled(
            .notice,
            .connectionRefused,
            key: refusal.description,
            ["peer": "\(address())", "reason": "\(refusal)"]
        )
        return false
    }

    /// An admitted connection did not come to be. Any thread.
    func withdraw(_ ip: IPAddress?) {
        let hasRoom = state.withLock { state in
            state.admission.leave(ip, wasOpened: false)
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
