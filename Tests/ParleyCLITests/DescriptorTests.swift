import Foundation
import Testing

@testable import ParleyCLI

/// Here because it needs a process of its own: the limit would hit every other test too.
@Suite("Out of descriptors", .timeLimit(.minutes(5)))
struct DescriptorTests {
    @Test("connections wait until there are some again, and the listener neither stops nor spins")
    func descriptors() async throws {
        let soak = ToolProcess.executable.deletingLastPathComponent().appending(path: "ParleySoak")
        let process = try ToolProcess(executable: soak, ["descriptors"])
        #expect(try await process.output.rest().last == "ok: 120 of 120 connections were served")
        #expect(try await process.exit() == 0)
    }
}

@Suite("Standard descriptors that are closed", .timeLimit(.minutes(5)))
struct ClosedDescriptorTests {
    /// Starts the tool by a shell, which closes some of them.
    private func start(_ arguments: String..., closing descriptors: String) throws -> ToolProcess {
        let script = "exec \"$0\" \"$@\" \(descriptors)"
        return try ToolProcess(
            executable: URL(filePath: "/bin/sh"),
            ["-c", script, ToolProcess.executable.path] + arguments
        )
    }

    #if os(Linux)
        @Test("are not taken by anything that the tool opens")
        func reserved() async throws {
            let tool = try start("listen", "127.0.0.1:0", closing: "<&- 2>&-")
            _ = try await tool.listeningAddress()
            for number in [0, 2] {
                let link = "/proc/\(tool.identifier)/fd/\(number)"
                #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "/dev/null")
            }
            tool.signal(SIGTERM)
            #expect(try await tool.exit() == 143)
        }
    #endif

    @Test("are errors where they are needed")
    func errors() async throws {
        let target = try TemporaryDirectory()
        let receiver = try ToolProcess("receive", "--listen", "127.0.0.1:0", "--into", target.url.path)
        let address = try await receiver.listeningAddress()
        let sender = try start("send", "-", "--to", address, closing: "<&-")
        #expect(try await sender.exit() == 1)
        let lines = try await sender.errors.rest()
        #expect(lines.count == 1 && lines.first?.hasPrefix("parley: cannot read standard input: ") == true)
        #expect(try target.names == [])
        let id = try start("id", closing: ">&-")
        #expect(try await id.exit() == 1)
        receiver.signal(SIGTERM)
        #expect(try await receiver.exit() == 143)
    }
}
