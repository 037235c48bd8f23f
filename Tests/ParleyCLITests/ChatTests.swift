import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("listen and dial", .timeLimit(.minutes(5)))
struct ChatTests {
    @Test("Lines typed at one end appear at the other", arguments: [[], ["--plain"]])
    func exchange(options: [String]) async throws {
        let options = options + ["--codec", "unframed"]
        let listener = try ToolProcess(["listen", "127.0.0.1:0"] + options)
        let address = try await listener.listeningAddress()
        #expect(address.contains("@") == !options.contains("--plain"))
        let dialer = try ToolProcess(["dial", address] + options)
        #expect(try await dialer.output.next() == "connected to \(address)")
        let id = options.contains("--plain") ? "" : " as \(ToolProcess.identity.id)"
        _ = try await listener.output.first(endingWith: " connected\(id)")
        try dialer.type("grüße")
        _ = try await listener.output.first(endingWith: "> grüße")
        try listener.type("hello")
        #expect(try await dialer.output.next() == "\(address.withoutID)> hello")

        try dialer.endInput()
        #expect(try await dialer.exit() == 0)
        _ = try await listener.output.first(
            endingWith: " disconnected: the remote side closed the connection"
        )
    }

    @Test("Files that are offered to listen are refused at once")
    func files() async throws {
        let directory = try TemporaryDirectory()
        try directory.makeFile("file", byteCount: 10)
        let listener = try ToolProcess("listen", "127.0.0.1:0")
        let address = try await listener.listeningAddress()
        let sender = try ToolProcess("send", directory.path(of: "file"), "--to", address)
        let text = try await sender.errors.rest().joined()
        #expect(text.contains("refused") && text.contains("parley receive takes files"))
        #expect(try await sender.exit() == 1)
    }

