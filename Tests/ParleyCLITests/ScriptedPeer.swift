import Parley
import ParleyNoise
import Synchronization

@testable import ParleyCLI

/// The other end of a conversation with the tool, which does exactly what a test tells it to. It keeps the
/// tool running. It has the tool's identity, so that the tool lets it in without a question.
final class ScriptedPeer: Sendable {
    let tool: ToolProcess
    let transport: TCPTransport
    let peer: any Peer
    private let codec: Codec
    private let heard = Mutex<[UInt8]>([])

    private init(_ tool: ToolProcess, _ transport: TCPTransport, _ peer: any Peer, _ codec: Codec) {
        self.tool = tool
        self.transport = transport
        self.peer = peer
        self.codec = codec
    }

    /// Dials the tool at the address that it prints first, unless that is read already.
    static func dialing(
        _ tool: ToolProcess,
        at known: String? = nil,
        codec: Codec = .framed
    ) async throws -> ScriptedPeer {
        let address = if let known { known } else { try await tool.listeningAddress() }
        var options = TransportOptions(decoder: codec.wireForm)
        options.security = .noise(ToolProcess.identity)
        // What was sent before a close is written out, however slow the tool is.
        options.timeouts.close = .seconds(60)
        let transport = TCPTransport(options)
        return ScriptedPeer(tool, transport, try await transport.dial(address), codec)
    }

    /// Listens, starts the tool with the address, and waits until it has dialed.
    static func listening(
        codec: Codec = .framed,
        for start: (_ address: String) throws -> ToolProcess
    ) async throws -> ScriptedPeer {
        let (peers, arrived) = AsyncStream.makeStream(of: (any Peer).self)
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: codec.wireForm)
        options.security = .noise(ToolProcess.identity)
        options.onPeer = { arrived.yield($0) }
        let transport = TCPTransport(options)
        try await transport.listenAndAccept()
        let tool = try start(transport.address)
        let peer = try await withDeadline(ToolProcess.deadline, failingWith: Failure("nobody dialed")) {
            await peers.first { _ in true }
        }
        guard let peer else { throw CancellationError() }
        return ScriptedPeer(tool, transport, peer, codec)
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

    func close() async { await transport.close() }
}

// MARK: - A sender

extension ScriptedPeer {
    /// Begins a transfer of so many files.
    func begin(files: Int = 1, byteCount: Int? = 0) async throws -> any StreamWriter {
        let stream = try await peer.openStream(header: codec.delimitsStreams ? TransferRecord.title[...] : [])
        if !codec.delimitsStreams { try await stream.write(TransferRecord.title) }
        try await stream.write(
            TransferRecord.totals(TransferTotals(files: files, byteCount: byteCount)).encoded
        )
        return stream
    }

    /// The next answer of the tool.
    func nextAnswer() async throws -> TransferAnswer {
        while true {
            if let answer = try heard.withLock({ try TransferAnswer(takingFrom: &$0) }) { return answer }
            peer.setReadDeadline(.now + ToolProcess.deadline)
            guard let bytes = try await peer.read(upTo: 4_096) else {
                throw Failure("the tool says nothing more")
            }
            heard.withLock { $0 += bytes }
        }
    }

    /// Sends one file as a whole transfer, and returns the answers up to the last one.
    func send(_ path: String, _ content: [UInt8], announcing byteCount: Int? = nil) async throws
        -> [TransferAnswer]
    {
        let stream = try await begin()
        try await stream.write(.file(path, byteCount ?? content.count))
        try await stream.write(TransferRecord.data(byteCount: content.count).encoded + content)
        try await stream.write(.endOfFile)
        try await stream.write(.end)
        try await stream.finish()
        guard try await next().stream else { throw Failure("no stream of answers") }
        var answers: [TransferAnswer] = []
        while true {
            answers.append(try await nextAnswer())
            if case .stored = answers.last { break }
        }
        peer.closeStream()
        return answers
    }
}

extension StreamWriter {
    func write(_ record: TransferRecord) async throws { try await write(record.encoded) }
}

extension TransferRecord {
    static func file(_ path: String, _ byteCount: Int?) -> TransferRecord {
        .entry(TransferEntry(kind: .file(byteCount: byteCount), path: Array(path.utf8), metadata: nil))
    }
}

// MARK: - A receiver

extension ScriptedPeer {
    /// Waits for the beginning of the tool's transfer.
    func expectTransfer() async throws {
        let rpc = try await next()
        let title =
            codec.delimitsStreams ? rpc.payload : try await peer.read(exactly: TransferRecord.title.count)
        guard rpc.stream, title.elementsEqual(TransferRecord.title) else { throw Failure("no transfer") }
    }

    /// What the tool's transfer consists of, to its end.
    ///
    /// - Parameter begun: called once, when something of a file has arrived.
    func items(whenBegun begun: () throws -> Void = {}) async throws -> [TransferRecordDecoder.Item] {
        var decoder = TransferRecordDecoder()
        var items: [TransferRecordDecoder.Item] = []
        var hasBegun = false
        while items.last != .record(.end), let bytes = try await peer.read(upTo: 65_536) {
            try await decoder.feed(bytes) { items.append($0) }
            guard !hasBegun, case .content? = items.last else { continue }
            hasBegun = true
            try begun()
        }
        return items
    }
}
