import Foundation
import Parley
import Testing

@testable import ParleyCLI

/// The tool while nobody reads what it prints.
@Suite("A full pipe", .timeLimit(.minutes(5)))
struct FullPipeTests {
    @Test("behind the log holds up neither peers nor a signal")
    func log() async throws {
        let listener = try SpawnedProcess(
            executable: ToolProcess.executable.path,
            ["listen", "127.0.0.1:0", "--plain", "-v"]
        )
        let lines = Lines(of: listener.output)
        let address = try await lines.next().map { String($0.dropFirst("listening on ".count)) }
        let transport = TCPTransport(TransportOptions())
        // Several times what a pipe holds.
        for _ in 0..<500 { await (try await transport.dial(#require(address))).close() }
        let peer = try await transport.dial(#require(address))
        try await peer.send(message: "are you there?")
        _ = try await lines.first(endingWith: "> are you there?")
        listener.signal(SIGTERM)
        let code = try await withDeadline(ToolProcess.deadline, failingWith: Failure("it has not ended")) {
            await listener.exitCode.value
        }
        #expect(code == 128 + SIGTERM)
        await transport.close()
    }

    @Test("behind the results holds up whoever has many of them, and no other transfer")
    func results() async throws {
        let source = try TemporaryDirectory(hasManyFiles: true)
        let target = try TemporaryDirectory(hasManyFiles: true)
        // Each file has an event of its own: a megabyte of them, and what a pipe holds.
        let folder = String(repeating: "d", count: 200) + "/" + String(repeating: "e", count: 200)
        let (count, enough) = (4_000, 1_500)
        try FileManager.default.createDirectory(
            at: source.url.appending(path: folder),
            withIntermediateDirectories: true
        )
        let name = String(repeating: "f", count: 200)
        for number in 0..<count { try source.makeFile("\(folder)/\(name)\(number)", byteCount: 1) }
        try source.makeFile("small", byteCount: 10)
        let receiver = try SpawnedProcess(
            executable: ToolProcess.executable.path,
            ["receive", "--listen", "127.0.0.1:0", "--plain", "--json", "--into", target.url.path]
        )
        var first: [UInt8] = []
        while first.last != UInt8(ascii: "\n") {
            first += try readSome(1, from: receiver.output.fileDescriptor)
        }
        let event = try JSONSerialization.jsonObject(with: Data(first)) as? [String: Any]
        let address = try #require(event?["address"] as? String)
        let large = try ToolProcess(
            "send",
            source.path(of: String(folder.prefix(200))),
            "--to",
            address,
            "--plain"
        )
        try await withDeadline(ToolProcess.deadline, failingWith: Failure("too little has arrived")) {
            let path = target.path(of: folder)
            while try FileManager.default.fileExists(atPath: path) == false
                || FileManager.default.contentsOfDirectory(atPath: path).count < enough
            {
                await Task.yield()
            }
        }
        let small = try ToolProcess("send", source.path(of: "small"), "--to", address, "--plain")
        #expect(try await small.exit() == 0)
        #expect(try target.contents(of: "small") == source.contents(of: "small"))
        // It is the reader that the large one waits for.
        #expect(try FileManager.default.contentsOfDirectory(atPath: target.path(of: folder)).count < count)
        let lines = Lines(of: receiver.output)
        #expect(try await large.exit() == 0)
        var ends = 0
        while ends < 2, let line = try await lines.next() { ends += line.contains(#""event":"end""#) ? 1 : 0 }
        #expect(ends == 2)
        receiver.signal(SIGTERM)
        #expect(await receiver.exitCode.value == 128 + SIGTERM)
    }

    @Test("loses lines when far too many wait, and says how many")
    func leftOut() async throws {
        let (results, notes) = (Pipe(), Pipe())
        let queue = OutputQueue(reportingTo: notes.fileHandleForWriting.fileDescriptor)
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        for _ in 0..<20 { queue.add(line, to: results.fileHandleForWriting.fileDescriptor) }
        var count = 0
        while count < 17 << 20 {
            count += try readSome(1 << 20, from: results.fileHandleForReading.fileDescriptor).count
        }
        let note = try readSome(100, from: notes.fileHandleForReading.fileDescriptor)
        #expect(
            String(decoding: note, as: UTF8.self) == "parley: 3 lines were left out, since nobody read them\n"
        )
        queue.flush()
        #expect(!queue.isBusy)
    }

    @Test("makes a task wait until somebody reads, or it is cancelled")
    func room() async throws {
        let results = Pipe()
        let queue = OutputQueue()
        queue.add([UInt8](repeating: 0, count: 2 << 20), to: results.fileHandleForWriting.fileDescriptor)
        let cancelled = Task { await queue.waitForRoom() }
        cancelled.cancel()
        await cancelled.value
        let waiting = Task { await queue.waitForRoom() }
        var count = 0
        while count < 2 << 20 {
            count += try readSome(1 << 20, from: results.fileHandleForReading.fileDescriptor).count
        }
        await waiting.value
        let ending = OutputQueue()
        ending.add([UInt8](repeating: 0, count: 2 << 20), to: results.fileHandleForWriting.fileDescriptor)
        ending.stopWaiting()
        await ending.waitForRoom()
        while count < 4 << 20 {
            count += try readSome(1 << 20, from: results.fileHandleForReading.fileDescriptor).count
        }
    }
}
