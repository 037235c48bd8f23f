#if !FUZZ
    import Parley

    @testable import ParleyNoise
#endif

/// Two nodes with known keys, and what they say to each other in a handshake that nobody disturbs.
enum NoiseParties {
    static let dialer = Party(seed: 1)
    static let listener = Party(seed: 2)

    /// The three messages of the handshake, without their lengths.
    static let messages: [[UInt8]] = {
        let (one, other) = (dialer.link(.initiator), listener.link(.responder))
        var messages: [[UInt8]] = []
        var said = started(one)
        for link in [other, one, other] {
            messages.append(Array(said.dropFirst(2)))
            (said, _) = accepted(messages[messages.count - 1], by: link)
        }
        return messages
    }()

    /// Both ends of a link after its handshake.
    static func linked() -> (dialer: NoiseLink, listener: NoiseLink) {
        let (one, other) = (dialer.link(.initiator), listener.link(.responder))
        _ = started(one)
        for (message, link) in zip(messages, [other, one, other]) { _ = accepted(message, by: link) }
        return (one, other)
    }

    /// What a link says first.
    static func started(_ link: NoiseLink) -> [UInt8] {
        var output: [UInt8] = []
        do throws(ParleyError) { try link.begin(into: &output) } catch { fatalError("\(error)") }
        return output
    }

    private static func accepted(_ message: [UInt8], by link: NoiseLink) -> ([UInt8], PeerID?) {
        var output: [UInt8] = []
        do throws(ParleyError) {
            let id = try link.advance(message, into: &output)?.id
            return (output, id)
        } catch { fatalError("an honest message is refused: \(error)") }
    }
}

/// A node whose keys follow from a number.
struct Party: Sendable {
    let identity: Identity
    let staticKey: KeyPair
    private let ephemeral: KeyPair

    init(seed: UInt8) {
        var seedBytes = [UInt8](repeating: seed, count: Sodium.keyBytes)
        let publicKey = Sodium.signingPublicKey(of: Secret(wiping: &seedBytes))
        var key: [UInt8] = [0x08, 0x01, 0x12, 0x40]
        key += [UInt8](repeating: seed, count: Sodium.keyBytes) + publicKey
        do throws(ParleyError) { identity = try Identity(wiping: &key) } catch { fatalError("\(error)") }
        var staticBytes = [UInt8](repeating: seed &+ 0x10, count: Sodium.keyBytes)
        var ephemeralBytes = [UInt8](repeating: seed &+ 0x20, count: Sodium.keyBytes)
        staticKey = KeyPair(Secret(wiping: &staticBytes))
        ephemeral = KeyPair(Secret(wiping: &ephemeralBytes))
    }

    var payload: [UInt8] { NoisePayload(identity, staticKey: staticKey.publicKey).encoded }

    /// This node's side of a new link.
    func link(_ role: NoiseXX.Role, expecting expected: PeerID? = nil) -> NoiseLink {
        NoiseLink(
            NoiseXX(role, staticKey: staticKey, ephemeral: ephemeral),
            payload: payload,
            expecting: expected
        )
    }
}

/// What somebody on the way does to messages: four bytes for each change, `message and kind | place | value`.
struct NoiseChanges {
    private let bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    /// Makes the changes, at most 4,096: each may move a long message.
    func apply(to messages: inout [[UInt8]]) {
        var rest = bytes.prefix(4 * 4_096)
        while rest.count >= 4, !messages.isEmpty {
            let change = Array(rest.prefix(4))
            rest = rest.dropFirst(4)
            let index = Int(change[0] >> 3) % messages.count
            let length = messages[index].count
            let place = (Int(change[1]) << 8 | Int(change[2])) % (length + 1)
            switch change[0] & 7 {
            case 0 where place < length: messages[index][place] ^= change[3]
            case 1: messages[index].removeLast(length - place)
            case 2: messages[index] += [UInt8](repeating: change[3], count: Int(change[3]))
            case 3: messages.insert(messages[index], at: messages.count > 64 ? 0 : index)
            case 4: messages.swapAt(index, place % messages.count)
            case 5: messages[index].insert(change[3], at: place)
            case 6 where place < length: messages[index].remove(at: place)
            case 7: messages.remove(at: index)
            default: break
            }
        }
    }
}
