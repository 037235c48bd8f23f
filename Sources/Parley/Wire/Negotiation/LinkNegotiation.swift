/// The negotiation of the one protocol that a whole connection speaks next: either side of it, as a value
/// without I/O.
struct LinkNegotiation: Sendable {
    /// Which side of a connection this is.
    enum Side: Sendable {
        case dialer, listener
    }

    private enum State: Sendable {
        case proposing(NegotiationDialer)
        case answering(NegotiationListener)
    }

    /// The protocol that this side speaks.
    let name: String
    private var state: State

    init(of name: String, as side: Side) {
        self.name = name
        state =
            switch side {
            case .dialer: .proposing(NegotiationDialer([name]))
            case .listener: .answering(NegotiationListener())
            }
    }

    /// What this side says first: the dialer's proposal, and nothing of the listener's.
    var opening: WireBuffer {
        var output = WireBuffer()
        if case .proposing(let dialer) = state { dialer.begin(into: &output) }
        return output
    }

    /// Takes the other side's lines from the front of `input` and appends the answers. Leaves what is behind
    /// the negotiation. Not to be called after it has returned true.
    ///
    /// - Returns: whether both sides agree.
    /// - Throws: `protocolViolation`; `unsupported` when the other side does not speak the protocol. The
    ///   connection then ends.
    mutating func receive(
        _ input: inout ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) -> Bool {
        switch state {
        case .proposing(var dialer):
            let outcome = try dialer.receive(&input, into: &output)
            state = .proposing(dialer)
            guard outcome != .unsupported else {
                throw ParleyError(.unsupported, "the other side does not speak \(name)")
            }
            return outcome == .chosen(name)
        case .answering(var listener):
            let chosen = try listener.receive(&input, isSupported: { $0 == name }, into: &output)
            state = .answering(listener)
            return chosen != nil
        }
    }
}
