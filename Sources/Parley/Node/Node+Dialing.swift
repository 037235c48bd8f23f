// What every dial goes through, whatever the transport.

extension Node {
    /// A dial begins; ``adopt(_:)`` or ``dialFailed(_:)`` ends it.
    func beginDial(to target: SocketAddress) throws(ParleyError) {
        state.withLock { $0.dialing += 1 }
    }

    /// A dial has ended without a connection.
    func dialFailed(_ error: ParleyError) {
        state.withLock { state in
            state.dialing -= 1
            state.counters.dialsFailed &+= 1
        }
    }
}
