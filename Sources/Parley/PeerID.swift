/// The identity of a node: the libp2p peer id of its Ed25519 public key.
///
/// Two nodes have the same id only if they have the same private key. The usual text is base58btc and begins
/// with `12D3KooW`; a CIDv1, which begins with `bafz`, is read too.
///
/// Source: <https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md>.
public struct PeerID: Sendable, Hashable {
    // The key as four big-endian words: an array would be an allocation, and a copy would count references.
    private let first: UInt64
    private let second: UInt64
    private let third: UInt64
    private let fourth: UInt64

    /// The number of bytes of an Ed25519 public key.
    private static let keyBytes = 32
    /// What precedes the key in the multihash: the code of "identity", the length, and the protobuf of an
    /// Ed25519 public key up to its bytes.
    private static let prefix: [UInt8] = [0x00, 0x24] + protobufPrefix
    private static let protobufPrefix: [UInt8] = [0x08, 0x01, 0x12, 0x20]
    /// What precedes the multihash in a CIDv1: the version, and the code of "libp2p-key".
    private static let cidPrefix: [UInt8] = [0x01, 0x72]
    /// No text of a peer id is longer, whatever its key.
    private static let maxTextBytes = 128

    /// Makes the id of a public key.
    ///
    /// - Parameter publicKey: the 32 bytes of an Ed25519 key (RFC 8032).
    /// - Throws: ``ParleyError`` `invalidArgument` when there are not 32.
    public init(publicKey: some Collection<UInt8>) throws(ParleyError) {
        guard publicKey.count == Self.keyBytes else {
            throw ParleyError(
                .invalidArgument,
                "an Ed25519 public key has \(Self.keyBytes) bytes, not \(publicKey.count)"
            )
        }
        var bytes = publicKey.makeIterator()
        func word() -> UInt64 { (0..<8).reduce(0) { word, _ in word << 8 | UInt64(bytes.next() ?? 0) } }
        first = word()
        second = word()
        third = word()
        fourth = word()
    }

    /// Reads the protobuf of a public key, as a node sends it in a handshake.
    ///
    /// - Returns: nil when it is not exactly that of an Ed25519 key.
    package init?(publicKeyProtobuf bytes: some Collection<UInt8>) {
        guard bytes.starts(with: Self.protobufPrefix) else { return nil }
        try? self.init(publicKey: bytes.dropFirst(Self.protobufPrefix.count))
    }

    /// Reads the bytes of a peer id, which are a multihash.
    ///
    /// - Throws: ``ParleyError`` `invalidAddress`, whose message names the fault.
    public init(bytes: some Collection<UInt8>) throws(ParleyError) {
        if let fault = Self.fault(of: bytes) { throw ParleyError(.invalidAddress, "the peer id \(fault)") }
        try self.init(publicKey: bytes.dropFirst(Self.prefix.count))
    }

    /// Parses a peer id in base58btc (`12D3KooW…`) or as a CIDv1 in base32 (`bafz…`).
    ///
    /// - Throws: ``ParleyError`` `invalidAddress`, whose message names the fault.
    public init(_ text: String) throws(ParleyError) {
        func invalid(_ why: String) -> ParleyError {
            ParleyError(.invalidAddress, "peer id \"\(text.prefix(Self.maxTextBytes))\" \(why)")
        }
        guard !text.isEmpty else { throw invalid("is empty") }
        guard text.utf8.count <= Self.maxTextBytes else { throw invalid("is too long") }
        var multihash: [UInt8]
        switch text.utf8.first {
        case UInt8(ascii: "1"), UInt8(ascii: "Q"):
            guard let bytes = Base58.decode(text) else { throw invalid("is not base58btc") }
            multihash = bytes
        case UInt8(ascii: "b"):
            guard let bytes = Base32.decode(text.dropFirst()) else { throw invalid("is not base32") }
            guard bytes.starts(with: Self.cidPrefix) else { throw invalid("is not the CIDv1 of a key") }
            multihash = Array(bytes.dropFirst(Self.cidPrefix.count))
        default: throw invalid("begins neither with 12D3KooW nor with bafz")
        }
        if let fault = Self.fault(of: multihash) { throw invalid(fault) }
        try self.init(publicKey: multihash.dropFirst(Self.prefix.count))
    }

    /// Why a multihash is not the id of an Ed25519 key; nil when it is.
    private static func fault(of multihash: some Collection<UInt8>) -> String? {
        if multihash.starts(with: prefix) {
            return multihash.count == prefix.count + keyBytes ? nil : "has the wrong length"
        }
        // A SHA-256, for RSA and ECDSA; or another key as it is, whose protobuf begins with its kind.
        let isHash = multihash.count == 34 && multihash.starts(with: [0x12, 0x20])
        let isKey =
            multihash.first == 0x00 && multihash.dropFirst(2).first == 0x08
            && multihash.dropFirst().first.map(Int.init) == multihash.count - 2
        return isHash || isKey
            ? "belongs to a key that is not Ed25519, the only kind known here"
            : "does not hold a key"
    }

    /// The 32 bytes of the Ed25519 public key.
    public var publicKey: [UInt8] {
        [first, second, third, fourth].flatMap { word in
            stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) }
        }
    }

    /// The bytes of the peer id, which are a multihash: what libp2p writes in a protobuf.
    public var bytes: [UInt8] { Self.prefix + publicKey }

    /// The protobuf of the public key, as a node sends it in a handshake.
    package var publicKeyProtobuf: [UInt8] { Self.protobufPrefix + publicKey }

    /// The id as a CIDv1 in base32 (`bafz…`).
    public var cid: String { "b" + Base32.encode(Self.cidPrefix + bytes) }
}

extension PeerID: Comparable {
    /// The order of the keys' bytes.
    public static func < (one: Self, other: Self) -> Bool {
        (one.first, one.second, one.third, one.fourth) < (
            other.first, other.second, other.third, other.fourth
        )
    }
}

extension PeerID: CustomStringConvertible {
    /// The id in base58btc, `12D3KooW…`.
    public var description: String { Base58.encode(bytes) }
}
