import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("send and receive", .timeLimit(.minutes(5)))
struct TransferTests {
    private let source: TemporaryDirectory
    private let target: TemporaryDirectory

    init() throws {
        source = try TemporaryDirectory()
        target = try TemporaryDirectory()
    }

    private func receive(_ more: String..., codec: Codec = .unframed) throws -> ToolProcess {
        try ToolProcess(
            executable: ToolProcess.executable,
            ["receive", "--listen", "127.0.0.1:0", "--into", target.url.path, "--codec", codec.rawValue]
                + more
        )
    }

    private func send(_ name: String, to address: String, codec: Codec = .unframed) throws -> ToolProcess {
        try ToolProcess("send", source.path(of: name), "--to", address, codec: codec)
    }

    // MARK: What arrives

    @Test("A file arrives as it is", arguments: [0, 1, 5_000, filePieceBytes, 20 << 20], Codec.allCases)
    func arrives(byteCount: Int, codec: Codec) async throws {
        let data = try source.makeFile("grüße.bin", byteCount: byteCount)
        let receiver = try receive("--once", codec: codec)
        let address = try await receiver.listeningAddress()
        let sender = try send("grüße.bin", to: address, codec: codec)
        #expect(try await sender.exit() == 0)
        #expect(try await receiver.exit() == 0)
        #expect(try target.names == ["grüße.bin"])
        #expect(try target.contents(of: "grüße.bin") == data)

        let sent = try await sender.output.rest()
        #expect(sent.first == "sending grüße.bin, \(byteCount) bytes, to \(address)")
        #expect(sent.last?.hasPrefix("sent grüße.bin: \(byteCount) bytes in ") == true)
        let received = try await receiver.output.rest()
        #expect(received.first?.hasPrefix("receiving grüße.bin, \(byteCount) bytes, from 127.0.0.1:") == true)
        #expect(received.last?.hasPrefix("received grüße.bin: \(byteCount) bytes in ") == true)
        for tool in [sender, receiver] { #expect(try await tool.errors.rest() == []) }
    }

    @Test("A name is as long as names can be", arguments: Codec.allCases)
    func longName(codec: Codec) async throws {
        let name = String(repeating: "n", count: 255)
        let data = try source.makeFile(name, byteCount: 100)
        let receiver = try receive("--once", codec: codec)
        let sender = try send(name, to: try await receiver.listeningAddress(), codec: codec)
        #expect(try await sender.exit() == 0)
        #expect(try await receiver.exit() == 0)
        #expect(try target.names == [name])
        #expect(try target.contents(of: name) == data)
    }

    /// Its size says nothing: 0, or a whole page.
    @Test(
        "A pseudo-file is sent as what it holds",
        arguments: ["/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"]
    )
    func pseudoFile(path: String) async throws {
        guard let data = FileManager.default.contents(atPath: path), !data.isEmpty else { return }
        let receiver = try receive("--once", codec: .framed)
        let address = try await receiver.listeningAddress()
        let sender = try ToolProcess("send", path, "--to", address, codec: .framed)
        #expect(try await sender.exit() == 0)
        #expect(try await receiver.exit() == 0)
        let name = String(path.split(separator: "/").last ?? "")
        #expect(try target.names == [name])
        #expect(try target.contents(of: name) == data)
        let sent = try await sender.output.rest()
        #expect(sent.first == "sending \(name), \(data.count) bytes, to \(address)")
    }

    @Test("Several senders are served at once")
    func concurrent() async throws {
        let receiver = try receive()
        let address = try await receiver.listeningAddress()
        // One that has begun and does not go on keeps nobody else waiting.
        let slow = try await ScriptedPeer.dialing(receiver, at: address)
        #expect(try await slow.offer("slow", size: 2) == "ready")
        let stream = try await slow.peer.openStream()
        try await stream.write([1])

        let names = (1...4).map { "file\($0)" }
        for name in names { try source.makeFile(name, byteCount: 3 << 20) }
        let senders = try names.map { try send($0, to: address) }
        for sender in senders { #expect(try await sender.exit() == 0) }
        for name in names { #expect(try target.contents(of: name) == source.contents(of: name)) }

        try await stream.write([2])
        #expect(try await slow.nextMessage() == "stored 2")
        #expect(try target.contents(of: "slow") == Data([1, 2]))
        await slow.close()
    }

    @Test("A sender can offer several files on one connection")
    func severalOffers() async throws {
        let receiver = try receive()
        let sender = try await ScriptedPeer.dialing(receiver)
        for name in ["first", "second"] {
            #expect(try await sender.offer(name, size: 3) == "ready")
            let stream = try await sender.peer.openStream()
            try await stream.write([1, 2, 3])
            try await stream.finish()
            #expect(try await sender.nextMessage() == "stored 3")
        }
        #expect(try target.names == ["first", "second"])
        await sender.close()
    }

    // MARK: --once

    @Test("--once fails when the file is refused")
    func onceRefused() async throws {
        try source.makeFile("file", byteCount: 3)
        try target.makeFile("file", byteCount: 4)
        let receiver = try receive("--once")
        let address = try await receiver.listeningAddress()
        let sender = try send("file", to: address)
        #expect(try await sender.exit() == 1)
        #expect(
            try await sender.errors.rest() == [
                "parley: \(address) refused file: \"file\" exists already, as a file"
            ]
        )
        #expect(try await receiver.exit() == 1)
        #expect(try await receiver.errors.rest().count == 1)
        #expect(try target.contents(of: "file").count == 4)
    }

    @Test("--once takes the first offer only")
    func onceBusy() async throws {
        let receiver = try receive("--once")
        let address = try await receiver.listeningAddress()
        let (first, second) = (
            try await ScriptedPeer.dialing(receiver, at: address),
            try await ScriptedPeer.dialing(receiver, at: address)
        )
        #expect(try await first.offer("one", size: 0) == "ready")
        #expect(
            try await second.offer("two", size: 0)
                == "refused only one file is received here, and another one came first"
        )
        try await first.peer.openStream().finish()
        #expect(try await first.nextMessage() == "stored 0")
        #expect(try await receiver.exit() == 0)
        #expect(try target.names == ["one"])
        await first.close()
        await second.close()
    }

    // MARK: A file that changes

    @Test(
        "A file that changes after the offer is not sent",
        arguments: [
            (5, "became shorter (5 bytes instead of 10)"), (11, "became longer (11 bytes instead of 10)"),
        ]
    )
    func changes(byteCount: UInt64, what: String) async throws {
        try source.makeFile("file", byteCount: 10)
        let receiver = try await ScriptedPeer.listening { try send("file", to: $0) }
        #expect(try await receiver.nextMessage() == "parley-file 1\n10\nfile")
        try FileHandle(forWritingTo: source.url.appending(path: "file")).truncate(atOffset: byteCount)
        try await receiver.peer.send(message: "ready")
        #expect(
            try await receiver.tool.errors.rest()
                == ["parley: \(source.path(of: "file")) \(what) while it was being sent"]
        )
        #expect(try await receiver.tool.exit() == 1)
        await receiver.close()
    }

