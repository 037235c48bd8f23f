import Foundation
import Parley
import ParleyNoise
import Testing

@testable import ParleyCLI

@Suite("serve while many come", .timeLimit(.minutes(5)))
struct ServeCrowdTests {
    private static let fileBytes = 2 << 20
    private let source: TemporaryDirectory
    private let target: TemporaryDirectory

    init() throws {
        source = try TemporaryDirectory()
        target = try TemporaryDirectory()
        try source.makeFile("file", byteCount: Self.fileBytes)
    }

    private var serving: [String] { ["serve", source.url.path, "--listen", "127.0.0.1:0"] }

    private func get(from address: String, _ options: String...) throws -> ToolProcess {
        try ToolProcess(
            executable: ToolProcess.executable,
            ["get", address, "file", "--into", target.url.path, "--overwrite"] + options
        )
    }

    /// A node that asks the tool by hand.
    private struct Client {
        let transport: TCPTransport
        let peer: any Peer

        init(at address: String) async throws {
            var options = TransportOptions(decoder: .multiplexed)
            options.security = .noise(ToolProcess.identity)
            transport = TCPTransport(options)
            peer = try await transport.dial(address)
        }

        /// Asks for the file, and waits until the answer begins. The server is not done with it before the
        /// client has said that it is stored.
        func begin() async throws -> (stream: PeerStream, first: ArraySlice<UInt8>) {
            let stream = try await peer.openStream(protocol: FileRequest.Kind.get.rawValue)
            try await stream.write(FileRequest(paths: [Array("file".utf8)]).encoded)
            let failure = Failure("the answer does not begin")
            let first = try await withDeadline(ToolProcess.deadline, failingWith: failure) {
                try await stream.read(upTo: 1)
            }
            guard let first else { throw failure }
            return (stream, first)
        }

        /// Takes the rest, and says that it is stored. Returns the number of bytes.
        func end(_ begun: (stream: PeerStream, first: ArraySlice<UInt8>)) async throws -> Int {
            var decoder = TransferRecordDecoder()
            var byteCount = 0
            var hasEnded = false
            func take(_ bytes: ArraySlice<UInt8>) async throws {
                try await decoder.feed(bytes) { item in
                    if case .content(let bytes) = item { byteCount += bytes.count }
                    if case .record(.end) = item { hasEnded = true }
                }
            }
            try await take(begun.first)
            while !hasEnded, let bytes = try await begun.stream.read(upTo: 65_536) { try await take(bytes) }
            try await begun.stream.write(TransferAnswer.stored(entries: 1, byteCount: byteCount).encoded)
            try await begun.stream.finish()
            return byteCount
        }

        /// Asks for what no server has. The answer comes after the server has noted who came.
        func isThere() async throws -> Bool {
            let stream = try await peer.openStream(protocol: "/none/1")
            do {
                return try await withDeadline(ToolProcess.deadline, failingWith: Failure("no answer")) {
                    try await stream.read(upTo: 1) == nil
                }
            } catch let error as ParleyError {
                return error.code == .unsupported
            }
        }
    }

    @Test("Those that ask for nothing give way to others, the first ones first")
    func silent() async throws {
        // With so few descriptors 16 may be silent.
        let server = try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            ["-c", "ulimit -n 320; exec \"$@\"", "sh", ToolProcess.executable.path] + serving
        )
        let address = try await server.listeningAddress()
        let asking = try await Client(at: address)
        let begun = try await asking.begin()
        var silent: [Client] = []
        for _ in 0..<24 {
            let client = try await Client(at: address)
            #expect(try await client.isThere())
            silent.append(client)
        }
        for client in silent.prefix(8) {
            let end = try await withDeadline(ToolProcess.deadline, failingWith: Failure("it is kept")) {
                try await client.peer.untilClosed()
            }
            #expect(end.code == .endOfStream || end.code == .connectionReset)
        }
        for client in silent.dropFirst(8) { #expect(try await client.isThere()) }
        // Who asked came first of all, and stays. Others that ask find room.
        #expect(try await asking.end(begun) == Self.fileBytes)
        #expect(try await get(from: address).exit() == 0)
        #expect(try target.contents(of: "file") == source.contents(of: "file"))
        for client in silent + [asking] { await client.transport.close() }
    }

    @Test("Requests of one peer beyond 16 are reset, and hold up no other peer")
    func manyOfOne() async throws {
        let server = try ToolProcess(executable: ToolProcess.executable, serving)
        let address = try await server.listeningAddress()
        let client = try await Client(at: address)
        var begun: [(stream: PeerStream, first: ArraySlice<UInt8>)] = []
        for _ in 0..<FileServer.maxRequestsPerPeer { begun.append(try await client.begin()) }
        await #expect {
            _ = try await client.begin()
        } throws: {
            ($0 as? ParleyError)?.code == .streamAborted
        }
        #expect(try await get(from: address).exit() == 0)
        #expect(try target.contents(of: "file") == source.contents(of: "file"))
        // When one of them is done, there is a place for another.
        #expect(try await client.end(begun.removeFirst()) == Self.fileBytes)
        let further = try await withDeadline(ToolProcess.deadline, failingWith: Failure("there is none")) {
            while true { if let begun = try? await client.begin() { return begun } }
        }
        for begun in begun + [further] { #expect(try await client.end(begun) == Self.fileBytes) }
        await client.transport.close()
        server.signal(SIGTERM)
        #expect(try await server.errors.rest() == [])
    }

    @Test("More than 16 peers are served at once")
    func manyPeers() async throws {
        let server = try ToolProcess(executable: ToolProcess.executable, serving)
        let address = try await server.listeningAddress()
        var clients: [(client: Client, begun: (stream: PeerStream, first: ArraySlice<UInt8>))] = []
        for _ in 0..<(FileServer.maxRequestsPerPeer + 4) {
            let client = try await Client(at: address)
            clients.append((client, try await client.begin()))
        }
        let getters = try (0..<20).map { _ in
            try ToolProcess("get", address, "file", "--into", "-", "--range", "0-9")
        }
        for getter in getters { #expect(try await getter.exit() == 0) }
        for (client, begun) in clients {
            #expect(try await client.end(begun) == Self.fileBytes)
            await client.transport.close()
        }
        var sent = 0
        while sent < clients.count + getters.count {
            let line = try #require(try await server.output.next())
            if line.hasPrefix("sent file: ") { sent += 1 }
        }
    }

    @Test("About an unknown id a person is asked, and is asked once", arguments: [true, false])
    func asks(isAdmitted: Bool) async throws {
        let terminal = try Terminal()
        let server = try ToolProcess(serving, at: terminal)
        let address = try await server.listeningAddress()
        let stranger = Identity()
        let key = target.path(of: "key")
        try stranger.save(to: key)
        var getter = try get(from: address, "--identity", key)
        #expect(try await terminal.shows("Let it in? [y/N] ").contains("\(stranger.id) at 127.0.0.1:"))
        // Meanwhile a known one is served.
        #expect(try await get(from: address).exit() == 0)
        try terminal.type(isAdmitted ? "y\n" : "n\n")
        for _ in 0..<2 {
            #expect(try await getter.exit() == (isAdmitted ? 0 : 1))
            getter = try get(from: address, "--identity", key)
        }
        _ = try await getter.exit()
        server.signal(SIGTERM)
        #expect(try await server.exit() == 143)
        #expect(try await !terminal.rest().contains("wants to come in"))
    }
}
