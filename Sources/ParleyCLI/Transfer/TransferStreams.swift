import Parley

/// The two byte streams of a transfer, as its sender has them.
protocol TransferStreams: Sendable {
    var peer: any Peer { get }
    /// Whether the sender's stream can be broken off without the connection.
    var canAbort: Bool { get }
    /// Begins the sender's stream.
    func begin() async throws -> any StreamWriter
    /// Waits for the receiver's stream.
    func answers(to totals: TransferTotals) async throws -> PeerStream
    /// Why the receiver says nothing more.
    var departure: String { get async }
    /// What to say behind an end before which nothing came.
    var hint: String { get }
}

/// The streams of `parley send`, which opens one and waits for that of the receiver.
struct DialedStreams: TransferStreams {
    let dialed: DialedPeer
    let codec: Codec

    var peer: any Peer { dialed.peer }

    var canAbort: Bool { codec.delimitsStreams }

    func begin() async throws -> any StreamWriter {
        let header = codec.delimitsStreams ? TransferRecord.title : []
        let stream = try await peer.openStream(header: header[...])
        if !codec.delimitsStreams { try await stream.write(TransferRecord.title) }
        return stream
    }

    func answers(to totals: TransferTotals) async throws -> PeerStream {
        let rpc = await dialed.transport.consume().first { _ in true }
        try Task.checkCancellation()
        guard let rpc else {
            throw Failure("\(peer.remoteAddress) went away without an answer: \(await departure)\(hint)")
        }
        if let body = rpc.body { return body }
        if let reason = TransferAnswer.reason(inRefusal: rpc.payload) {
            throw Failure("\(peer.remoteAddress) refused \(totals.text): \(reason)")
        }
        throw Failure.strangeAnswer(of: peer, "\"\(String(printable: rpc.payload.prefix(80)))\"")
    }

    /// How long the connection may outlast the answers.
    private static let partingTime = Duration.seconds(1)

    var departure: String {
        get async { await dialed.end(within: Self.partingTime)?.message ?? "it ended its answers" }
    }

    var hint: String { dialed.hasHeard ? "" : dialed.refusalHint }
}

/// The one stream of a `parley get`, which goes both ways.
struct RequestedStreams: TransferStreams {
    let stream: PeerStream

    var peer: any Peer { stream.peer }

    var canAbort: Bool { true }

    func begin() -> any StreamWriter { stream }

    func answers(to totals: TransferTotals) -> PeerStream { stream }

    var departure: String { "the stream ended" }

    var hint: String { "" }
}

extension Failure {
    /// The other side of a transfer has said something that no receiver says.
    static func strangeAnswer(of peer: any Peer, _ what: String) -> Failure {
        Failure("\(peer.remoteAddress) answered \(what); is it parley receive?")
    }
}
