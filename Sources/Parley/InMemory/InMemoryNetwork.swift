/// A host without a network: the ports that ``InMemoryTransport``s listen on.
///
/// Transports reach each other when they share one; a test makes its own, and no two tests can meet.
public final class InMemoryNetwork: Sendable {
    private struct State {
        var listeners: [UInt16: InMemoryTransport] = [:]
        var nextEphemeralPort: UInt16 = 49_152

        mutating func takeEphemeralPort() -> UInt16 {
            repeat {
                nextEphemeralPort = nextEphemeralPort == .max ? 49_152 : nextEphemeralPort + 1
            } while listeners[nextEphemeralPort] != nil
            return nextEphemeralPort
        }
    }

    private let state = Lock(State())

    /// A network where nobody listens yet.
    public init() {}

    /// Gives `port` to `transport`, or for port 0 one that is free.
    func bind(_ transport: InMemoryTransport, port: UInt16) throws(ParleyError) -> UInt16 {
        try state.withLock { state throws(ParleyError) in
            let port = port == 0 ? state.takeEphemeralPort() : port
            guard state.listeners[port] == nil else {
                throw ParleyError(.addressInUse, "cannot listen on port \(port): another transport does")
            }
            state.listeners[port] = transport
            return port
        }
    }

    func unbind(port: UInt16) { state.withLock { $0.listeners[port] = nil } }

    func listener(port: UInt16) -> InMemoryTransport? { state.withLock { $0.listeners[port] } }

    /// The port that a dialing transport dials from.
    func ephemeralPort() -> UInt16 { state.withLock { $0.takeEphemeralPort() } }
}
