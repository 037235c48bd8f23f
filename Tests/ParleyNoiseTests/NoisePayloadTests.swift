import Parley
import Testing

@testable import ParleyNoise

@Suite struct NoisePayloadTests {
    static let staticKey = "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f"
    /// Ed25519 signatures are the same from every implementation; this one is of Python's cryptography.
    static let signature = """
        a0381ec5f8954ac607c1059e453ca7d6bf2456009e8b7c262b06a418f3685dfc951b443e04084e41
        bbc282b6387462059ee65bc28d5b286d804a25f5c0916507
        """
    static let key = "08011220" + IdentityTests.publicKey
    static let known = bytes("0a24" + key + "1240" + signature)

    private func identity() throws -> Identity {
        var key = bytes("08011240" + IdentityTests.seed + IdentityTests.publicKey)
        return try Identity(wiping: &key)
    }

    @Test func `its bytes are those of the specification`() throws {
        let payload = NoisePayload(try identity(), staticKey: bytes(Self.staticKey))
        #expect(payload.signature == bytes(Self.signature))
        #expect(payload.encoded == Self.known)
        #expect(try NoisePayload(Self.known, staticKey: bytes(Self.staticKey)) == payload)
    }

    @Test func `the names of stream forms go with it`() throws {
        var payload = NoisePayload(try identity(), staticKey: bytes(Self.staticKey))
        payload.streamMuxers = ["/yamux/1.0.0", "/mplex/6.7.0"]
        let encoded = payload.encoded
        // Field 4 of 28 bytes: field 2 twice, of 12 bytes each.
        #expect(
            encoded == Self.known + bytes("221c120c") + [UInt8]("/yamux/1.0.0".utf8) + bytes("120c")
                + [UInt8]("/mplex/6.7.0".utf8)
        )
        #expect(try NoisePayload(encoded, staticKey: bytes(Self.staticKey)) == payload)
    }

    /// Fields that this side does not know: a number, a fixed one of each length, bytes.
    @Test(arguments: ["280a", "310102030405060708", "3d01020304", "4a03010203", "2206" + "0a0401020304"])
    func `unknown fields are passed over`(field: String) throws {
        for bytes in [Self.known + bytes(field), bytes(field) + Self.known] {
            let payload = try NoisePayload(bytes, staticKey: ParleyNoiseTests.bytes(Self.staticKey))
            #expect(payload.id.description == IdentityTests.id)
            #expect(payload.streamMuxers.isEmpty)
        }
    }

    @Test(arguments: [
        ("", "no identity"),
        ("0a24" + key, "no identity"),
        ("1240" + signature, "no identity"),
        ("0a24" + key + "0a24" + key + "1240" + signature, "second identity"),
        ("0a24" + key + "1240" + signature + "1240" + signature, "second signature"),
        ("0a24" + key + "1240" + signature + "22002200", "second list"),
        ("0a24" + "08011220" + IdentityTests.seed + "1240" + signature, "has not signed"),
        ("0a24" + "08021220" + IdentityTests.publicKey + "1240" + signature, "not an Ed25519 key"),
        ("0a25" + key + "00" + "1240" + signature, "not an Ed25519 key"),
        ("0a24" + key + "1200", "has not signed"),
        ("0a24" + key + "1241" + signature + "00", "has not signed"),
        ("0801" + "1240" + signature, "is malformed"),
        ("0a24" + key + "1001", "is malformed"),
        // Not protocol buffers at all.
        ("0a", "malformed"), ("0a24", "malformed"), ("0a25" + key, "malformed"),
        ("0affffffffffffffffff01", "malformed"),
        ("ff", "malformed"), ("0b", "malformed"), ("0c", "malformed"), ("02", "malformed"),
        ("280a8080808080808080808001", "malformed"), ("08ffffffffffffffffff02", "malformed"),
        ("3d010203", "malformed"), ("310102030405", "malformed"), ("2202120c", "malformed"),
    ])
    func `everything else ends the handshake`(hex: String, complaint: String) {
        let error = #expect(throws: ParleyError.self) {
            try NoisePayload(bytes(hex), staticKey: bytes(Self.staticKey))
        }
        #expect(error?.code == .securityFailed)
        #expect(error?.message.contains(complaint) == true, "\(error?.message ?? "")")
    }

    @Test func `it vouches for one static key`() throws {
        var other = bytes(Self.staticKey)
        other[0] ^= 1
        let error = #expect(throws: ParleyError.self) { try NoisePayload(Self.known, staticKey: other) }
        #expect(error?.message.contains(IdentityTests.id) == true)
    }

    @Test func `any cut payload is refused`() {
        for count in 0..<Self.known.count {
            #expect(throws: ParleyError.self, "\(count) bytes") {
                try NoisePayload(Array(Self.known.prefix(count)), staticKey: bytes(Self.staticKey))
            }
        }
    }
}
