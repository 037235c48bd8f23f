public import Parley

extension Security {
    /// Secures every link with Noise: nobody reads or changes what is sent, and each side proves its id.
    ///
    /// Both sides begin at once with the handshake of libp2p: `Noise_XX_25519_ChaChaPoly_SHA256`, in which
    /// each shows its identity encrypted. In ``WireForm/libp2p`` they agree on it first. Nodes that have no
    /// security cannot be reached, nor reach this one.
    ///
    /// - Parameters:
    ///   - identity: this node's own.
    ///   - allowed: whose connections go on after the handshake, inbound and outbound.
    public static func noise(_ identity: Identity, allow allowed: AllowedPeers = .everyone) -> Security {
        Security(NoiseSecurity(identity), allow: allowed)
    }
}

/// Secures the links of one node. The key of the handshakes lives as long as this object and is signed once.
package final class NoiseSecurity: LinkSecurity {
    package let id: PeerID
    private let staticKey: KeyPair
    /// What this side shows of itself in each handshake.
    private let payload: [UInt8]

    /// The security of an honest node.
    package convenience init(_ identity: Identity) {
        let staticKey = KeyPair()
        let payload = NoisePayload(identity, staticKey: staticKey.publicKey)
        self.init(id: identity.id, staticKey: staticKey, payload: payload.encoded)
    }

    /// The same with a key and a payload of one's own, which need not fit: for programs that attack nodes.
    package init(id: PeerID, staticKey: KeyPair, payload: [UInt8]) {
        self.id = id
        self.staticKey = staticKey
        self.payload = payload
    }

    package func makeSession(
        isInitiator: Bool,
        expecting expected: PeerID?,
        offering streamMuxers: [String] = []
    ) -> any SecureSession {
        NoiseLink(
            NoiseXX(isInitiator ? .initiator : .responder, staticKey: staticKey),
            // Fields may follow in any order.
            payload: payload + NoisePayload.extensions(streamMuxers),
            expecting: expected
        )
    }
}

/// One link: its handshake, and then its session.
final class NoiseLink: SecureSession {
    private enum Phase {
        indirect case handshake(NoiseXX, payload: [UInt8], expected: PeerID?)
        case open(NoiseSession)
        case failed
    }

    private var phase: Phase

    init(_ handshake: NoiseXX, payload: [UInt8], expecting expected: PeerID?) {
        phase = .handshake(handshake, payload: payload, expected: expected)
    }

    func begin(into output: inout [UInt8]) throws(ParleyError) {
        guard case .handshake(var handshake, let payload, let expected) = phase, handshake.writesNext else {
            return
        }
        phase = .failed
        // Nothing is shown before the other side has a key to read it with.
        append(try handshake.write(), to: &output)
        phase = .handshake(handshake, payload: payload, expected: expected)
    }

    func advance(_ message: [UInt8], into output: inout [UInt8]) throws(ParleyError) -> ShownIdentity? {
        guard case .handshake(var handshake, let payload, let expected) = phase else {
            throw ParleyError(.securityFailed, "a message of the handshake came after its end")
        }
        phase = .failed
        let shown = try handshake.read(message)
        var identity: ShownIdentity?
        if let remote = handshake.remoteStatic {
            let found = try NoisePayload(shown, staticKey: remote)
            // Before the last message: the wrong node does not learn who dialed.
            if let expected, found.id != expected {
                throw ParleyError(.identityMismatch, "\(found.id) answers where \(expected) was dialed")
            }
            identity = ShownIdentity(id: found.id, streamMuxers: found.streamMuxers)
        }
        if handshake.writesNext { append(try handshake.write(payload), to: &output) }
        guard handshake.isDone else {
            phase = .handshake(handshake, payload: payload, expected: expected)
            return nil
        }
        phase = .open(try handshake.session())
        return identity
    }

    func seal(_ bytes: Span<UInt8>, into output: inout [UInt8]) throws(ParleyError) {
        guard case .open(var session) = phase else { throw notOpen }
        // An error ends the session: no number may be used twice.
        phase = .failed
        try session.seal(bytes, into: &output)
        phase = .open(session)
    }

    func open(
        _ buffer: inout [UInt8],
        at start: Int,
        count: Int
    ) throws(ParleyError) -> Range<Int> {
        guard case .open(var session) = phase else { throw notOpen }
        phase = .failed
        let content = try session.open(&buffer, at: start, count: count)
        phase = .open(session)
        return content
    }

    private var notOpen: ParleyError {
        if case .failed = phase { return ParleyError(.securityFailed, "the session has failed") }
        return ParleyError(.securityFailed, "the handshake is not complete")
    }

    private func append(_ message: [UInt8], to output: inout [UInt8]) {
        output.append(lengthOfMessage: message.count)
        output += message
    }
}
