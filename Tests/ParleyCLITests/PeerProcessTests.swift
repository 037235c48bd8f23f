import Foundation
import Parley
import Testing

@testable import ParleyCLI

/// A peer whose process is killed, or stands still: the system goes on answering for it, or not.
@Suite("A peer's process", .timeLimit(.minutes(5)))
struct PeerProcessTests {
    /// Lets the tool dial a node, does something to its process, and returns why the connection has ended.
    private func end(
        _ change: (inout TransportOptions) -> Void = { _ in },
        behind event: (ToolProcess, any Peer) async throws -> Void
    ) async throws -> [ParleyError.Code] {
        let (ends, ended) = AsyncStream.makeStream(of: ParleyError.self)
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .framed)
        options.onDisconnect = { _, reason in ended.yield(reason) }
        change(&options)
        let transport = TCPTransport(options)
        try await transport.listenAndAccept()
        let tool = try ToolProcess("dial", transport.address, "--plain", codec: .framed)
        try tool.type("whole")
        let rpc = try await withDeadline(ToolProcess.deadline, failingWith: Failure("nothing came")) {
            await transport.consume().first { _ in true }
        }
        #expect(rpc.map { Array($0.payload) } == Array("whole".utf8))
        if let rpc { try await event(tool, rpc.peer) }
        var codes = [await ends.first { _ in true }?.code].compactMap { $0 }
        tool.signal(SIGKILL)
        await transport.close()
        ended.finish()
        for await reason in ends { codes.append(reason.code) }
        return codes
    }

    @Test("that is killed ends it at once")
    func killed() async throws {
        let codes = try await end { tool, _ in tool.signal(SIGKILL) }
        #expect(codes == [.endOfStream] || codes == [.connectionReset])
    }

    @Test("that is stopped answers no heartbeat")
    func stopped() async throws {
        let codes = try await end {
            $0.timeouts.heartbeat = Heartbeat(interval: .milliseconds(400), maxMissed: 30)
        } behind: { tool, _ in
            tool.signal(SIGSTOP)
        }
        #expect(codes == [.heartbeatLost])
    }

    @Test("that is stopped takes nothing more")
    func stalled() async throws {
        let codes = try await end {
            $0.timeouts.writeStall = .seconds(1)
        } behind: { tool, peer in
            tool.signal(SIGSTOP)
            let message = [UInt8](repeating: 1, count: 100_000)
            await #expect(throws: ParleyError.self) { while true { try await peer.send(message: message) } }
        }
        #expect(codes == [.writeStalled])
    }
}
