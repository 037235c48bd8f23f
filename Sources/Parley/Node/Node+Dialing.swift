// The node's part of every dial, for all transports.

extension Node {
    /// Counts a dial. ``adopt(_:)`` or ``dialFailed(_:)`` ends it.
    ///
    /// - Throws: `tooManyPeers`, before any work is done.
    func beginDial(to target: SocketAddress) throws(ParleyError) {
        let refusal = state.withLock { state in
            let refusal = state.admission.beginDial()
            if refusal != nil { state.counters.dialsFailed &+= 1 }
            return refusal
        }
        if let refusal {
            throw ParleyError(refusal.code, "cannot dial \(target): \(refusal.message)")
        }
    }

    /// Counts a dial that ended without a connection.
    func dialFailed(_ error: ParleyError) {
        let hasRoom = state.withLock { state in
            state.admission.dialFailed()
            state.counters.dialsFailed &+= 1
            return state.endAcceptPause()
        }
        if hasRoom { acceptAgain() }
        if error.code == .tooManyOpenFiles { reportShortage(error, during: "dial") }
    }

    /// The reason not to dial this address: the gate or a ban. Nil when it is allowed. Any loop's thread.
    func refusal(dialing address: SocketAddress, _ ip: IPAddress) -> ParleyError? {
        if let gate = options.gate, !gate.allows(address, true) {
            return ParleyError(.notAllowed, "the gate does not let this node dial \(address)")
        }
        guard state.withLock({ $0.admission.bans.contains(ip) }) else { return nil }
        return ParleyError(.banned, "\(address) is banned")
    }
}
