import Foundation
import Parley
import ParleyNoise
import Testing

@testable import ParleyCLI

/// Who may come in: by the command line, and by a person at a terminal.
@Suite("Newcomers", .timeLimit(.minutes(5)))
struct NewcomerTests {
    /// The identity of the node that the tool does not know.
    private let stranger = Identity()
    private let target: TemporaryDirectory

    init() throws { target = try TemporaryDirectory() }

    /// A node with an identity of its own, which has dialed a tool.
    private struct Guest {
        let transport: TCPTransport
        let peer: any Peer

        init(_ identity: Identity, at address: String, codec: Codec = .framed) async throws {
            var options = TransportOptions(decoder: codec.wireForm)
            options.security = .noise(identity)
            transport = TCPTransport(options)
            peer = try await transport.dial(address)
        }
    }

    // MARK: By the command line

    @Test("The path of --allow-file need not be text", arguments: ["--allow-file ", "--allow-file="])
    func pathOfBytes(option: String) async throws {
        let directory = try TemporaryDirectory()
        let path = LocalPath(bytes: Array(directory.path(of: "list").utf8) + [0xFF])
        let descriptor = path.withCString { open($0, O_CREAT | O_WRONLY, 0o600) }
        try #require(descriptor >= 0)
        close(descriptor)
        let script = "exec \"$0\" listen 127.0.0.1:0 \(option)\"$(printf '%s\\377' \"$1\")\""
        let tool = try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            ["-c", script, ToolProcess.executable.path, directory.path(of: "list")]
        )
        _ = try await tool.listeningAddress()
        tool.signal(SIGTERM)
        #expect(try await tool.exit() == 143)
    }

    @Test("Only the ids of --allow and --allow-file come in")
    func lists() async throws {
        let friends = (0..<3).map { _ in Identity() }
        let list = target.path(of: "friends")
        try Data("# friends\n\(friends[2].id)\n".utf8).write(to: URL(filePath: list))
        let tool = try ToolProcess(
            "listen",
            "127.0.0.1:0",
            "--allow",
            "\(friends[0].id)",
            "--allow",
            friends[1].id.cid,
            "--allow-file",
            list
        )
        let address = try await tool.listeningAddress()
        // The tool's own identity is not in the list.
        for identity in [stranger, ToolProcess.identity] {
            let guest = try await Guest(identity, at: address)
            let line = try #require(try await tool.errors.next())
            #expect(line.hasPrefix("parley: refused \(identity.id) at 127.0.0.1:"))
            #expect(
                line.hasSuffix(
                    ": it is not among the ids that are allowed; --allow \(identity.id) lets it in"
                )
            )
            await guest.transport.close()
        }
        for identity in friends {
            let guest = try await Guest(identity, at: address)
            try await guest.peer.send(message: "it is me")
            _ = try await tool.output.first(endingWith: "connected as \(identity.id)")
            _ = try await tool.output.first(endingWith: "> it is me")
            await guest.transport.close()
        }
    }

    @Test("A list with a fault is an error that names the line")
    func faultyList() async throws {
        let list = target.path(of: "friends")
        try Data("\(stranger.id)\nanna\n".utf8).write(to: URL(filePath: list))
        let tool = try ToolProcess("listen", "127.0.0.1:0", "--allow-file", list)
        #expect(
            try await tool.errors.rest() == [
                "parley: \(list):2: peer id \"anna\" begins neither with 12D3KooW nor with bafz"
            ]
        )
        #expect(try await tool.exit() == 1)
    }

    @Test("--allow-all lets every id in, and no node without one")
    func everyone() async throws {
        let tool = try ToolProcess("listen", "127.0.0.1:0", "--allow-all")
        let address = try await tool.listeningAddress()
        let guest = try await Guest(stranger, at: address)
        try await guest.peer.send(message: "hello")
        _ = try await tool.output.first(endingWith: "> hello")
        await guest.transport.close()

        let plain = TCPTransport(TransportOptions())
        let peer = try await plain.dial(address.withoutID)
        try? await peer.send(message: "no identity")
        let line = try #require(try await tool.errors.next())
        #expect(line.contains(" did not prove an id: ") && line.hasSuffix("it needs --plain here"))
        await plain.close()
    }

    @Test("Where nobody can be asked, an unknown id is refused, and the line says what lets it in")
    func noTerminal() async throws {
        let tool = try ToolProcess("receive", "--listen", "127.0.0.1:0", "--into", target.url.path)
        let guest = try await Guest(stranger, at: try await tool.listeningAddress())
        let line = try #require(try await tool.errors.next())
        #expect(line.hasPrefix("parley: refused \(stranger.id) at 127.0.0.1:"))
        #expect(line.hasSuffix(": there is no terminal to ask at; --allow \(stranger.id) lets it in"))
        await guest.transport.close()
    }

    @Test("receive --yes takes from unknown ids, within the limits and the lists")
    func takesFromStrangers() async throws {
        let own = try TemporaryDirectory()
        try own.makeFile("file", byteCount: 2_000)
        let cases = [([], 0), (["--max-bytes", "1k"], 1), (["--allow", "\(stranger.id)"], 1)]
        for (options, exitCode) in cases {
            let receiver = try ToolProcess(
                ["receive", "--listen", "127.0.0.1:0", "--into", target.url.path, "--yes", "--overwrite"]
                    + options
            )
            let sender = try ToolProcess(
                ["send", own.path(of: "file"), "--to", try await receiver.listeningAddress()],
                environment: ["XDG_CONFIG_HOME": own.url.path]
            )
            #expect(try await sender.exit() == exitCode)
        }
        #expect(try target.names == ["file"])
    }

    // MARK: Dialing

    @Test("A dial to an id reaches that node or none; --allow means the same")
    func dialing() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0")
        let address = try await listener.listeningAddress().withoutID
        let own = ToolProcess.identity.id
        let mismatch = try ToolProcess("dial", "\(stranger.id)@\(address)")
        #expect(
            try await mismatch.errors.rest() == ["parley: \(own) answers where \(stranger.id) was dialed"]
        )
        #expect(try await mismatch.exit() == 1)
        let other = try ToolProcess("dial", address, "--allow", "\(stranger.id)")
        #expect(try await other.errors.rest() == ["parley: \(own) at \(address) is not allowed"])
        #expect(try await other.exit() == 1)
        let port = try SocketAddress(address).port
        for text in ["\(own)@\(address)", "/ip4/127.0.0.1/tcp/\(port)/p2p/\(own)", address] {
            let dialer = try ToolProcess("dial", text)
            #expect(try await dialer.output.next() == "connected to \(own)@\(address)")
            try dialer.endInput()
            #expect(try await dialer.exit() == 0)
        }
    }

    @Test("Whoever is refused is told what may be the matter")
    func refusedDialer() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", "--allow", "\(stranger.id)")
        let address = try await listener.listeningAddress()
        let hint =
            "; perhaps it speaks another --codec, or does not let this node in, "
            + "which --allow \(ToolProcess.identity.id) would do there"
        let dialer = try ToolProcess("dial", address)
        _ = try await dialer.output.first(endingWith: hint)
        try target.makeFile("file", byteCount: 10)
        let sender = try ToolProcess("send", target.path(of: "file"), "--to", address)
        let line = try #require(try await sender.errors.next())
        #expect(line.hasPrefix("parley: ") && line.hasSuffix(hint))
        #expect(try await sender.exit() == 1)
    }

    @Test("A dial to a node without an identity says what helps")
    func dialingPlain() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", "--plain")
        let address = try await listener.listeningAddress()
        let dialer = try ToolProcess("dial", address)
        let line = try #require(try await dialer.errors.next())
        #expect(line.hasPrefix("parley: \(address) did not prove an id: "))
        #expect(line.hasSuffix("; a node without an identity needs --plain"))
        #expect(try await dialer.exit() == 1)
    }

    // MARK: At a terminal

    private func listen(at terminal: Terminal) throws -> ToolProcess {
        try ToolProcess(["listen", "127.0.0.1:0"], at: terminal)
    }

    @Test("Who is let in by a person is let in again without a question")
    func yes() async throws {
        let terminal = try Terminal()
        let tool = try listen(at: terminal)
        let address = try await tool.listeningAddress()
        var guest = try await Guest(stranger, at: address)
        try await guest.peer.send(message: "hello")
        let shown = try await terminal.shows("Let it in? [y/N] ")
        #expect(shown.contains("\(stranger.id) at 127.0.0.1:"))
        try terminal.type("y\n")
        _ = try await tool.output.first(endingWith: "connected as \(stranger.id)")
        _ = try await tool.output.first(endingWith: "> hello")
        // What is typed now is sent again.
        try terminal.type("and hello to you\n")
        let rpc = await guest.transport.consume().first { _ in true }
        #expect(rpc.map { String(decoding: $0.payload, as: UTF8.self) } == "and hello to you")
        await guest.transport.close()

        guest = try await Guest(stranger, at: address)
        try await guest.peer.send(message: "again")
        _ = try await tool.output.first(endingWith: "> again")
        await guest.transport.close()
        tool.signal(SIGTERM)
        #expect(try await tool.exit() == 143)
        #expect(try await !terminal.rest().contains("Let it in?"))
    }

    @Test("Who is not let in is refused, and again without a question", arguments: ["n", ""])
    func no(answer: String) async throws {
        let terminal = try Terminal()
        let tool = try listen(at: terminal)
        let address = try await tool.listeningAddress()
        let guest = try await Guest(stranger, at: address)
        try await terminal.shows("Let it in? [y/N] ")
        try terminal.type(answer + "\n")
        try await eventually { guest.transport.peers.isEmpty }
        await guest.transport.close()
        let again = try await Guest(stranger, at: address)
        try await terminal.shows("the answer was no; --allow \(stranger.id) lets it in")
        await again.transport.close()
    }

    @Test("A line that is no answer is not sent, and the question stays")
    func unclear() async throws {
        let terminal = try Terminal()
        let tool = try listen(at: terminal)
        let address = try await tool.listeningAddress()
        let friend = try await Guest(ToolProcess.identity, at: address)
        _ = try await tool.output.first(endingWith: "connected as \(ToolProcess.identity.id)")
        let guest = try await Guest(stranger, at: address)
        try await terminal.shows("Let it in? [y/N] ")
        try terminal.type("oh, who is that?\n")
        try await terminal.shows(
            "parley: that is neither y nor n, and was not sent to anybody\r\nLet it in? [y/N] "
        )
        try terminal.type("yes\n")
        _ = try await tool.output.first(endingWith: "connected as \(stranger.id)")
        try terminal.type("to all\n")
        let first = await friend.transport.consume().first { _ in true }
        #expect(first.map { String(decoding: $0.payload, as: UTF8.self) } == "to all")
        await guest.transport.close()
        await friend.transport.close()
    }

    @Test("What was typed before a question does not answer it")
    func typedAhead() async throws {
        let terminal = try Terminal()
        let tool = try listen(at: terminal)
        let address = try await tool.listeningAddress()
        try terminal.type("yes")
        // The terminal has it when it shows it.
        try await terminal.shows("yes")
        let guest = try await Guest(stranger, at: address)
        try await terminal.shows("Let it in? [y/N] ")
        try terminal.type("\n")
        try await eventually { guest.transport.peers.isEmpty }
        await guest.transport.close()
        tool.signal(SIGTERM)
        #expect(try await tool.exit() == 143)
        #expect(try await tool.output.rest() == [])
    }

    @Test("Questions come one at a time, and others go on meanwhile")
    func oneAtATime() async throws {
        let terminal = try Terminal()
        let tool = try listen(at: terminal)
        let address = try await tool.listeningAddress()
        let others = [Identity(), Identity()]
        let first = try await Guest(others[0], at: address)
        #expect(try await terminal.shows("Let it in? [y/N] ").contains("\(others[0].id)"))
        let second = try await Guest(others[1], at: address)
        // One that is known is served while the question stands.
        let friend = try await Guest(ToolProcess.identity, at: address)
        try await friend.peer.send(message: "not in the way")
        _ = try await tool.output.first(endingWith: "> not in the way")
        try terminal.type("n\n")
        let shown = try await terminal.shows("\(others[1].id)")
        #expect(!shown.contains("\(others[0].id)"))
        try await terminal.shows("Let it in? [y/N] ")
        try terminal.type("y\n")
        _ = try await tool.output.first(endingWith: "connected as \(others[1].id)")
        for guest in [first, second, friend] { await guest.transport.close() }
    }

    @Test("Ctrl-C ends a question and the tool")
    func interrupted() async throws {
        let terminal = try Terminal()
        let tool = try listen(at: terminal)
        let guest = try await Guest(stranger, at: try await tool.listeningAddress())
        try await terminal.shows("Let it in? [y/N] ")
        try terminal.type("\u{3}")
        #expect(try await tool.exit() == 130)
        #expect(try await !terminal.rest().contains("parley:"))
        #expect(try await tool.output.rest() == [])
        await guest.transport.close()
    }

    @Test("The end of the input refuses whoever waits, and all who come later")
    func endOfInput() async throws {
        let terminal = try Terminal()
        let tool = try listen(at: terminal)
        let address = try await tool.listeningAddress()
        let guest = try await Guest(stranger, at: address)
        try await terminal.shows("Let it in? [y/N] ")
        try terminal.type("\u{4}")
        try await terminal.shows("standard input has ended; --allow \(stranger.id) lets it in")
        try await eventually { guest.transport.peers.isEmpty }
        let other = Identity()
        let later = try await Guest(other, at: address)
        try await terminal.shows("standard input has ended; --allow \(other.id) lets it in")
        for guest in [guest, later] { await guest.transport.close() }
    }

    @Test("receive asks too")
    func receive() async throws {
        let terminal = try Terminal()
        let receiver = try ToolProcess(
            ["receive", "--listen", "127.0.0.1:0", "--into", target.url.path, "--once"],
            at: terminal
        )
        let address = try await receiver.listeningAddress()
        let source = try TemporaryDirectory()
        let data = try source.makeFile("file", byteCount: 100_000)
        let sender = try ToolProcess(
            ["send", source.path(of: "file"), "--to", address, "--identity", source.path(of: "key")]
        )
        try await terminal.shows("Let it in? [y/N] ")
        try terminal.type("y\n")
        #expect(try await sender.exit() == 0)
        #expect(try await receiver.exit() == 0)
        #expect(try target.contents(of: "file") == data)
    }
}
