import Parley

/// The handshake `Noise_XX_25519_ChaChaPoly_SHA256`, as a value without I/O.
///
/// Each side shows its static key to the other, encrypted, and proves that it has the private key. Three
/// messages, of which the initiator sends the first and the last:
///
///     -> e
///     <- e, ee, s, es
///     -> s, se
///
/// ``write(_:)`` and ``read(_:)`` alternate; ``session()`` ends the handshake. A message that arrives out of
/// turn, or that cannot be read, ends it too: every later call throws the same error.
///
/// Source: the Noise Protocol Framework, sections 5 and 7.5, <https://noiseprotocol.org/noise.html>.
struct NoiseXX: Sendable {
    /// The side of the handshake: the dialer initiates.
    enum Role: Sendable { case initiator, responder }

    private static let name = "Noise_XX_25519_ChaChaPoly_SHA256"

    private enum Step {
        case first, second, third, done
        case failed(ParleyError)

        var next: Step {
            switch self {
            case .first: .second
            case .second: .third
            case .third, .done: .done
            case .failed: self
            }
        }
    }

    let role: Role
    private var step = Step.first
    private let staticKey: KeyPair
    /// This handshake's key. It is made when this side shows it: whoever connects and says nothing costs no
    /// key.
    private var ephemeral: KeyPair?
    private var remoteEphemeral: [UInt8] = []
    /// The other side's static key, once a message has shown it.
    private(set) var remoteStatic: [UInt8]?
    private var symmetric: SymmetricState

    /// - Parameters:
    ///   - staticKey: this side's key.
    ///   - ephemeral: this handshake's key; nil for a new one, except in tests of known messages.
    ///   - prologue: what both sides must agree on.
    init(
        _ role: Role,
        staticKey: KeyPair,
        ephemeral: KeyPair? = nil,
        prologue: [UInt8] = []
    ) {
        self.role = role
        self.staticKey = staticKey
        self.ephemeral = ephemeral
        symmetric = SymmetricState(name: Self.name)
        symmetric.mix(hash: prologue)
    }

    /// Whether it is this side's turn to write.
    var writesNext: Bool {
        switch step {
        case .first, .third: role == .initiator
        case .second: role == .responder
        case .done, .failed: false
        }
    }

    /// Whether all three messages are written and read.
    var isDone: Bool { if case .done = step { true } else { false } }

    /// A hash of the whole handshake, the same on both sides.
    var handshakeHash: [UInt8] { symmetric.hash }

    /// Makes the next message, which carries `payload`.
    ///
    /// The payload of the first message is readable by anybody, that of the second by whoever answers as the
    /// initiator.
    mutating func write(_ payload: [UInt8] = []) throws(ParleyError) -> [UInt8] {
        try proceed { (handshake) throws(ParleyError) in try handshake.makeMessage(payload) }
    }

    /// Reads the next message. Returns its payload.
    mutating func read(_ message: [UInt8]) throws(ParleyError) -> [UInt8] {
        try proceed { (handshake) throws(ParleyError) in try handshake.takeMessage(message) }
    }

    private mutating func makeMessage(_ payload: [UInt8]) throws(ParleyError) -> [UInt8] {
        guard writesNext else { throw ParleyError(.securityFailed, "it is not this side's turn") }
        var message: [UInt8] = []
        switch step {
        case .first: writeEphemeral(to: &message)
        case .second:
            writeEphemeral(to: &message)
            try mix(ephemeral, remoteEphemeral)
            message += try symmetric.seal(staticKey.publicKey)
            try mix(staticKey, remoteEphemeral)
        case .third:
            message += try symmetric.seal(staticKey.publicKey)
            try mix(staticKey, remoteEphemeral)
        case .done, .failed: break
        }
        message += try symmetric.seal(payload)
        let limit = SecureMessage.maxBytes
        guard message.count <= limit else {
            throw ParleyError(.securityFailed, "the handshake message is over \(limit) bytes")
        }
        return message
    }

    private mutating func takeMessage(_ message: [UInt8]) throws(ParleyError) -> [UInt8] {
        guard !writesNext, !isDone else {
            throw ParleyError(.securityFailed, "a handshake message came out of turn")
        }
        var rest = message[...]
        switch step {
        case .first: try readEphemeral(from: &rest)
        case .second:
            try readEphemeral(from: &rest)
            try mix(ephemeral, remoteEphemeral)
            try mix(ephemeral, try readStatic(from: &rest))
        case .third: try mix(ephemeral, try readStatic(from: &rest))
        case .done, .failed: break
        }
        return try symmetric.open(Array(rest))
    }

    /// Makes the session of a complete handshake. The handshake is of no further use.
    mutating func session() throws(ParleyError) -> NoiseSession {
        guard isDone else { throw ParleyError(.securityFailed, "the handshake is not complete") }
        let (first, second) = symmetric.split()
        step = .failed(ParleyError(.securityFailed, "the handshake is over"))
        return role == .initiator
            ? NoiseSession(sending: first, receiving: second)
            : NoiseSession(sending: second, receiving: first)
    }

