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
