/// An in-memory host: the ports on which ``InMemoryTransport``s listen.
///
/// Transports reach each other when they share a network. Give each test its own: tests are isolated then.
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

    /// A network without listeners.
    public init() {}

    /// Binds `transport` to `port`, or to a free port when `port` is 0. Returns the port.
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

    /// A free port to dial from.
    func ephemeralPort() -> UInt16 { state.withLock { $0.takeEphemeralPort() } }
}
