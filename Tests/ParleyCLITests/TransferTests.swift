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

    private func receive(_ more: String..., codec: Codec = .framed) throws -> ToolProcess {
        try ToolProcess(
            executable: ToolProcess.executable,
            ["receive", "--listen", "127.0.0.1:0", "--into", target.url.path, "--codec", codec.rawValue]
                + more
        )
    }

    private func send(_ name: String, to address: String, codec: Codec = .framed) throws -> ToolProcess {
        try ToolProcess("send", source.path(of: name), "--to", address, codec: codec)
    }

    // MARK: What arrives

    @Test(
        "A file arrives as it is",
        arguments: [0, 1, 5_000, TransferSender.pieceBytes, 20 << 20],
        Codec.allCases
    )
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
        #expect(sent.first == "sending grüße.bin, \(byteCount.inBytes), to \(address)")
        #expect(sent.last?.hasPrefix("sent grüße.bin: \(byteCount.inBytes) in ") == true)
        let received = try await receiver.output.rest()
        let start = "receiving grüße.bin, \(byteCount.inBytes), from \(ToolProcess.identity.id)@127.0.0.1:"
        #expect(received.first?.hasPrefix(start) == true)
        #expect(received.last?.hasPrefix("received grüße.bin: \(byteCount.inBytes) in ") == true)
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
        arguments: [
            "/proc/version", "/proc/sys/kernel/osrelease", "/sys/kernel/mm/transparent_hugepage/enabled",
        ]
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

    @Test("Sparse files may be longer together than a number can say")
    func endlessTogether() async throws {
        let memory = try TemporaryDirectory(hasManyFiles: true)
        for name in ["a", "b", "c"] {
            try memory.makeFile(name, byteCount: 0)
            // Not every file system has files of that size.
            guard truncate(memory.path(of: name), off_t(1) << 62) == 0 else { return }
        }
        let receiver = try receive("--once")
        let sender = try ToolProcess(
            "send",
            memory.path(of: "a"),
            memory.path(of: "b"),
            memory.path(of: "c"),
            "--to",
            try await receiver.listeningAddress()
        )
        #expect(try await sender.exit() == 1)
        #expect(try await receiver.exit() == 1)
        let last = try await sender.errors.rest().last
        #expect(last?.contains(" of 3 entries were not stored at ") == true)
    }

    /// The end of the connection must not overtake the answer, however much is on its way.
    @Test("A sender of much hears why nothing is taken", arguments: Codec.allCases)
    func refusedMuch(codec: Codec) async throws {
        let folder = source.url.appending(path: "folder")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for name in ["a", "b", "c", "d"] { try source.makeFile("folder/\(name)", byteCount: 3 << 20) }
        for _ in 0..<10 {
            let receiver = try receive("--once", "--max-bytes", "5", codec: codec)
            let address = try await receiver.listeningAddress()
            let sender = try send("folder", to: address, codec: codec)
            let line = try await sender.errors.rest().joined()
            #expect(line.hasPrefix("parley: \(address.withoutID) could not store"), "\(line)")
            #expect(line.hasSuffix("12582912 bytes are too many: at most 5 are taken here"), "\(line)")
            #expect(try await sender.exit() == 1)
        }
    }

    @Test("Several senders are served at once")
    func concurrent() async throws {
        let receiver = try receive()
        let address = try await receiver.listeningAddress()
        // One that has begun and does not go on keeps nobody else waiting.
        let slow = try await ScriptedPeer.dialing(receiver, at: address)
        let stream = try await slow.begin()
        try await stream.write(.file("slow", 2))
        try await stream.write(TransferRecord.data(byteCount: 2).encoded + [1])

        let names = (1...4).map { "file\($0)" }
        for name in names { try source.makeFile(name, byteCount: 3 << 20) }
        let senders = try names.map { try send($0, to: address) }
        for sender in senders { #expect(try await sender.exit() == 0) }
        for name in names { #expect(try target.contents(of: name) == source.contents(of: name)) }

        try await stream.write([2])
        try await stream.write(.endOfFile)
        try await stream.write(.end)
        #expect(try await slow.next().stream)
        #expect(try await slow.nextAnswer() == .stored(entries: 1, byteCount: 2))
        #expect(try target.contents(of: "slow") == Data([1, 2]))
        await slow.close()
    }

    @Test("A sender can make several transfers on one connection")
    func severalTransfers() async throws {
        let sender = try await ScriptedPeer.dialing(receive())
        for name in ["first", "second"] {
            #expect(try await sender.send(name, [1, 2, 3]) == [.stored(entries: 1, byteCount: 3)])
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
                "parley: \(address.withoutID) refused file: \"file\" exists already, as a file"
            ]
        )
        #expect(try await receiver.exit() == 1)
        #expect(try await receiver.errors.rest().count == 1)
        #expect(try target.contents(of: "file").count == 4)
    }

    @Test("--once takes the first transfer only")
    func onceBusy() async throws {
        let receiver = try receive("--once")
        let address = try await receiver.listeningAddress()
        let (first, second) = (
            try await ScriptedPeer.dialing(receiver, at: address),
            try await ScriptedPeer.dialing(receiver, at: address)
        )
        let stream = try await first.begin()
        #expect(try await first.next().stream)
        _ = try await second.begin()
        #expect(
            try await second.nextMessage()
                == "refused only one transfer is received here, and another one came first"
        )
        try await stream.write(.file("one", 0))
        try await stream.write(.endOfFile)
        try await stream.write(.end)
        #expect(try await first.nextAnswer() == .stored(entries: 1, byteCount: 0))
        #expect(try await receiver.exit() == 0)
        #expect(try target.names == ["one"])
        await first.close()
        await second.close()
    }

    // MARK: A file that changes

    @Test("A file that shrinks under way is never received whole")
    func shrinks() async throws {
        try source.makeFile("file", byteCount: 20 << 20)
        let receiver = try await ScriptedPeer.listening { try send("file", to: $0) }
        try await receiver.expectTransfer()
        let answers = try await receiver.peer.openStream(header: [])
        try await answers.write(TransferAnswer.have(entry: 0, []).encoded)
        // The file is larger than what fits on the way.
        let items = try await receiver.items {
            try FileHandle(forWritingTo: source.url.appending(path: "file")).truncate(atOffset: 1_000)
        }
        #expect(!items.contains(.record(.endOfFile)))
        let change = "\(source.path(of: "file")) became shorter (1000 bytes instead of 20971520)"
        #expect(items.contains(.record(.abandoned("\(change) while it was being sent"))))
        try await answers.write(TransferAnswer.stored(entries: 0, byteCount: 0).encoded)
        #expect(try await receiver.tool.errors.rest() == ["parley: \(change) while it was being sent"])
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
                + ["--into", target.url.path]
        )
        let address = try await receiver.listeningAddress()
        let sender = try send("file", to: address)
        #expect(
            try await sender.errors.rest()
                == [
                    "parley: \(address.withoutID) could not store file: "
                        + "the file cannot be written: file too large"
                ]
        )
        #expect(try await sender.exit() == 1)
        #expect(try target.names == [])
    }

    @Test("A receiver that goes away is an error line")
    func receiverGoes() async throws {
        try source.makeFile("file", byteCount: 20 << 20)
        let receiver = try await ScriptedPeer.listening { try send("file", to: $0) }
        try await receiver.expectTransfer()
        await receiver.close()
        let lines = try await receiver.tool.errors.rest()
        #expect(lines.count == 1)
        #expect(
            lines.first?.hasPrefix("parley: \(receiver.transport.address) went away without an answer: ")
                == true
        )
        #expect(try await receiver.tool.exit() == 1)
    }

    @Test(
        "So is one that goes away behind the last byte, or ends its answers alone",
        arguments: [(true, .framed), (true, .unframed), (false, .framed)] as [(Bool, Codec)]
    )
    func noAnswer(goesAway: Bool, codec: Codec) async throws {
        try source.makeFile("file", byteCount: 10)
        let receiver = try await ScriptedPeer.listening(codec: codec) {
            try send("file", to: $0, codec: codec)
        }
        try await receiver.expectTransfer()
        let answers = try await receiver.peer.openStream(header: [])
        _ = try await receiver.items()
        if goesAway { await receiver.close() } else { try await answers.finish() }
        let lines = try await receiver.tool.errors.rest()
        #expect(lines.count == 1)
        let start = "parley: \(receiver.transport.address) went away without an answer: "
        #expect(lines.first?.hasPrefix(start) == true)
        #expect(try await receiver.tool.exit() == 1)
        withExtendedLifetime(answers) {}
        await receiver.close()
    }

    @Test("The wait for the end of a connection ends with its task")
    func cancelledWait() async throws {
        let listener = TCPTransport(TransportOptions(listenAddress: "127.0.0.1:0"))
        try await listener.listenAndAccept()
        let address = listener.address
        let code = try await withDeadline(ToolProcess.deadline, failingWith: Failure("it goes on")) {
            try await withPeer(at: address, TransportOptions()) { dialed in
                let waiting = Task { await dialed.end }
                waiting.cancel()
                return await waiting.value.code
            }
        }
        #expect(code == .cancelled)
        await listener.close()
    }

    @Test(
        "An answer that is none is an error line",
        arguments: [
            ("hello\u{1B}", "answered \"hello\\x1b\"; is it parley receive?"),
            (
                "refused version 3 of the file transfer is not known here, only 2",
                "refused file: version 3 of the file transfer is not known here, only 2"
            ),
        ]
    )
    func strangeAnswer(answer: String, what: String) async throws {
        try source.makeFile("file", byteCount: 10)
        let receiver = try await ScriptedPeer.listening { try send("file", to: $0) }
        try await receiver.expectTransfer()
        try await receiver.peer.send(message: answer)
        #expect(try await receiver.tool.errors.rest() == ["parley: \(receiver.transport.address) \(what)"])
        #expect(try await receiver.tool.exit() == 1)
        await receiver.close()
    }

    @Test("What stops early fails, and has no end that would make it look whole")
    func stopsEarly() async throws {
        try source.makeFile("file", byteCount: BlockHashes.leastFileBytes)
        let receiver = try await ScriptedPeer.listening { try send("file", to: $0) }
        try await receiver.expectTransfer()
        // It is about to be asked what it has of the file.
        try await receiver.peer.withStream(header: []) {
            try await $0.write(TransferAnswer.stored(entries: 1, byteCount: 0).encoded)
        }
        let line = "parley: the receiver answered before all was sent; is it parley receive?"
        #expect(try await receiver.tool.errors.rest() == [line])
        #expect(try await receiver.tool.exit() == 1)
        var decoder = TransferRecordDecoder()
        var items: [TransferRecordDecoder.Item] = []
        // The stream is aborted.
        while let bytes = try? await receiver.peer.read(upTo: 65_536) {
            try await decoder.feed(bytes) { items.append($0) }
        }
        #expect(!items.contains(.record(.end)))
        await receiver.close()
    }

    @Test("So are a stream that is no answer, and an answer that cannot be true")
    func strangeStream() async throws {
        try source.makeFile("file", byteCount: 10)
        for (answer, what) in [
            (Array("hello".utf8), "answered \"hello\"; is it parley receive?"),
            (TransferAnswer.stored(entries: 1, byteCount: 9).encoded, "has stored 9 of 10 bytes"),
            (
                TransferAnswer.refused(entry: 1, "no").encoded,
                "answered about entry 1, and 1 were sent; is it parley receive?"
            ),
        ] {
            let receiver = try await ScriptedPeer.listening { try send("file", to: $0) }
            try await receiver.expectTransfer()
            _ = try await receiver.items()
            try await receiver.peer.withStream(header: []) { try await $0.write(answer) }
            #expect(
                try await receiver.tool.errors.rest() == ["parley: \(receiver.transport.address) \(what)"]
            )
            #expect(try await receiver.tool.exit() == 1)
            await receiver.close()
        }
    }
}
