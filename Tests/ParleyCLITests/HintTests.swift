import Foundation
import Parley
import Testing

@testable import ParleyCLI

/// What an error says about nodes that do not fit together.
@Suite("A hint", .timeLimit(.minutes(5)))
struct HintTests {
    private static let own = ToolProcess.identity.id
    private static let refused = "does not let this node in, which --allow \(own) would do there"

    @Test("is about who may come in where a connection ends like a refused one, and only there")
    func ends() {
        for code in [ParleyError.Code.endOfStream, .connectionReset, .truncated, .closed] {
            func hint(
                _ id: PeerID?,
                _ command: DialHint.Command?,
                hasHeard: Bool = false,
                after uptime: Duration = .seconds(60)
            ) -> String {
                DialHint.text(after: code, hasHeard: hasHeard, uptime: uptime, ownID: id, wanting: command)
            }
            let codec = "; perhaps it speaks another --codec, or \(Self.refused)"
            #expect(hint(Self.own, nil) == codec)
            #expect(hint(Self.own, .receive) == codec)
            #expect(hint(Self.own, .serve) == "; perhaps it is no parley serve, or \(Self.refused)")
            for command in [nil, .receive, .serve] as [DialHint.Command?] {
                #expect(hint(nil, command) == "; perhaps it has an identity, then leave out --plain")
                #expect(hint(Self.own, command, hasHeard: true) == "")
                // The other side has let this one in long ago.
                #expect(hint(Self.own, command, after: .seconds(66)) == "")
                #expect(hint(nil, command, after: .seconds(66)) == "")
            }
        }
    }

    @Test("is about what answers where it speaks something else")
    func others() {
        func hint(_ code: ParleyError.Code, _ command: DialHint.Command?) -> String {
            DialHint.text(after: code, hasHeard: false, uptime: .zero, ownID: Self.own, wanting: command)
        }
        #expect(hint(.protocolViolation, .receive) == "; is it parley receive?")
        #expect(hint(.unsupported, .serve) == "; is it parley serve?")
        #expect(hint(.protocolViolation, nil) == "")
        for code in [ParleyError.Code.timedOut, .writeStalled, .heartbeatLost] {
            #expect(hint(code, .receive) == "")
        }
    }

    @Test("A line about another wire form is printed once")
    func strangeForms() throws {
        let address = try SocketAddress("127.0.0.1:5")
        func line(_ code: ParleyError.Code, isProven: Bool = true, hasHeard: Bool = false) -> String? {
            let reason = ParleyError(code, "got 0x7")
            return StrangeForms.line(about: address, reason, isProven: isProven, hasHeard: hasHeard)
        }
        #expect(line(.protocolViolation) == "refused 127.0.0.1:5: got 0x7")
        #expect(line(.protocolViolation, isProven: false) == nil)
        #expect(line(.protocolViolation, hasHeard: true) == nil)
        #expect(line(.endOfStream) == nil)
    }

    @Test("A sender with another wire form has a line at receive", arguments: [[], ["--plain"]])
    func otherForm(options: [String]) async throws {
        let directory = try TemporaryDirectory()
        try directory.makeFile("file", byteCount: 10)
        let receiver = try ToolProcess(
            ["receive", "--into", directory.url.path, "--listen", "127.0.0.1:0"] + options
        )
        let address = try await receiver.listeningAddress()
        let file = directory.path(of: "file")
        let sender = try ToolProcess(["send", file, "--to", address, "--codec", "unframed"] + options)
        let line = try #require(try await receiver.errors.next())
        #expect(line.hasPrefix("parley: refused 127.0.0.1:"))
        #expect(try await sender.exit() == 1)
    }

    @Test("names another id where a node may have expected one")
    func newcomers() {
        let plain = "; if it has no identity, it needs --plain here"
        #expect(DialHint.text(afterComing: .securityFailed) == plain)
        #expect(DialHint.text(afterComing: .timedOut) == plain)
        #expect(DialHint.text(afterComing: .endOfStream) == "; perhaps it expects another id here" + plain)
    }

    @Test("is not given when an answer has begun", arguments: [FileRequest.Kind.list, .get])
    func begun(kind: FileRequest.Kind) async throws {
        let target = try TemporaryDirectory()
        let server = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0", decoder: .multiplexed))
        let sentence = "cannot open a: no such file or directory"
        try server.accept(kind.rawValue) { stream in
            _ = try await FileRequest(from: stream)
            try await stream.write(.problem(sentence))
            // Until the connection ends.
            _ = try await stream.read(upTo: 1)
        }
        try await server.listenAndAccept()
        let address = server.address
        let get = ["get", address, "a", "--into", target.url.path]
        let tool = try ToolProcess(
            executable: ToolProcess.executable,
            (kind == .list ? ["ls", address] : get) + ["--plain"]
        )
        #expect(try await tool.errors.next() == "parley: \(address): \(sentence)")
        await server.close()
        let line = try #require(try await tool.errors.next())
        #expect(line.hasPrefix("parley: \(address)"))
        #expect(!line.contains("perhaps") && !line.contains("is it"))
        #expect(try await tool.exit() == 1)
    }

    @Test("names the command that should answer")
    func commands() async throws {
        let directory = try TemporaryDirectory()
        try directory.makeFile("file", byteCount: 10)
        let server = try ToolProcess("serve", directory.url.path, "--listen", "127.0.0.1:0")
        let served = try await server.listeningAddress()
        let sender = try ToolProcess("send", directory.path(of: "file"), "--to", served)
        let line = try #require(try await sender.errors.next())
        // The reset may be seen before what came ahead of it.
        #expect(line.hasSuffix("; is it parley receive?") || line.hasSuffix("would do there"))
        #expect(try await sender.exit() == 1)

        let receiver = try ToolProcess("receive", "--into", directory.url.path, "--listen", "127.0.0.1:0")
        let received = try await receiver.listeningAddress()
        let getter = ["get", received, "file", "--into", directory.url.path]
        for arguments in [["ls", received], getter] {
            let asker = try ToolProcess(executable: ToolProcess.executable, arguments)
            let line = try #require(try await asker.errors.next())
            #expect(line.hasSuffix("; perhaps it is no parley serve, or \(Self.refused)"))
            #expect(try await asker.exit() == 1)
        }

        // Without an identity this node is not let in by either.
        for arguments in [
            ["ls", served.withoutID], ["send", directory.path(of: "file"), "--to", received.withoutID],
        ] {
            let plain = try ToolProcess(executable: ToolProcess.executable, arguments + ["--plain"])
            let line = try #require(try await plain.errors.next())
            #expect(line.hasSuffix("; perhaps it has an identity, then leave out --plain"))
            #expect(try await plain.exit() == 1)
        }
        for tool in [server, receiver] {
            tool.signal(SIGTERM)
            #expect(try await tool.exit() == 143)
        }
    }
}
