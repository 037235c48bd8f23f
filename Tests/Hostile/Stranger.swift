import FaultProxy
import Parley
import ParleyNoise

/// One connection to a secured node that does something wrong: what it says, and what it answers. Bytes in,
/// bytes out, no socket.
final class Stranger {
    private let behaviour: Campaign.Behaviour
    /// Which of the ways of its behaviour, and at which place.
    private let choice: UInt64
    private let session: any SecureSession
    private let strangers: Strangers
    private var heard: [UInt8] = []
    /// Whether the node has answered with a message of the handshake.
    private(set) var isAnswered = false
    /// Whether it says no more and ends, once everything is said.
    private(set) var ends = false

    init(
        _ behaviour: Campaign.Behaviour,
        _ choice: UInt64,
        _ session: any SecureSession,
        of strangers: Strangers
    ) {
        self.behaviour = behaviour
        self.choice = choice
        self.session = session
        self.strangers = strangers
    }

    /// Whether it leaves at once.
    var leaves: Bool { behaviour == .first && isAnswered }

    private var isFirstWay: Bool { choice & 1 == 0 }

    /// What it says first.
    func opening() -> [UInt8] {
        switch behaviour {
        // Almost all bytes are a public key.
        case .first, .half: return Strangers.message(strangers.noise(32, choice))
        case .lowOrder where isFirstWay:
            return Strangers.message(Strangers.lowOrder[Int(choice >> 1) % Strangers.lowOrder.count])
        case .garbage where isFirstWay:
            return choice & 2 == 0
                ? Strangers.message(strangers.noise(1 + Int(choice >> 8 % 31), choice))
                : [0xff, 0xff] + strangers.noise(1_000, choice)
        default: return said { (output) throws(ParleyError) in try session.begin(into: &output) }
        }
    }

    /// Takes bytes of the node.
    ///
    /// - Returns: what it says to them.
    func hear(_ bytes: [UInt8]) -> [UInt8] {
        guard !isAnswered else { return [] }
        heard += bytes
        guard heard.count >= 2 else { return [] }
        let length = Int(heard[0]) << 8 | Int(heard[1])
        guard heard.count >= 2 + length else { return [] }
        isAnswered = true
        guard behaviour != .first, behaviour != .half else { return [] }
        return answer(Array(heard[2..<2 + length]))
    }

    /// The rest of what it says, behind the node's message of the handshake.
    private func answer(_ message: [UInt8]) -> [UInt8] {
        var last = said { (output) throws(ParleyError) in _ = try session.advance(message, into: &output) }
        guard !last.isEmpty else { return [] }
        switch behaviour {
        case .tag where isFirstWay: flip(&last, from: 2)
        case .replay where isFirstWay: swap(&last, &strangers.lastOfAnother)
        case .garbage: last = Strangers.message(strangers.noise(last.count - 2, choice))
        case .truncated where choice & 6 == 0:
            ends = true
            return Array(last.dropLast(1 + Int(choice >> 8) % (last.count - 1)))
        default: break
        }
        return last + sealed(Greeting.bytes) + rest()
    }

    /// What comes behind its greeting. The node's application may see none of it but ``Request/once(_:)``.
    private func rest() -> [UInt8] {
        let forged = Request.forgedMessage
        switch behaviour {
        case .tag:
            var message = sealed(Strangers.frame(forged))
            flip(&message, from: 2)
            return message + sealed(Strangers.frame(forged))
        case .replay:
            let message = sealed(Strangers.frame(Request.onceMessage(choice)))
            return message + message + sealed(Strangers.frame(forged))
        case .truncated:
            var message = sealed(Strangers.frame(forged))
            if choice & 2 == 0 {
                ends = true
                return message.dropLast(1 + Int(choice >> 8) % (message.count - 1))
            }
            message[1] -= UInt8(1 + choice >> 8 % 8)
            return message
        case .reordered:
            let first = sealed(Strangers.frame(forged))
            return sealed(Strangers.frame(forged)) + first
        default: return sealed(Strangers.frame(forged))
        }
    }

