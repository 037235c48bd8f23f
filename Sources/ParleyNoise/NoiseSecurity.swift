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

/// One link: its handshake, and then the two directions of its session, which share nothing: one thread may
/// seal while another opens.
final class NoiseLink: SecureSession {
    private enum Phase {
        indirect case handshake(NoiseXX, payload: [UInt8], expected: PeerID?)
        /// The handshake is complete, or has failed.
        case over
    }

    private var phase: Phase
    /// Nil before the end of the handshake, and for ever after an error: no number may be used twice.
    private var sending: CipherState?
    /// The same for what the other side seals.
    private var receiving: CipherState?

    init(_ handshake: NoiseXX, payload: [UInt8], expecting expected: PeerID?) {
        phase = .handshake(handshake, payload: payload, expected: expected)
    }

    func begin(into output: inout [UInt8]) throws(ParleyError) {
        guard case .handshake(var handshake, let payload, let expected) = phase, handshake.writesNext else {
            return
        }
        phase = .over
        // Nothing is shown before the other side has a key to read it with.
        append(try handshake.write(), to: &output)
        phase = .handshake(handshake, payload: payload, expected: expected)
    }

    func advance(_ message: [UInt8], into output: inout [UInt8]) throws(ParleyError) -> ShownIdentity? {
        guard case .handshake(var handshake, let payload, let expected) = phase else {
            throw ParleyError(.securityFailed, "a message of the handshake came after its end")
        }
        phase = .over
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
        let session = try handshake.session()
        (sending, receiving) = (session.sending, session.receiving)
        return identity
    }

    func seal(_ bytes: Span<UInt8>, into output: inout [UInt8]) throws(ParleyError) {
        do throws(ParleyError) {
            guard try sending?.sealMessages(bytes, into: &output) != nil else { throw notOpen }
        } catch {
            sending = nil
            throw error
        }
    }

    func open(
        _ buffer: inout [UInt8],
        at start: Int,
        count: Int
    ) throws(ParleyError) -> Range<Int> {
        do throws(ParleyError) {
            guard let content = try receiving?.openMessage(&buffer, at: start, count: count) else {
                throw notOpen
            }
            return content
        } catch {
            receiving = nil
            throw error
        }
    }

    private var notOpen: ParleyError {
        ParleyError(.securityFailed, "the session has failed, or its handshake is not complete")
    }

    private func append(_ message: [UInt8], to output: inout [UInt8]) {
        output.append(lengthOfMessage: message.count)
        output += message
    }
}
