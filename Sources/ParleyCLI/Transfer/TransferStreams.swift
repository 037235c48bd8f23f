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
    /// Why the receiver says nothing more, and what may help.
    var departure: String { get async }
    /// What may help after an error of the sender's stream.
    func hint(after error: ParleyError) -> String
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
            throw Failure("\(peer.remoteAddress) went away without an answer: \(await departure)")
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
        get async {
            guard let end = await dialed.end(within: Self.partingTime) else { return "it ended its answers" }
            return end.message + hint(after: end)
        }
    }

    func hint(after error: ParleyError) -> String { dialed.hint(after: error.code, wanting: .receive) }
}

/// The one stream of a `parley get`, which goes both ways.
struct RequestedStreams: TransferStreams {
    let stream: PeerStream

    var peer: any Peer { stream.peer }

    var canAbort: Bool { true }

    func begin() -> any StreamWriter { stream }

    func answers(to totals: TransferTotals) -> PeerStream { stream }

    var departure: String { "the stream ended" }

    func hint(after error: ParleyError) -> String { "" }
}

extension Failure {
    /// The other side of a transfer has said something that no receiver says.
    static func strangeAnswer(of peer: any Peer, _ what: String) -> Failure {
        Failure("\(peer.remoteAddress) answered \(what); is it parley receive?")
    }
}
