import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("Signals", .timeLimit(.minutes(5)))
struct InterruptionTests {
    @Test(
        "end listen, and nothing else is printed",
        arguments: [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] as [(Int32, Int32)]
    )
    func listen(signal: Int32, exitCode: Int32) async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", codec: .unframed)
        _ = try await listener.listeningAddress()
        listener.signal(signal)
        #expect(try await listener.exit() == exitCode)
        #expect(try await listener.output.rest() == [])
        #expect(try await listener.errors.rest() == [])
    }

    @Test("end the connections of listen in order")
    func peersSeeAnOrderlyEnd() async throws {
        let listener = try ToolProcess("listen", "127.0.0.1:0", codec: .unframed)
        let address = try await listener.listeningAddress()
        let dialer = try ToolProcess("dial", address, codec: .unframed)
        #expect(try await dialer.output.next() == "connected to \(address)")
        _ = try await listener.output.first(endingWith: " connected as \(ToolProcess.identity.id)")
        listener.signal(SIGINT)
        #expect(try await listener.exit() == 130)
        #expect(try await dialer.exit() == 0)
    }

    @Test("end dial")
    func dial() async throws {
        let peer = try await ScriptedPeer.listening { try ToolProcess("dial", $0) }
        #expect(
            try await peer.tool.output.next()
                == "connected to \(ToolProcess.identity.id)@\(peer.transport.address)"
        )
        peer.tool.signal(SIGTERM)
        #expect(try await peer.tool.exit() == 143)
        #expect(try await peer.tool.errors.rest() == [])
        await peer.close()
    }

    @Test("end a tool that waits for the list of --allow-file")
    func allowFile() async throws {
        let directory = try TemporaryDirectory()
        let pipe = directory.path(of: "pipe")
        try #require(mkfifo(pipe, 0o600) == 0)
        let listener = try ToolProcess("listen", "127.0.0.1:0", "--allow-file", pipe)
        // This succeeds when the tool reads.
        var descriptor: Int32 = -1
        try await eventually {
            descriptor = open(pipe, O_WRONLY | O_NONBLOCK)
            return descriptor >= 0
        }
        defer { close(descriptor) }
        listener.signal(SIGTERM)
        #expect(try await listener.exit() == 143)
        #expect(try await listener.errors.rest() == [])
    }

    @Test("that were ignored when the tool was started stay ignored")
    func ignored() async throws {
        let listener = try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            [
                "-c", "trap '' HUP INT; exec \"$@\"", "sh", ToolProcess.executable.path, "listen",
                "127.0.0.1:0",
                "--plain",
            ]
        )
        let address = try await listener.listeningAddress()
        listener.signal(SIGHUP)
        listener.signal(SIGINT)
        // It is still there, and takes the next one.
        let dialer = try ToolProcess("dial", address, "--plain")
        #expect(try await dialer.output.next() == "connected to \(address)")
        listener.signal(SIGTERM)
        #expect(try await listener.exit() == 143)
    }

    @Test("end a tool whose output nobody reads", arguments: [SIGINT, SIGTERM, SIGHUP])
    func fullPipe(signal: Int32) async throws {
        let listener = try SpawnedProcess(
            executable: ToolProcess.executable.path,
            ["listen", "127.0.0.1:0", "--plain"]
        )
        var first = ""
        while !first.hasSuffix("\n") {
            first += String(decoding: try readSome(1, from: listener.output.fileDescriptor), as: UTF8.self)
        }
        let address = first.dropFirst("listening on ".count).dropLast()
        let transport = TCPTransport(TransportOptions())
        let peer = try await transport.dial(String(address))
        // Until it takes no more: the pipe is full, and so is what may wait behind it.
        let message = [UInt8](repeating: UInt8(ascii: "x"), count: 100_000)
        await #expect(throws: ParleyError.self) {
            while true {
                peer.setWriteDeadline(.now + .milliseconds(300))
                try await peer.send(message: message)
            }
        }
        peer.setWriteDeadline(nil)
        let sending = Task { while true { try await peer.send(message: message) } }
        listener.signal(signal)
        let code = try await withDeadline(ToolProcess.deadline, failingWith: Failure("it has not ended")) {
            await listener.exitCode.value
        }
        #expect(code == 128 + signal)
        await transport.close()
        await #expect(throws: ParleyError.self) { try await sending.value }
    }

    @Test("end a tool quietly whose output is closed")
    func closedPipe() async throws {
        let listener = try SpawnedProcess(
            executable: ToolProcess.executable.path,
            ["listen", "127.0.0.1:0", "--plain"],
            isRead: false
        )
        let code = try await withDeadline(ToolProcess.deadline, failingWith: Failure("it has not ended")) {
            await listener.exitCode.value
        }
        #expect(code == 128 + SIGPIPE)
        #expect(try readSome(100, from: listener.errors.fileDescriptor) == [])
    }

    @Test("end receive, which removes what is incomplete and tells the sender", arguments: [SIGINT, SIGHUP])
    func receive(signal: Int32) async throws {
        let directory = try TemporaryDirectory()
        let receiver = try ToolProcess(
            "receive",
            "--listen",
            "127.0.0.1:0",
            "--into",
            directory.url.path
        )
        let sender = try await ScriptedPeer.dialing(receiver)
        let stream = try await sender.begin(byteCount: 1_000_000)
        try await stream.write(.file("half", 1_000_000))
        let half = [UInt8](repeating: 1, count: 500_000)
        try await stream.write(TransferRecord.data(byteCount: half.count).encoded + half)
        #expect(try await sender.next().stream)
        receiver.signal(signal)
        #expect(try await sender.nextAnswer() == .gaveUp("the receiver was stopped"))
        #expect(try await receiver.exit() == 128 + signal)
        #expect(try directory.names == [])
        await sender.close()
    }

    @Test("leave the part of what is received with --resume; a sender out of step does not")
    func parts() async throws {
        for isStopped in [true, false] {
            let directory = try TemporaryDirectory()
            let receiver = try ToolProcess(
                "receive",
                "--resume",
                "--listen",
                "127.0.0.1:0",
                "--into",
                directory.url.path
            )
            let sender = try await ScriptedPeer.dialing(receiver)
            let stream = try await sender.begin(byteCount: 3 << 20)
            try await stream.write(.file("file", 3 << 20))
            #expect(try await sender.next().stream)
            #expect(try await sender.nextAnswer() == .have(entry: 0, []))
            try await stream.write(.from(byteCount: 0))
            let part = [UInt8](repeating: 1, count: 2 << 20)
            try await stream.write(TransferRecord.data(byteCount: part.count).encoded + part)
            try await withDeadline(ToolProcess.deadline, failingWith: Failure("nothing was written")) {
                while try directory.names.allSatisfy({ try directory.contents(of: $0).isEmpty }) {
                    await Task.yield()
                }
            }
            if isStopped {
                receiver.signal(SIGHUP)
                #expect(try await sender.nextAnswer() == .gaveUp("the receiver was stopped"))
                #expect(try await receiver.exit() == 128 + SIGHUP)
                #expect(
                    try directory.names.map { $0.hasPrefix(".parley-") && $0.hasSuffix(".part") } == [true]
                )
            } else {
                try await stream.write(.from(byteCount: 0))
                guard case .gaveUp = try await sender.nextAnswer() else { throw Failure("it goes on") }
                #expect(try directory.names == [])
            }
            await sender.close()
        }
    }

    @Test("end send")
    func send() async throws {
        let directory = try TemporaryDirectory()
        try directory.makeFile("file", byteCount: 10)
        let receiver = try await ScriptedPeer.listening {
            try ToolProcess("send", directory.path(of: "file"), "--to", $0)
        }
        try await receiver.expectTransfer()
        receiver.tool.signal(SIGINT)
        #expect(try await receiver.tool.exit() == 130)
        #expect(try await receiver.tool.errors.rest() == [])
        await receiver.close()
    }

    @Test("end send, and the receiver hears that")
    func sendIsHeard() async throws {
        let receiver = try await ScriptedPeer.listening { try ToolProcess("send", "-", "--to", $0) }
        try await receiver.expectTransfer()
        receiver.tool.signal(SIGINT)
        receiver.peer.setReadDeadline(.now + ToolProcess.deadline)
        let error = await #expect(throws: ParleyError.self) {
            while try await receiver.peer.read(upTo: 65_536) != nil {}
        }
        #expect(error?.code == .streamAborted)
        #expect(error?.message.hasSuffix(": the sender was stopped") == true)
        #expect(try await receiver.tool.exit() == 130)
        await receiver.close()
    }
}
