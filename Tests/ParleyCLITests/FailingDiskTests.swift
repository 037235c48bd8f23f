import Foundation
import Testing

@testable import ParleyCLI

/// Makes system calls of a process fail or take long, with strace(1).
private enum Injection {
    static let tracer = "/usr/bin/strace"

    static let isAvailable = Task { () -> Bool in
        let trial = try? SpawnedProcess(executable: tracer, options("fsync:error=EIO") + ["true"])
        return await trial?.exitCode.value == 0
    }

    /// - Parameter what: as strace(1) takes it for `inject`.
    static func options(_ what: String) -> [String] {
        ["-f", "-qq", "-o", "/dev/null", "-e", "inject=\(what)"]
    }
}

/// A disk that fails when a real one cannot be made to.
@Suite(
    "A disk that fails late",
    .enabled("strace(1), or the leave to trace, is missing here") { await Injection.isAvailable.value },
    .timeLimit(.minutes(5))
)
struct FailingDiskTests {
    private let source: TemporaryDirectory
    private let target: TemporaryDirectory

    init() throws {
        source = try TemporaryDirectory()
        target = try TemporaryDirectory()
        // Smaller files are not written to the disk one by one.
        try source.makeFile("file", byteCount: 3 << 20)
    }

    /// With --once the traced tool ends by itself.
    private func receive(_ more: [String], injecting what: String? = nil) throws -> ToolProcess {
        let receive = ["receive", "--once", "--listen", "127.0.0.1:0", "--into", target.url.path] + more
        guard let what else { return try ToolProcess(executable: ToolProcess.executable, receive) }
        return try ToolProcess(
            executable: URL(filePath: Injection.tracer),
            Injection.options(what) + [ToolProcess.executable.path] + receive
        )
    }

    private func send(_ name: String, to address: String) throws -> ToolProcess {
        try ToolProcess("send", source.path(of: name), "--to", address)
    }

    @Test(
        "The sender hears why a file cannot be kept, and nothing is left to go on with",
        arguments: [[], ["--resume"]]
    )
    func unsynced(storing: [String]) async throws {
        let receiver = try receive(storing, injecting: "fsync:error=EIO")
        let address = try await receiver.listeningAddress()
        let sender = try send("file", to: address)
        let reason = "the file cannot be kept: input/output error"
        let heard = "parley: \(address.withoutID) could not store file: \(reason)"
        #expect(try await sender.errors.rest() == [heard])
        #expect(try await sender.exit() == 1)
        let line = try #require(try await receiver.errors.next())
        #expect(line.hasSuffix(" broke off after 3145728 of 3145728 bytes: \(reason)"))
        #expect(try await receiver.exit() == 1)
        #expect(try target.names == [])
    }

    @Test(
        "The sender hears that a quota is used up; with --resume the part stays",
        arguments: [[], ["--resume"]]
    )
    func quota(storing: [String]) async throws {
        let receiver = try receive(storing, injecting: "pwrite64:error=EDQUOT:when=4+")
        let address = try await receiver.listeningAddress()
        let sender = try send("file", to: address)
        let heard = try await sender.errors.rest()
        #expect(heard.count == 1 && heard[0].hasSuffix("the file cannot be written: disk quota exceeded"))
        #expect(try await sender.exit() == 1)
        #expect(try await receiver.exit() == 1)
        #expect(try target.names.count == (storing.isEmpty ? 0 : 1))
    }

    @Test("The line about a folder that cannot be created names it")
    func folder() async throws {
        let receiver = try receive([], injecting: "mkdirat:error=EROFS")
        let address = try await receiver.listeningAddress()
        let sender = try ToolProcess("send", source.url.path, "--name", "srv", "--to", address)
        let reason = "srv: the folder cannot be created: read-only file system"
        let heard = try await sender.errors.rest()
        #expect(heard.count == 1)
        #expect(heard.first?.hasSuffix(" could not store srv (1 file and 1 folder): \(reason)") == true)
        #expect(try await sender.exit() == 1)
        let line = try #require(try await receiver.errors.next())
        #expect(line.hasSuffix(" broke off after 0 of 3145728 bytes: \(reason)"))
        #expect(try await receiver.exit() == 1)
        #expect(try target.names == [])
    }

    /// Its source was changed long ago. A part that was last written to as long ago would be removed.
    @Test("What is slow to reach the disk is not taken for an old part")
    func slow() async throws {
        let longAgo = [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 1, tv_usec: 0)]
        utimes(source.path(of: "file"), longAgo)
        let receiver = try receive([], injecting: "fsync:delay_enter=3000000")
        let sender = try send("file", to: try await receiver.listeningAddress())
        try await eventually {
            guard let part = try target.names.first else { return false }
            return try target.contents(of: part).count == 3 << 20
        }
        try source.makeFile("small", byteCount: 10)
        let other = try receive(["--resume"])
        #expect(try await send("small", to: try await other.listeningAddress()).exit() == 0)
        #expect(try await sender.exit() == 0)
        #expect(try await receiver.exit() == 0)
        #expect(try target.names == ["file", "small"])
        #expect(try target.contents(of: "file") == source.contents(of: "file"))
    }
}
