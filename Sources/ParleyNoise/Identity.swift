public import Parley

/// The identity of this node: an Ed25519 key pair. Others know it by its ``id``.
///
/// Whoever has the private key is this node to everybody else, so it is never printed, and its memory is
/// wiped when the last copy of the identity is gone.
public struct Identity: Sendable {
    /// The id that other nodes see, allow and dial.
    public let id: PeerID
    /// The 32 bytes from which the key pair is made.
    private let seed: Secret

    /// Makes a new identity.
    public init() { self.init(seed: Secret(random: Sodium.keyBytes)) }

    private init(seed: Secret) {
        self.seed = seed
        guard let id = try? PeerID(publicKey: Sodium.signingPublicKey(of: seed)) else {
            preconditionFailure("a public key has 32 bytes")
        }
        self.id = id
    }

    /// Signs a message.
    func sign(_ message: [UInt8]) -> [UInt8] { Sodium.sign(message, with: seed) }
}

extension Identity: CustomStringConvertible, CustomReflectable {
    /// The id. The private key is never printed.
    public var description: String { id.description }
    /// Shows the id only.
    public var customMirror: Mirror { Mirror(self, children: ["id": id]) }
}

// MARK: - The private key as bytes

/// The form is libp2p's: the protobuf of a private key.
/// Source: <https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md>.
extension Identity {
    /// An Ed25519 key of 64 bytes: the seed, and the public key.
    private static let prefix: [UInt8] = [0x08, 0x01, 0x12, 0x40]
    /// The form of older libp2p nodes: the public key comes twice.
    private static let longPrefix: [UInt8] = [0x08, 0x01, 0x12, 0x60]
    /// The bytes of the longer form.
    package static let maxBytes = 100

    /// Reads the protobuf of a private key, and overwrites `bytes` with zeros.
    ///
    /// Other copies of the array are not overwritten: keep none.
    ///
    /// - Throws: ``ParleyError`` `invalidIdentity` when the bytes are not an Ed25519 key, or when its public
    ///   half does not belong to its private half.
    public init(wiping bytes: inout [UInt8]) throws(ParleyError) {
        let all = Secret(wiping: &bytes)
        try self.init(all, from: "the bytes")
    }

    /// - Parameter source: what messages call the place that the key comes from.
    init(_ all: Secret, from source: String) throws(ParleyError) {
        func invalid(_ why: String) -> ParleyError { ParleyError(.invalidIdentity, "\(source) \(why)") }
        let key = Sodium.keyBytes
        let prefix = all.count >= Self.prefix.count ? all[0..<Self.prefix.count].exposed : []
        let isLong = prefix == Self.longPrefix
        guard isLong || prefix == Self.prefix else {
            throw invalid("do not hold the private key of an Ed25519 identity")
        }
        let start = Self.prefix.count
        guard all.count == start + (isLong ? 3 : 2) * key else { throw invalid("have the wrong length") }
        self.init(seed: all[start..<start + key])
        for half in stride(from: start + key, to: all.count, by: key) {
            guard all[half..<half + key].exposed == id.publicKey else {
                throw invalid("hold a public key that does not belong to the private key")
            }
        }
    }

    /// Calls `body` with the protobuf of the private key, which is wiped afterwards.
    public func withPrivateKey<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        var seed = seed.exposed
        defer { wipe(&seed) }
        // Reserved, so that no append leaves a copy behind.
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.maxBytes)
        defer { wipe(&bytes) }
        bytes += Self.prefix
        bytes += seed
        bytes += id.publicKey
        return try body(bytes.span)
    }
}
