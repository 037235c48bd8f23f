import Parley

@testable import ParleyCLI

/// The other end of a conversation with the tool, which does exactly what a test tells it to. It keeps the
/// tool running.
struct ScriptedPeer {
    let tool: ToolProcess
    let transport: TCPTransport
    let peer: any Peer

    /// Dials the tool at the address that it prints first, unless that is read already.
    static func dialing(
        _ tool: ToolProcess,
        at known: String? = nil,
        codec: Codec = .unframed
    ) async throws -> ScriptedPeer {
        let address = if let known { known } else { try await tool.listeningAddress() }
        let transport = TCPTransport(TransportOptions(decoder: codec.wireForm))
        return ScriptedPeer(tool: tool, transport: transport, peer: try await transport.dial(address))
    }

    /// Offers a file in the header of its stream, sends all of it, and returns the answer.
    func stream(_ name: String, _ content: [UInt8], claiming size: Int? = nil) async throws -> String {
        let offer = FileOffer(version: .header, size: size ?? content.count, name: Array(name.utf8))
        try await peer.withStream(header: offer.encoded[...]) { try await $0.write(content) }
        return try await nextMessage()
    }

    /// Listens with the unframed wire form, starts the tool with the address, and waits until it has dialed.
    static func listening(for start: (_ address: String) throws -> ToolProcess) async throws -> ScriptedPeer {
        let (peers, arrived) = AsyncStream.makeStream(of: (any Peer).self)
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .unframed)
        options.onPeer = { arrived.yield($0) }
        let transport = TCPTransport(options)
        try await transport.listenAndAccept()
        let tool = try start(transport.address)
        let peer = try await withDeadline(ToolProcess.deadline, failingWith: Failure("nobody dialed")) {
            await peers.first { _ in true }
        }
        guard let peer else { throw CancellationError() }
        return ScriptedPeer(tool: tool, transport: transport, peer: peer)
    }

    /// The next thing that the tool sends.
    func next() async throws -> RPC {
        let rpc = try await withDeadline(ToolProcess.deadline, failingWith: Failure("the tool sent nothing"))
        {
            [transport] in await transport.consume().first { _ in true }
        }
        guard let rpc else { throw Failure("the transport is closed") }
        return rpc
    }

    func nextMessage() async throws -> String {
        String(decoding: try await next().payload, as: UTF8.self)
    }

    /// Offers a file and returns the answer.
    func offer(_ name: String, size: Int) async throws -> String {
        try await peer.send(message: FileOffer(version: .message, size: size, name: Array(name.utf8)).encoded)
        return try await nextMessage()
    }

    func close() async { await transport.close() }
}