    @Test("A file that shrinks under way is never received whole")
    func shrinks() async throws {
        try source.makeFile("file", byteCount: 20 << 20)
        let receiver = try await ScriptedPeer.listening { try send("file", to: $0) }
        _ = try await receiver.nextMessage()
        try await receiver.peer.send(message: "ready")
        #expect(try await receiver.next().stream)
        // The sender waits by now, or soon: nobody reads, and the file is larger than what fits on the way.
        try FileHandle(forWritingTo: source.url.appending(path: "file")).truncate(atOffset: 1_000)
        var byteCount = 0
        while let bytes = try await receiver.peer.read(upTo: 65_536) { byteCount += bytes.count }
        #expect(byteCount < 20 << 20)
        let lines = try await receiver.tool.errors.rest()
        #expect(lines.count == 1)
        #expect(lines.first?.contains(" became shorter (1000 bytes instead of 20971520)") == true)
        #expect(try await receiver.tool.exit() == 1)
        await receiver.close()
    }

    // MARK: A receiver that fails

    @Test("A receiver that cannot write says why, and keeps nothing")
    func cannotWrite() async throws {
        try source.makeFile("file", byteCount: 20 << 20)
        let script = "trap '' XFSZ; ulimit -f 1000; exec \"$@\""
        let receiver = try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            ["-c", script, "sh", ToolProcess.executable.path, "receive", "--listen", "127.0.0.1:0"]
                + ["--into", target.url.path, "--codec", "unframed"]
        )
        let address = try await receiver.listeningAddress()
        let sender = try send("file", to: address)
        #expect(
            try await sender.errors.rest()
                == ["parley: \(address) could not store file: the file cannot be written: File too large"]
        )
        #expect(try await sender.exit() == 1)
        #expect(try target.names == [])
    }

    @Test("A receiver that goes away is an error line")
    func receiverGoes() async throws {
        try source.makeFile("file", byteCount: 20 << 20)
        let receiver = try await ScriptedPeer.listening { try send("file", to: $0) }
        _ = try await receiver.nextMessage()
        try await receiver.peer.send(message: "ready")
        #expect(try await receiver.next().stream)
        await receiver.close()
        let lines = try await receiver.tool.errors.rest()
        #expect(lines.count == 1)
        #expect(
            lines.first?.hasPrefix("parley: file to \(receiver.transport.address) broke off after ") == true
        )
        #expect(try await receiver.tool.exit() == 1)
    }

    @Test(
        "An answer that is none is an error line",
        arguments: [
            ("hello\u{1B}", "answered \"hello\\x1b\"; is it parley receive?"),
            ("stored 10", "answered \"stored 10\" at the wrong time"),
        ]
    )
    func strangeAnswer(answer: String, what: String) async throws {
        try source.makeFile("file", byteCount: 10)
        let receiver = try await ScriptedPeer.listening { try send("file", to: $0) }
        _ = try await receiver.nextMessage()
        try await receiver.peer.send(message: answer)
        #expect(try await receiver.tool.errors.rest() == ["parley: \(receiver.transport.address) \(what)"])
        #expect(try await receiver.tool.exit() == 1)
        await receiver.close()
    }
}