    @Test("What listen is told goes to every peer")
    func broadcast() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", codec: .unframed)
        let address = try await listener.listeningAddress()
        let dialers = try [
            ToolProcess("dial", address, codec: .unframed), ToolProcess("dial", address, codec: .unframed),
        ]
        let connected = " connected as \(ToolProcess.identity.id)"
        for _ in dialers { _ = try await listener.output.first(endingWith: connected) }
        // A peer counts as connected when it is greeted, which is just behind that line: its first message
        // proves it.
        for dialer in dialers {
            try dialer.type("here")
            _ = try await listener.output.first(endingWith: "> here")
        }
        try listener.type("all of you")
        for dialer in dialers { _ = try await dialer.output.first(endingWith: "> all of you") }
    }

    @Test("Everything typed is sent before dial ends, the last line without its newline too")
    func endOfInput() async throws {
        let peer = try await ScriptedPeer.listening(codec: .unframed) {
            try ToolProcess("dial", $0, codec: .unframed)
        }
        try peer.tool.endInput(after: "last words")
        #expect(try await peer.nextMessage() == "last words")
        #expect(try await peer.tool.exit() == 0)
        #expect(try await peer.tool.errors.rest() == [])
        await peer.close()
    }

    @Test("listen goes on without input")
    func listenWithoutInput() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", codec: .unframed)
        try listener.endInput()
        let peer = try await ScriptedPeer.dialing(listener, codec: .unframed)
        try await peer.peer.send(message: "still there?")
        _ = try await listener.output.first(endingWith: "> still there?")
        await peer.close()
    }

    /// Asks the tool, and waits for much less than the time-out.
    private func expectRefusal(by peer: any Peer) async throws {
        await #expect {
            _ = try await peer.request("who are you?", timeout: ToolProcess.deadline)
        } throws: { error in
            guard let error = error as? ParleyError, error.code == .requestRefused else { return false }
            return error.message.contains("this program answers no requests")
        }
    }

    @Test("A request is shown, and refused at once")
    func requests() async throws {
        let listener = try await ScriptedPeer.dialing(try ToolProcess("listen", "127.0.0.1:0"))
        try await expectRefusal(by: listener.peer)
        _ = try await listener.tool.output.first(endingWith: "> who are you?")
        await listener.close()

        let dialer = try await ScriptedPeer.listening { try ToolProcess("dial", $0) }
        try await expectRefusal(by: dialer.peer)
        _ = try await dialer.tool.output.first(endingWith: "> who are you?")
        await dialer.close()

        let directory = try TemporaryDirectory()
        let receiver = try ToolProcess("receive", "--into", directory.url.path, "--listen", "127.0.0.1:0")
        let receiving = try await ScriptedPeer.dialing(receiver)
        try await expectRefusal(by: receiving.peer)
        await receiving.close()
    }

    @Test("Control characters and bytes that are not text are shown safely")
    func escapes() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", codec: .unframed)
        let peer = try await ScriptedPeer.dialing(listener, codec: .unframed)
        try await peer.peer.send(message: "\u{1B}[2J\r\nok")
        _ = try await listener.output.first(endingWith: "> \\x1b[2J\\r\\nok")
        try await peer.peer.send(message: [0x00, 0xFF, 0x41])
        _ = try await listener.output.first(endingWith: "> \\x00\\xffA")
        await peer.close()
    }

    @Test("A line that the wire form cannot carry is an error line, and the session goes on")
    func impossibleLines() async throws {
        let peer = try await ScriptedPeer.listening(codec: .unframed) {
            try ToolProcess("dial", $0, codec: .unframed)
        }
        try peer.tool.type(String(repeating: "x", count: 1_029))
        #expect(
            try await peer.tool.errors.next()
                == "parley: a line of 1029 bytes was not sent: the unframed wire form carries at most 1028"
        )
        try peer.tool.type("")
        #expect(
            try await peer.tool.errors.next()
                == "parley: a line was not sent: the unframed wire form cannot carry an empty message"
        )
        let longest = String(repeating: "y", count: 1_028)
        try peer.tool.type(longest)
        #expect(try await peer.nextMessage() == longest)
        // What was lost is in the exit code.
        try peer.tool.endInput()
        #expect(try await peer.tool.exit() == 1)
        await peer.close()
    }

    @Test("Input that cannot be read is an error line and a failure; listen goes on without it")
    func unreadableInput() async throws {
        let line = "parley: cannot read standard input: "
        func start(_ arguments: String...) throws -> ToolProcess {
            let script = "exec \"$0\" \"$@\" --plain </"
            return try ToolProcess(
                executable: URL(filePath: "/bin/sh"),
                ["-c", script, ToolProcess.executable.path] + arguments
            )
        }
        let listener = try start("listen", "127.0.0.1:0")
        let address = try await listener.listeningAddress()
        #expect(try await listener.errors.next()?.hasPrefix(line) == true)
        let dialer = try start("dial", address)
        #expect(try await dialer.exit() == 1)
        let lines = try await dialer.errors.rest()
        #expect(lines.count == 1 && lines.first?.hasPrefix(line) == true)
        listener.signal(SIGTERM)
        #expect(try await listener.exit() == 143)
    }

    @Test("In the background of a terminal dial goes on, and in front again it sends what is typed")
    func background() async throws {
        let terminal = try Terminal()
        // A shell with jobs. It reads a line itself before it brings the tool to the front.
        let script = "set -m; \"$0\" dial \"$1\" --codec unframed & read line; fg %1"
        let peer = try await ScriptedPeer.listening(codec: .unframed) { address in
            try ToolProcess(
                executable: URL(filePath: "/bin/sh"),
                ["-c", script, ToolProcess.executable.path, address],
                at: terminal
            )
        }
        for number in 1...3 {
            try await peer.peer.send(message: "message \(number)")
            _ = try await peer.tool.output.first(endingWith: "> message \(number)")
        }
        try terminal.type("to the shell\n")
        try terminal.type("to the peer\n")
        #expect(try await peer.nextMessage() == "to the peer")
        await peer.close()
        #expect(try await peer.tool.exit() == 0)
    }

    @Test("A line that nobody is there for is an error line")
    func nobodyThere() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", codec: .unframed)
        _ = try await listener.listeningAddress()
        try listener.type("anybody?")
        #expect(try await listener.errors.next() == "parley: a line was not sent: nobody is connected")
    }

    @Test("dial ends in order when the peer closes")
    func peerCloses() async throws {
        let peer = try await ScriptedPeer.listening(codec: .unframed) {
            try ToolProcess("dial", $0, codec: .unframed)
        }
        try await peer.peer.send(message: "goodbye")
        await peer.close()
        let address = peer.transport.address
        #expect(
            try await peer.tool.output.rest() == [
                "connected to \(ToolProcess.identity.id)@\(address)", "\(address)> goodbye",
                "\(address) disconnected: the remote side closed the connection",
            ]
        )
        #expect(try await peer.tool.exit() == 0)
    }

    @Test("dial fails when the peer closes before all of the input was sent")
    func peerClosesEarly() async throws {
        let peer = try await ScriptedPeer.listening { address in
            try ToolProcess(
                executable: URL(filePath: "/bin/sh"),
                ["-c", "seq 3000000 2>/dev/null | \"$0\" dial \"$1\"", ToolProcess.executable.path, address]
            )
        }
        #expect(try await peer.nextMessage() == "1")
        await peer.close()
        #expect(try await peer.tool.exit() == 1)
        let lines = try await peer.tool.errors.rest()
        #expect(lines.count == 1, "\(lines)")
    }

    @Test("The worst outcome of a line is that of the input")
    func outcomes() {
        #expect([SendOutcome.failed, .cutShort, .sent].sorted() == [.sent, .failed, .cutShort])
    }

    @Test("dial fails with the reason when the connection does")
    func peerMisbehaves() async throws {
        let peer = try await ScriptedPeer.listening(codec: .unframed) {
            try ToolProcess("dial", $0, codec: .unframed)
        }
        try await peer.peer.send([0x7])
        let lines = try await peer.tool.errors.rest()
        #expect(lines.count == 1)
        #expect(lines.first?.contains("got 0x7") == true)
        #expect(try await peer.tool.exit() == 1)
        await peer.close()
    }

    @Test("A stream is read, and its length is shown")
    func stream() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", codec: .unframed)
        let peer = try await ScriptedPeer.dialing(listener, codec: .unframed)
        let writer = try await peer.peer.openStream()
        for _ in 0..<40 { try await writer.write([UInt8](repeating: 7, count: 100_000)) }
        _ = try await listener.output.first(endingWith: " opened a stream")
        await peer.close()
        _ = try await listener.output.first(endingWith: " sent a stream of 4000000 bytes")
        _ = try await listener.output.first(
            endingWith: " disconnected: the remote side closed the connection"
        )
    }
}