    private func flip(_ bytes: inout [UInt8], from start: Int) {
        let place = start + Int(choice >> 8) % (bytes.count - start)
        bytes[place] ^= 1 << (choice >> 4 & 7)
    }

    private func sealed(_ bytes: [UInt8]) -> [UInt8] {
        said { (output) throws(ParleyError) in try session.seal(bytes.span, into: &output) }
    }

    /// What the session appends; nothing when it cannot go on.
    private func said(_ body: (inout [UInt8]) throws(ParleyError) -> Void) -> [UInt8] {
        var output: [UInt8] = []
        do throws(ParleyError) { try body(&output) } catch { return [] }
        return output
    }
}

/// The keys of the strangers of one attack.
final class Strangers {
    private let honest = NoiseSecurity(Identity())
    private let unwanted: NoiseSecurity
    private let lowOrderStatic: [NoiseSecurity]
    private let foreign: [NoiseSecurity]
    /// The last message of another connection's handshake.
    fileprivate var lastOfAnother = [UInt8](repeating: 0, count: 170)

    init(unwanted key: [UInt8]) {
        var bytes = key
        guard let identity = try? Identity(wiping: &bytes) else {
            preconditionFailure("the order holds no identity")
        }
        unwanted = NoiseSecurity(identity)
        let (mine, victim) = (Identity(), Identity())
        lowOrderStatic = Self.lowOrder.map { point in
            let payload = NoisePayload(mine, staticKey: point).encoded
            return NoiseSecurity(id: mine.id, staticKey: KeyPair(showing: point), payload: payload)
        }
        let (pair, other) = (KeyPair(), KeyPair())
        let own = NoisePayload(mine, staticKey: pair.publicKey).encoded
        let theirs = NoisePayload(victim, staticKey: other.publicKey).encoded
        let identityBytes = 2 + victim.id.publicKeyProtobuf.count
        foreign = [
            // What the victim has shown in another handshake, for another key.
            theirs,
            // The victim's identity, and a signature by one's own.
            Array(theirs.prefix(identityBytes) + own.dropFirst(identityBytes)),
            // No signature.
            Array(theirs.prefix(identityBytes)),
        ].map { NoiseSecurity(id: victim.id, staticKey: pair, payload: $0) }
    }

    /// Makes one; nil for behaviours of which none is a stranger's.
    func make(_ behaviour: Campaign.Behaviour, _ random: inout SeededGenerator) -> Stranger? {
        guard behaviour.aim == .secured else { return nil }
        let choice = random.next()
        let security =
            switch behaviour {
            case .unwanted: unwanted
            case .lowOrder: lowOrderStatic[Int(choice >> 1) % lowOrderStatic.count]
            case .foreign: foreign[Int(choice >> 1) % foreign.count]
            default: honest
            }
        let session = security.makeSession(isInitiator: true, expecting: nil)
        return Stranger(behaviour, choice, session, of: self)
    }

    /// A session of somebody who is allowed.
    func makeHonestSession() -> any SecureSession {
        honest.makeSession(isInitiator: true, expecting: nil)
    }

    // MARK: Bytes

    fileprivate func noise(_ count: Int, _ seed: UInt64) -> [UInt8] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// A message of the handshake with its length.
    fileprivate static func message(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xff)] + bytes
    }

    /// A message of the framed form.
    fileprivate static func frame(_ text: [UInt8]) -> [UInt8] { [1, 0, 0, 0, UInt8(text.count)] + text }

    /// Points of low order on Curve25519: <https://cr.yp.to/ecdh.html#validate>.
    fileprivate static let lowOrder: [[UInt8]] = {
        func point(_ first: UInt8, _ middle: UInt8, _ last: UInt8) -> [UInt8] {
            [first] + [UInt8](repeating: middle, count: 30) + [last]
        }
        return [
            point(0, 0, 0), point(1, 0, 0), point(0xec, 0xff, 0x7f), point(0xed, 0xff, 0x7f),
            point(0xee, 0xff, 0x7f),
            [
                0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
                0x6a,
                0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8,
                0x00,
            ],
            [
                0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
                0x5b,
                0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11,
                0x57,
            ],
        ]
    }()
}
