import Foundation
import Testing

@testable import ParleyCLI

/// fsync(2) that fails in a process: strace(1) has the kernel say so.
private enum FailingSync {
    static let tracer = "/usr/bin/strace"
    static let options = ["-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO"]

    static let isAvailable = Task { () -> Bool in
        let trial = try? SpawnedProcess(executable: tracer, options + ["true"])
        return await trial?.exitCode.value == 0
    }
}

/// A disk that fails only when a complete file is to be on it.
@Suite(
    "A disk that fails at the end",
    .enabled("strace(1), or the leave to trace, is missing here") { await FailingSync.isAvailable.value },
    .timeLimit(.minutes(5))
)
struct FailingSyncTests {
    @Test(
        "The sender hears why, and nothing is left that a later transfer could go on with",
        arguments: [[], ["--resume"]]
    )
    func hears(storing: [String]) async throws {
        let (source, target) = (try TemporaryDirectory(), try TemporaryDirectory())
        // Smaller files are not written to the disk one by one.
        try source.makeFile("file", byteCount: 3 << 20)
        // With --once the traced tool ends by itself.
        let receive = [
            ToolProcess.executable.path, "receive", "--once", "--listen", "127.0.0.1:0",
            "--into", target.url.path,
        ]
        let receiver = try ToolProcess(
            executable: URL(filePath: FailingSync.tracer),
            FailingSync.options + receive + storing
        )
        let address = try await receiver.listeningAddress()
        let sender = try ToolProcess("send", source.path(of: "file"), "--to", address)
        let reason = "the file cannot be kept: Input/output error"
        let heard = "parley: \(address.withoutID) could not store file: \(reason)"
        #expect(try await sender.errors.rest() == [heard])
        #expect(try await sender.exit() == 1)
        let line = try #require(try await receiver.errors.next())
        #expect(line.hasSuffix(" broke off after 3145728 of 3145728 bytes: \(reason)"))
        #expect(try await receiver.exit() == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: target.url.path) == [])
    }
}
