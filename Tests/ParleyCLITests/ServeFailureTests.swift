import Foundation
import Parley
import Synchronization
import Testing

@testable import ParleyCLI

@Suite("get from a server that fails", .timeLimit(.minutes(5)))
struct ServeFailureTests {
    private let target: TemporaryDirectory

    init() throws { target = try TemporaryDirectory() }

    /// A server that says what a test says, and the tool that gets a file from it.
    private func get(
        _ more: String...,
        answering answer: @escaping @Sendable (PeerStream, FileRequest) async throws -> Void
    ) async throws -> (tool: ToolProcess, transport: TCPTransport) {
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .multiplexed)
        options.security = .noise(ToolProcess.identity)
        let transport = TCPTransport(options)
        try transport.accept(FileRequest.Kind.get.rawValue) { stream in
            try await answer(stream, FileRequest(from: stream))
        }
        try await transport.listenAndAccept()
        let tool = try ToolProcess(
            executable: ToolProcess.executable,
            ["get", transport.address, "file", "--into", target.url.path] + more
        )
        return (tool, transport)
    }

    private static func begin(_ stream: PeerStream, byteCount: Int) async throws {
        try await stream.write(
            TransferRecord.totals(TransferTotals(files: 1, byteCount: byteCount, name: Array("file".utf8)))
        )
        try await stream.write(.file("file", byteCount))
    }

    @Test("A file that cannot be sent to its end is not kept")
    func abandoned() async throws {
        let (tool, transport) = try await get { stream, request in
            #expect(request == FileRequest(paths: [Array("file".utf8)]))
            try await Self.begin(stream, byteCount: 10)
            try await stream.write(TransferRecord.data(byteCount: 5).encoded + [1, 2, 3, 4, 5])
            try await stream.write(.abandoned("file became shorter (5 bytes instead of 10)"))
            try await stream.write(.end)
            try await stream.finish()
            _ = try await stream.read(upTo: 100)
        }
        #expect(try await tool.exit() == 1)
        let line =
            "parley: file from \(transport.address) was not sent to its end: "
            + "file became shorter (5 bytes instead of 10)"
        #expect(try await tool.errors.rest() == [line])
        #expect(try target.names == [])
        await transport.close()
    }

    @Test("A server that goes away in the middle leaves nothing, and the line says where it stopped")
    func goesAway() async throws {
        let (tool, transport) = try await get { stream, _ in
            try await Self.begin(stream, byteCount: 10)
            try await stream.write(TransferRecord.data(byteCount: 5).encoded + [1, 2, 3, 4, 5])
            // The end of the handler closes the stream.
        }
        #expect(try await tool.exit() == 1)
        let end = "broke off after 5 of 10 bytes: the sender went away"
        #expect(try await tool.errors.rest() == ["parley: file from \(transport.address) \(end)"])
        #expect(try target.names == [])
        await transport.close()
    }

    @Test(
        "Names that lead out, or that were not asked for, are refused",
        arguments: [
            ("../out", "a file is not stored: the name \"../out\" leads out of its folder, or to it"),
            ("/tmp/out", "a file is not stored: the name \"/tmp/out\" is absolute"),
            (".profile", ".profile is not stored: \".profile\" was not asked for"),
            ("other/file", "other/file is not stored: \"other/file\" was not asked for"),
        ]
    )
    func hostile(path: String, sentence: String) async throws {
        let (tool, transport) = try await get { stream, _ in
            try await stream.write(TransferRecord.totals(TransferTotals(files: 1)))
            try await stream.write(.file(path, 0))
            try await stream.write(.endOfFile)
            try await stream.write(.end)
            try await stream.finish()
            _ = try await stream.read(upTo: 100)
        }
        #expect(try await tool.exit() == 1)
        #expect(
            try await tool.errors.rest() == [
                "parley: \(sentence)",
                "parley: file was asked for, and \(transport.address) has not sent it",
                "parley: 2 of 2 entries from \(transport.address) were not stored",
            ]
        )
        #expect(try target.names == [])
        await transport.close()
    }

    @Test("What was asked for and does not come has a line, and fails", arguments: [true, false])
    func missing(sendsOther: Bool) async throws {
        let (tool, transport) = try await get("other") { stream, _ in
            try await stream.write(TransferRecord.totals(TransferTotals(files: sendsOther ? 1 : 0)))
            if sendsOther {
                try await stream.write(.file("other", 0))
                try await stream.write(.endOfFile)
            }
            try await stream.write(.end)
            try await stream.finish()
            _ = try await stream.read(upTo: 100)
        }
        #expect(try await tool.exit() == 1)
        let missing = (sendsOther ? ["file"] : ["file", "other"]).map {
            "parley: \($0) was asked for, and \(transport.address) has not sent it"
        }
        let last = "parley: \(missing.count) of 2 entries from \(transport.address) were not stored"
        #expect(try await tool.errors.rest() == missing + [last])
        #expect(try target.names == (sendsOther ? ["other"] : []))
        await transport.close()
    }

    @Test("More of a file than was asked for is not stored")
    func tooMuch() async throws {
        let (tool, transport) = try await get("--range", "0-0") { stream, _ in
            try await Self.begin(stream, byteCount: 3)
            try await stream.write(TransferRecord.data(byteCount: 3).encoded + [1, 2, 3])
            try await stream.write(.endOfFile)
            try await stream.write(.end)
            try await stream.finish()
            _ = try await stream.read(upTo: 100)
        }
        #expect(try await tool.exit() == 1)
        let line = "parley: file is not stored: \"file\" has 3 bytes, more than the 1 of --range"
        #expect(try await tool.errors.rest() == [line])
        #expect(try target.names == [])
        await transport.close()
    }

    @Test("One that sends nothing more is given up; one that sends something is not")
    func stalls() async throws {
        let watch = StallWatch(limit: .milliseconds(20))
        await #expect(throws: Failure.self) {
            try await watch.run(failingWith: Failure("nothing moves")) {
                try await Task.sleep(for: ToolProcess.deadline)
            }
        }
        let patient = StallWatch(limit: ToolProcess.deadline)
        #expect(try await patient.run(failingWith: Failure("it has moved")) { 1 } == 1)
    }

    @Test("While this side is busy with what has arrived, nothing counts as too long")
    func pauses() async throws {
        let (looks, look) = AsyncStream.makeStream(of: Void.self)
        let watch = StallWatch(limit: .seconds(7)) { _ in
            try Task.checkCancellation()
            look.yield()
            await Task.yield()
        }
        watch.pause()
        let number = try await watch.run(failingWith: Failure("it is busy")) {
            var seen = 0
            for await _ in looks {
                seen += 1
                if seen == 3 { break }
            }
            return seen
        }
        #expect(number == 3)
        watch.goOn()
        await #expect(throws: Failure.self) {
            try await watch.run(failingWith: Failure("nothing moves")) {
                try await Task.sleep(for: ToolProcess.deadline)
            }
        }
    }

    @Test("What moves between two looks is not given up; at the first look without a move it is")
    func moves() async throws {
        let looks = Mutex(0)
        let (watches, made) = AsyncStream.makeStream(of: StallWatch.self)
        let watch = StallWatch(limit: .seconds(7)) { limit in
            #expect(limit == .seconds(7))
            let number = looks.withLock { looks in
                looks += 1
                return looks
            }
            if number <= 3, let watch = await watches.first(where: { _ in true }) {
                watch.hasMoved()
                made.yield(watch)
            }
        }
        made.yield(watch)
        await #expect(throws: Failure.self) {
            try await watch.run(failingWith: Failure("nothing moves")) {
                try await Task.sleep(for: ToolProcess.deadline)
            }
        }
        #expect(looks.withLock { $0 } == 4)
    }

    @Test("A getter that takes nothing more has one line at the server, which names it once")
    func givesUp() async throws {
        let source = try TemporaryDirectory()
        try source.makeFile("file", byteCount: 10)
        let server = try ToolProcess("serve", source.url.path, "--listen", "127.0.0.1:0")
        var options = TransportOptions(decoder: .multiplexed)
        options.security = .noise(ToolProcess.identity)
        let transport = TCPTransport(options)
        let peer = try await transport.dial(server.listeningAddress())
        let stream = try await peer.openStream(protocol: FileRequest.Kind.get.rawValue)
        try await stream.write(FileRequest(paths: [Array("file".utf8)]).encoded)
        try await stream.write(TransferAnswer.gaveUp("the disk is full").encoded)
        let line = "parley: \(peer.localAddress) could not store file: the disk is full"
        #expect(try await server.errors.next() == line)
        await transport.close()
    }

    @Test("Ctrl-C removes what has not arrived whole", arguments: [SIGINT, SIGTERM])
    func interrupted(signal: Int32) async throws {
        let (tool, transport) = try await get { stream, _ in
            try await Self.begin(stream, byteCount: 1_000_000)
            try await stream.write(TransferRecord.data(byteCount: 5).encoded + [1, 2, 3, 4, 5])
            _ = try await stream.read(upTo: 1)
        }
        _ = try await tool.output.next()
        tool.signal(signal)
        #expect(try await tool.exit() == 128 + signal)
        #expect(try target.names == [])
        await transport.close()
    }
}
