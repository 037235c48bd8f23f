import CSodium
import Parley

// Everything that is called of libsodium, and the only unsafe pointers of this module. The functions take and
// return values; keys that have to stay secret are in objects that wipe themselves.

/// Secret bytes. They are never printed, compared in constant time, and wiped when the last reference is
/// gone.
struct Secret: @unchecked Sendable {
    // Immutable once it is made, so any thread may read it.
    private let memory: Memory

    /// The number of the bytes and the bytes, in one allocation: an open link has two of them.
    private final class Memory: ManagedBuffer<Int, UInt8> {
        deinit { withUnsafeMutablePointers { count, bytes in sodium_memzero(bytes, count.pointee) } }
    }

    /// Lets `fill` set the bytes, which are zero before.
    fileprivate init(count: Int, _ fill: (UnsafeMutablePointer<UInt8>) -> Void) {
        let memory = Memory.create(minimumCapacity: count) { _ in count }
        memory.withUnsafeMutablePointerToElements { bytes in
            bytes.initialize(repeating: 0, count: count)
            fill(bytes)
        }
        self.memory = unsafeDowncast(memory, to: Memory.self)
    }

    /// Takes the bytes over, and wipes the array.
    init(wiping bytes: inout [UInt8]) {
        self.init(count: bytes.count) { $0.update(from: bytes, count: bytes.count) }
        wipe(&bytes)
    }

    /// New bytes from the system's random source.
    init(random count: Int) {
        Sodium.prepare()
        self.init(count: count) { randombytes_buf($0, count) }
    }

    var count: Int { memory.header }

    /// A part of the bytes as a secret of its own.
    subscript(range: Range<Int>) -> Secret {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return Secret(count: range.count) { $0.update(from: pointer + range.lowerBound, count: range.count) }
    }

    /// A copy of the bytes, which the caller has to ``wipe(_:)``.
    var exposed: [UInt8] { [UInt8](UnsafeBufferPointer(start: pointer, count: count)) }

    fileprivate var pointer: UnsafePointer<UInt8> {
        memory.withUnsafeMutablePointerToElements { UnsafePointer($0) }
    }

    /// Where the bytes are, for the test that looks at them after the end.
    var address: UInt { UInt(bitPattern: pointer) }
}

extension Secret: Equatable {
    static func == (one: Secret, other: Secret) -> Bool {
        one.count == other.count && sodium_memcmp(one.pointer, other.pointer, one.count) == 0
    }
}

extension Secret: CustomStringConvertible, CustomReflectable {
    var description: String { "\(count) secret bytes" }
    var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Overwrites the bytes with zeros, which the compiler cannot leave out. Other copies of the array stay as
/// they are.
func wipe(_ bytes: inout [UInt8]) {
    bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { sodium_memzero(base, $0.count) } }
}

/// The operations that Noise and the identities are made of.
enum Sodium {
    /// The bytes of a key, a public key, or a hash.
    static let keyBytes = 32
    /// The bytes of an authentication tag.
    static let tagBytes = SecureMessage.tagBytes
    /// The bytes of an Ed25519 signature.
    static let signatureBytes = 64

    private static let isReady = sodium_init() >= 0

    /// Prepares the library, once. It fails only where the system has no random source.
    static func prepare() { precondition(isReady, "libsodium cannot be used: no random source") }

    // MARK: X25519 (RFC 7748)

    /// The public key of a private key.
    static func publicKey(of secret: Secret) -> [UInt8] {
        precondition(secret.count == keyBytes)
        prepare()
        return [UInt8](unsafeUninitializedCapacity: keyBytes) { key, count in
            // Fails for no private key.
            _ = crypto_scalarmult_base(key.baseAddress!, secret.pointer)
            count = keyBytes
        }
    }

    /// The secret that two key pairs share; nil when the other side's key is of low order, which would make
    /// it zero.
    static func agree(_ secret: Secret, with publicKey: [UInt8]) -> Secret? {
        precondition(secret.count == keyBytes && publicKey.count == keyBytes)
        prepare()
        var status: Int32 = 0
        let shared = Secret(count: keyBytes) { status = crypto_scalarmult($0, secret.pointer, publicKey) }
        return status == 0 ? shared : nil
    }

    // MARK: Ed25519 (RFC 8032)

    /// The public key of the 32 bytes from which a key pair is made.
    static func signingPublicKey(of seed: Secret) -> [UInt8] {
        withSigningKey(of: seed) { _, publicKey in publicKey }
    }

    static func sign(_ message: [UInt8], with seed: Secret) -> [UInt8] {
        withSigningKey(of: seed) { key, _ in
            [UInt8](unsafeUninitializedCapacity: signatureBytes) { signature, count in
                _ = crypto_sign_detached(
                    signature.baseAddress!,
                    nil,
                    message,
                    UInt64(message.count),
                    key.pointer
                )
                count = signatureBytes
            }
        }
    }

    private static func withSigningKey<Result>(of seed: Secret, _ body: (Secret, [UInt8]) -> Result) -> Result
    {
        precondition(seed.count == keyBytes)
        prepare()
        var publicKey = [UInt8](repeating: 0, count: keyBytes)
        let key = Secret(count: 2 * keyBytes) { _ = crypto_sign_seed_keypair(&publicKey, $0, seed.pointer) }
        return body(key, publicKey)
    }

