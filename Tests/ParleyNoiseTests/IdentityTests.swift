import Foundation
import Parley
import Testing

@testable import ParleyNoise

@Suite(.timeLimit(.minutes(5))) struct IdentityTests {
    /// The Ed25519 key of the libp2p specification "Peer Ids and Keys".
    static let seed = "7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
    static let publicKey = "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
    static let id = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"

    @Test(arguments: ["08011240" + seed + publicKey, "08011260" + seed + publicKey + publicKey])
    func `it reads libp2p's private keys`(hex: String) throws {
        var key = bytes(hex)
        let identity = try Identity(wiping: &key)
        #expect(identity.id.description == Self.id)
        #expect(identity.id.publicKey == bytes(Self.publicKey))
        #expect(key == [UInt8](repeating: 0, count: hex.count / 2))
        let written = identity.withPrivateKey { key in (0..<key.count).map { key[$0] } }
        #expect(written == bytes("08011240" + Self.seed + Self.publicKey))
    }

    @Test(arguments: [
        ("", "do not hold"), ("080112", "do not hold"), ("08011240", "wrong length"),
        ("08011240" + seed, "wrong length"), ("08011240" + seed + publicKey + "00", "wrong length"),
        ("08011260" + seed + publicKey, "wrong length"), ("08021220" + seed, "do not hold"),
        ("08011240" + seed + seed, "does not belong"),
        ("08011260" + seed + publicKey + seed, "does not belong"),
    ])
    func `other bytes are refused, and wiped`(hex: String, complaint: String) {
        var key = bytes(hex)
        let error = #expect(throws: ParleyError.self) { _ = try Identity(wiping: &key) }
        #expect(error?.code == .invalidIdentity)
        #expect(error?.message.contains(complaint) == true, "\(error?.message ?? "")")
        #expect(key.allSatisfy { $0 == 0 })
    }

    /// RFC 8032, section 7.1, test 2.
    @Test func `signatures are those of Ed25519`() throws {
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
        let publicKey = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
        let signature = bytes(
            """
            92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c
            387b2eaeb4302aeeb00d291612bb0c00
            """
        )
        var key = bytes("08011240" + seed + publicKey)
        let identity = try Identity(wiping: &key)
        #expect(identity.sign([0x72]) == signature)
        #expect(Sodium.verify(signature, of: [0x72], by: bytes(publicKey)))
        #expect(!Sodium.verify(signature, of: [0x73], by: bytes(publicKey)))
        #expect(!Sodium.verify(Array(signature.dropLast()), of: [0x72], by: bytes(publicKey)))
    }

    @Test func `each identity is another one`() {
        let (one, other) = (Identity(), Identity())
        #expect(one.id != other.id)
        #expect(one.id.description.hasPrefix("12D3KooW"))
    }

    @Test func `nothing that prints an identity shows its private key`() throws {
        var key = bytes("08011240" + Self.seed + Self.publicKey)
        let identity = try Identity(wiping: &key)
        var dumped = ""
        dump(identity, to: &dumped)
        for text in ["\(identity)", String(reflecting: identity), String(describing: [identity]), dumped] {
            #expect(text.contains(Self.id))
            #expect(!text.lowercased().contains("7e0830"))
            #expect(!text.contains("126, 8, 48"))
        }
        var secret = ""
        dump(Secret(random: 32), to: &secret)
        #expect(secret.contains("32 secret bytes"))
        #expect(secret.split(separator: "\n").count == 1)
    }

    // MARK: Files

    @Test func `a file holds it, for its owner alone`() throws {
        try withFolder { folder in
            let path = folder.appending(path: "identity").path
            let identity = Identity()
            try identity.save(to: path)
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            #expect(attributes[.size] as? Int == 68)
            #expect(try Identity.load(from: path).id == identity.id)
            // Never overwritten, and nothing else is left in the folder.
            let error = #expect(throws: ParleyError.self) { try Identity().save(to: path) }
            #expect(error?.code == .fileExists)
            #expect(try Identity.load(from: path).id == identity.id)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["identity"])
        }
    }

    @Test(arguments: [0o604, 0o640, 0o602, 0o620, 0o601, 0o644, 0o777])
    func `a file that others may open is refused`(mode: Int) throws {
        try withFolder { folder in
            let path = folder.appending(path: "identity").path
            try Identity().save(to: path)
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            let errors = [
                #expect(throws: ParleyError.self) { _ = try Identity.load(from: path) },
                #expect(throws: ParleyError.self) { _ = try Identity.loadOrCreate(at: path) },
            ]
            for error in errors {
                #expect(error?.code == .invalidIdentity)
                #expect(error?.message.contains("others") == true)
                #expect(error?.message.contains(path) == true)
            }
        }
    }

    @Test func `a file that holds something else is refused, and stays`() throws {
        try withFolder { folder in
            let path = folder.appending(path: "identity").path
            for content in [Data(), Data([1, 2, 3]), Data(repeating: 8, count: 1 << 20)] {
                try content.write(to: URL(fileURLWithPath: path))
                try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
                let error = #expect(throws: ParleyError.self) { _ = try Identity.loadOrCreate(at: path) }
                #expect(error?.code == .invalidIdentity)
                // Not with Foundation, which leaks a page when it reads an empty file.
                let file = try File(reading: path)
                #expect(try file.read(at: 0, count: file.version().size) == Array(content))
            }
            let none = #expect(throws: ParleyError.self) { _ = try Identity.load(from: path + "2") }
            #expect(none?.code == .fileNotFound)
            let directory = #expect(throws: ParleyError.self) { _ = try Identity.load(from: folder.path) }
            #expect(directory?.code == .invalidArgument)
        }
    }

    @Test func `all who make it at once get the same`() async throws {
        try await withFolder { folder in
            let path = folder.appending(path: "identity").path
            let ids = try await withThrowingTaskGroup(of: PeerID.self) { group in
                for _ in 0..<16 { group.addTask { try Identity.loadOrCreate(at: path).id } }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(ids.count == 1)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["identity"])
        }
    }

    private func withFolder(_ body: (URL) async throws -> Void) async throws {
        let folder = try Self.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder)
    }

    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = try Self.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    private static func makeFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "parley-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        return folder
    }
}
