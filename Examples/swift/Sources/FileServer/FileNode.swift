import Foundation
import Parley
import ParleyNoise

/// A node with a folder. Only its friends may connect. What it stores, they keep too; what it lacks, it gets
/// from one of them; what it deletes, they delete. Files travel on streams, questions about them are
/// requests.
final class FileNode: Sendable {
    let transport: TCPTransport
    private let identity: Identity
    private let folder: URL

    init(folder: URL, identity: Identity, friends: [PeerID]) throws {
        self.folder = folder
        self.identity = identity
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .multiplexed)
        options.security = .noise(identity, allow: .only(friends))
        transport = TCPTransport(options)
    }

    /// What another node dials: this node, and no other that may answer there.
    var address: String { "\(identity.id)@\(transport.address)" }

    // MARK: Files

    // A peer that has gone meanwhile must not end the loop for the others: its error is ignored.

    /// Writes a file, and gives each peer a replica. Returns the number of replicas.
    func store(_ name: String, _ content: Data) async throws -> Int {
        try content.write(to: path(name))
        var replicas = 0
        for peer in transport.peers {
            if (try? await give(name, to: peer)) != nil { replicas += 1 }
        }
        return replicas
    }

    /// The file's content, from this node or else from the first peer that has it.
    func get(_ name: String) async throws -> Data {
        if let content = try? Data(contentsOf: path(name)) { return content }
        for peer in transport.peers {
            if let content = try? await fetch(name, from: peer) { return content }
        }
        throw CocoaError(.fileNoSuchFile)
    }

    /// Deletes the file here and at all peers.
    func delete(_ name: String) async throws {
        try FileManager.default.removeItem(at: path(name))
        for peer in transport.peers { _ = try? await ask("delete", name, peer) }
    }

    /// Sends the file to a peer.
    private func give(_ name: String, to peer: any Peer) async throws {
        try await withStream("/files/store/1", name, on: peer) { stream in
            try await stream.write(contentsOf: self.path(name).path)
            try await stream.finish()
            // The peer closes the stream when it has kept the file, and aborts it otherwise.
            _ = try await stream.read(upTo: 1)
        }
    }

    /// The file's content from a peer; nil when the peer does not have it.
    private func fetch(_ name: String, from peer: any Peer) async throws -> Data? {
        guard try await ask("has", name, peer) == "yes" else { return nil }
        try await withStream("/files/get/1", name, on: peer) { stream in
            try await stream.finish()
            try await stream.receive(into: self.path(name).path)
        }
        return try Data(contentsOf: path(name))
    }

    // MARK: Serving

    func start() async throws {
        try transport.accept("/files/store/1") { [self] stream in
            try await stream.receive(into: path(readName(from: stream)).path, replacing: true)
        }
        try transport.accept("/files/get/1") { [self] stream in
            try await stream.write(contentsOf: path(readName(from: stream)).path)
        }
        try await transport.listenAndAccept()
    }

    /// Answers requests until the transport is closed.
    func answer() async {
        for await rpc in transport.consume() where rpc.request != nil {
            let words = String(decoding: rpc.payload, as: UTF8.self).split(separator: " ", maxSplits: 1)
            guard words.count == 2, let path = try? path(String(words[1])) else {
                try? await rpc.refuse(reason: "expected a command and a name")
                continue
            }
            let isThere = FileManager.default.fileExists(atPath: path.path)
            if words[0] == "delete" { try? FileManager.default.removeItem(at: path) }
            try? await rpc.reply(with: isThere ? "yes" : "no")
        }
    }

    // MARK: What both sides say

    private func ask(_ command: String, _ name: String, _ peer: any Peer) async throws -> String {
        let answer = try await peer.request("\(command) \(name)", timeout: .seconds(10))
        return String(decoding: answer, as: UTF8.self)
    }

    /// A stream begins with the file's name: its length in one byte, and then its bytes.
    private func withStream(
        _ protocolName: String,
        _ name: String,
        on peer: any Peer,
        _ body: (PeerStream) async throws -> Void
    ) async throws {
        let stream = try await peer.openStream(protocol: protocolName)
        defer { stream.close() }
        try await stream.write([UInt8(name.utf8.count)] + name.utf8)
        try await body(stream)
    }

    private func readName(from stream: PeerStream) async throws -> String {
        let length = try await stream.read(exactly: 1)[0]
        return String(decoding: try await stream.read(exactly: Int(length)), as: UTF8.self)
    }

    /// Where a file is. No name leads out of the folder.
    private func path(_ name: String) throws -> URL {
        guard !name.contains("/"), !name.hasPrefix("."), (1...255).contains(name.utf8.count) else {
            throw CocoaError(.fileReadInvalidFileName)
        }
        return folder.appending(path: name)
    }
}