    /// Whether `signature` is one of `message` by the owner of `publicKey`.
    static func verify(_ signature: [UInt8], of message: [UInt8], by publicKey: [UInt8]) -> Bool {
        guard signature.count == signatureBytes, publicKey.count == keyBytes else { return false }
        prepare()
        return crypto_sign_verify_detached(signature, message, UInt64(message.count), publicKey) == 0
    }

    // MARK: SHA-256 and HMAC (RFC 2104)

    static func hash(_ parts: [UInt8]...) -> [UInt8] {
        prepare()
        var state = crypto_hash_sha256_state()
        crypto_hash_sha256_init(&state)
        for part in parts { crypto_hash_sha256_update(&state, part, UInt64(part.count)) }
        return [UInt8](unsafeUninitializedCapacity: keyBytes) { hash, count in
            crypto_hash_sha256_final(&state, hash.baseAddress!)
            count = keyBytes
        }
    }

    /// HMAC-SHA256 of a secret, which may be nil for none, followed by bytes.
    static func authenticate(_ secret: Secret?, _ bytes: [UInt8], by key: Secret) -> Secret {
        prepare()
        var state = crypto_auth_hmacsha256_state()
        defer { withUnsafeMutableBytes(of: &state) { sodium_memzero($0.baseAddress!, $0.count) } }
        crypto_auth_hmacsha256_init(&state, key.pointer, key.count)
        if let secret { crypto_auth_hmacsha256_update(&state, secret.pointer, UInt64(secret.count)) }
        crypto_auth_hmacsha256_update(&state, bytes, UInt64(bytes.count))
        return Secret(count: keyBytes) { crypto_auth_hmacsha256_final(&state, $0) }
    }

    // MARK: ChaCha20-Poly1305 (RFC 8439)

    /// Seals `count` bytes of `buffer` from `start` on in place. The tag follows them, so `buffer` has 16
    /// bytes more.
    static func seal(
        _ buffer: inout [UInt8],
        at start: Int,
        count: Int,
        associated: [UInt8] = [],
        nonce: UInt64,
        key: Secret
    ) {
        precondition(start >= 0 && count >= 0 && start <= buffer.count - count - tagBytes)
        precondition(key.count == keyBytes)
        buffer.withUnsafeMutableBufferPointer { buffer in
            let bytes = buffer.baseAddress! + start
            withNonce(nonce) {
                _ = crypto_aead_chacha20poly1305_ietf_encrypt(
                    bytes,
                    nil,
                    bytes,
                    UInt64(count),
                    associated,
                    UInt64(associated.count),
                    nil,
                    $0,
                    key.pointer
                )
            }
        }
    }

    /// Seals `content` and appends it to `output` with its tag. No byte is copied on the way.
    static func seal(_ content: Span<UInt8>, into output: inout [UInt8], nonce: UInt64, key: Secret) {
        precondition(key.count == keyBytes)
        let count = content.count + tagBytes
        output.append(addingCapacity: count) { place in
            place.withUnsafeMutableBufferPointer { buffer, initialized in
                content.withUnsafeBufferPointer { content in
                    withNonce(nonce) {
                        _ = crypto_aead_chacha20poly1305_ietf_encrypt(
                            buffer.baseAddress!,
                            nil,
                            content.baseAddress,
                            UInt64(content.count),
                            nil,
                            0,
                            nil,
                            $0,
                            key.pointer
                        )
                    }
                }
                initialized = count
            }
        }
    }

    /// Opens `count` bytes of `buffer` from `start` on in place: what was sealed, and its tag. The bytes are
    /// meaningless when the tag is wrong.
    ///
    /// - Returns: whether the tag is right.
    static func open(
        _ buffer: inout [UInt8],
        at start: Int,
        count: Int,
        associated: [UInt8] = [],
        nonce: UInt64,
        key: Secret
    ) -> Bool {
        precondition(start >= 0 && count >= 0 && start <= buffer.count - count && key.count == keyBytes)
        guard count >= tagBytes else { return false }
        return buffer.withUnsafeMutableBufferPointer { buffer in
            let bytes = buffer.baseAddress! + start
            return withNonce(nonce) {
                crypto_aead_chacha20poly1305_ietf_decrypt(
                    bytes,
                    nil,
                    nil,
                    bytes,
                    UInt64(count),
                    associated,
                    UInt64(associated.count),
                    $0,
                    key.pointer
                ) == 0
            }
        }
    }

    /// Noise's nonce: 32 bits of zeros, and a number in little-endian order.
    private static func withNonce<Result>(
        _ number: UInt64,
        _ body: (UnsafePointer<UInt8>) -> Result
    ) -> Result {
        var nonce = (
            UInt32(0), UInt32(truncatingIfNeeded: number).littleEndian,
            UInt32(truncatingIfNeeded: number >> 32).littleEndian
        )
        return withUnsafeBytes(of: &nonce) { body($0.baseAddress!.assumingMemoryBound(to: UInt8.self)) }
    }
}
