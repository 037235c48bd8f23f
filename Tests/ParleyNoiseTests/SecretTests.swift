import Foundation
import Parley
import Testing

@testable import ParleyNoise

/// Secrets in memory: how they are compared, and that they are wiped. Some tests look at freed memory.
@Suite struct SecretTests {
    @Test func `secrets are equal when every byte is`() {
        var bytes = (0..<32).map { UInt8($0) }
        let secret = makeSecret(bytes)
        #expect(secret == makeSecret(bytes))
        for position in bytes.indices {
            for bit in 0..<8 {
                bytes[position] ^= 1 << UInt8(bit)
                #expect(secret != makeSecret(bytes), "byte \(position), bit \(bit)")
                bytes[position] ^= 1 << UInt8(bit)
            }
        }
        #expect(secret != makeSecret(bytes.dropLast()))
        #expect(secret != makeSecret(bytes + [0]))
        #expect(makeSecret([]) == makeSecret([]))
    }

    /// The allocator uses the first bytes of freed memory for itself, which are not the key's. Another thread
    /// may already use it all, which does not happen several times.
    @Test(.enabled(if: !isSanitized)) func `its memory is wiped when it is let go`() throws {
        func use() -> UnsafeRawPointer {
            let secret = Secret(random: 256)
            let memory = UnsafeRawPointer(bitPattern: secret.address)!
            withExtendedLifetime(secret) {
                #expect((32..<256).contains { memory.load(fromByteOffset: $0, as: UInt8.self) != 0 })
            }
            return memory
        }
        let isWiped = (0..<8).contains { _ in
            let memory = use()
            return (32..<256).allSatisfy { memory.load(fromByteOffset: $0, as: UInt8.self) == 0 }
        }
        #expect(isWiped)
    }

    @Test(.enabled(if: !isSanitized))
    func `an open link has nothing left of the key that it made for its handshake`() throws {
        func open() throws -> (link: NoiseLink, ephemeral: Trace) {
            let ephemeral = KeyPair()
            let initiator = try makeLink(.initiator, ephemeral: ephemeral)
            let responder = try makeLink(.responder, ephemeral: nil)
            var messages: [[UInt8]] = [[], [], []]
            try initiator.begin(into: &messages[0])
            #expect(try responder.advance(Array(messages[0].dropFirst(2)), into: &messages[1]) == nil)
            let trace = Trace(of: ephemeral.secret)
            #expect(try initiator.advance(Array(messages[1].dropFirst(2)), into: &messages[2]) != nil)
            withExtendedLifetime(ephemeral) { #expect(trace.isThere) }
            return (initiator, trace)
        }
        let (link, ephemeral) = try open()
        withExtendedLifetime(link) { #expect(!ephemeral.isThere) }
    }

    @Test(.enabled(if: !isSanitized)) func `the keys of a session end with it`() throws {
        func use() throws -> [Trace] {
            var initiator = NoiseXX(.initiator, staticKey: KeyPair())
            var responder = NoiseXX(.responder, staticKey: KeyPair())
            _ = try responder.read(initiator.write())
            _ = try initiator.read(responder.write())
            _ = try responder.read(initiator.write())
            let session = try initiator.session()
            let traces = [Trace(of: session.sending.key), Trace(of: session.receiving.key)]
            withExtendedLifetime(session) { #expect(traces.allSatisfy { $0.isThere }) }
            return traces
        }
        for trace in try use() { #expect(!trace.isThere) }
    }

    private func makeSecret(_ bytes: some Sequence<UInt8>) -> Secret {
        var bytes = Array(bytes)
        return Secret(wiping: &bytes)
    }

    private func makeLink(_ role: NoiseXX.Role, ephemeral: KeyPair?) throws -> NoiseLink {
        let staticKey = KeyPair()
        return NoiseLink(
            NoiseXX(role, staticKey: staticKey, ephemeral: ephemeral),
            payload: NoisePayload(Identity(), staticKey: staticKey.publicKey).encoded,
            expecting: nil
        )
    }

    /// Where a key of 32 bytes is or was, and its second half: the allocator overwrites the first.
    private struct Trace {
        let address: UInt
        let half: [UInt8]

        init(of secret: Secret) {
            address = secret.address
            half = Array(secret.exposed[16...])
        }

        /// Whether the key can still be read there.
        var isThere: Bool {
            let memory = UnsafeRawPointer(bitPattern: address)!
            return half.indices.allSatisfy {
                memory.load(fromByteOffset: 16 + $0, as: UInt8.self) == half[$0]
            }
        }
    }

    /// A read of freed memory ends a program under AddressSanitizer.
    private static var isSanitized: Bool {
        dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
    }
}