    /// Makes one step, after which the handshake is at the next one or has failed for good.
    private mutating func proceed(
        _ body: (inout Self) throws(ParleyError) -> [UInt8]
    ) throws(ParleyError) -> [UInt8] {
        if case .failed(let error) = step { throw error }
        do throws(ParleyError) {
            let result = try body(&self)
            step = step.next
            return result
        } catch {
            step = .failed(error)
            throw error
        }
    }

    private mutating func writeEphemeral(to message: inout [UInt8]) {
        let pair = ephemeral ?? KeyPair()
        ephemeral = pair
        message += pair.publicKey
        symmetric.mix(hash: pair.publicKey)
    }

    private mutating func readEphemeral(from message: inout ArraySlice<UInt8>) throws(ParleyError) {
        remoteEphemeral = try take(Sodium.keyBytes, from: &message)
        symmetric.mix(hash: remoteEphemeral)
    }

    private mutating func readStatic(from message: inout ArraySlice<UInt8>) throws(ParleyError) -> [UInt8] {
        let key = try symmetric.open(try take(Sodium.keyBytes + Sodium.tagBytes, from: &message))
        remoteStatic = key
        return key
    }

    private func take(_ count: Int, from message: inout ArraySlice<UInt8>) throws(ParleyError) -> [UInt8] {
        guard message.count >= count else {
            throw ParleyError(.securityFailed, "a handshake message is too short")
        }
        defer { message = message.dropFirst(count) }
        return Array(message.prefix(count))
    }

    private mutating func mix(_ pair: KeyPair?, _ publicKey: [UInt8]) throws(ParleyError) {
        guard let pair else { preconditionFailure("this side has shown no key yet") }
        guard let shared = Sodium.agree(pair.secret, with: publicKey) else {
            throw ParleyError(.securityFailed, "the other side's key is of low order")
        }
        symmetric.mix(key: shared)
    }
}

/// An X25519 key pair.
package struct KeyPair: Sendable {
    let secret: Secret
    package let publicKey: [UInt8]
}

extension KeyPair {
    /// Makes a new pair.
    package init() { self.init(Secret(random: Sodium.keyBytes)) }

    /// The pair of a private key.
    init(_ secret: Secret) {
        self.secret = secret
        publicKey = Sodium.publicKey(of: secret)
    }

    /// No pair: a new private key and somebody's public key, for programs that attack nodes.
    package init(showing publicKey: [UInt8]) {
        precondition(publicKey.count == Sodium.keyBytes)
        self.init(secret: Secret(random: Sodium.keyBytes), publicKey: publicKey)
    }
}

/// What a handshake has agreed on so far (section 5.2).
private struct SymmetricState {
    private(set) var hash: [UInt8]
    private var chainingKey: Secret
    private var cipher: CipherState?

    init(name: String) {
        var bytes = [UInt8](name.utf8)
        // Longer names would be hashed.
        precondition(bytes.count <= Sodium.keyBytes)
        bytes += repeatElement(0, count: Sodium.keyBytes - bytes.count)
        hash = bytes
        chainingKey = Secret(wiping: &bytes)
    }

    mutating func mix(hash bytes: [UInt8]) { hash = Sodium.hash(hash, bytes) }

    mutating func mix(key: Secret) {
        let (next, temporary) = derive(from: key)
        chainingKey = next
        cipher = CipherState(key: temporary)
    }

    /// Encrypts bytes, or leaves them as they are before there is a key.
    mutating func seal(_ bytes: [UInt8]) throws(ParleyError) -> [UInt8] {
        guard cipher != nil else {
            mix(hash: bytes)
            return bytes
        }
        var buffer = bytes + repeatElement(0, count: Sodium.tagBytes)
        try cipher?.seal(&buffer, at: 0, count: bytes.count, associated: hash)
        mix(hash: buffer)
        return buffer
    }

    /// Reverses ``seal(_:)``.
    mutating func open(_ bytes: [UInt8]) throws(ParleyError) -> [UInt8] {
        let before = hash
        mix(hash: bytes)
        guard cipher != nil else { return bytes }
        guard bytes.count >= Sodium.tagBytes else {
            throw ParleyError(.securityFailed, "a handshake message is too short")
        }
        var buffer = bytes
        try cipher?.open(&buffer, at: 0, count: bytes.count, associated: before)
        buffer.removeLast(Sodium.tagBytes)
        return buffer
    }

    /// The keys of the two directions, the initiator's first.
    func split() -> (CipherState, CipherState) {
        let (first, second) = derive(from: nil)
        return (CipherState(key: first), CipherState(key: second))
    }

    /// HKDF with two outputs (section 4.3).
    private func derive(from key: Secret?) -> (Secret, Secret) {
        let temporary = Sodium.authenticate(key, [], by: chainingKey)
        let first = Sodium.authenticate(nil, [1], by: temporary)
        return (first, Sodium.authenticate(first, [2], by: temporary))
    }
}
