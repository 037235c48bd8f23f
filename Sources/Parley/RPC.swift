/// One delivery from a peer: a whole message, a request, or the opening of a stream.
///
/// The RPCs of one peer arrive in the order in which it sent them.
public struct RPC: Sendable {
    /// The peer that sent it. Answer a message with ``Peer/send(message:)-(ArraySlice<UInt8>)``, and a
    /// request with ``reply(with:)-(ArraySlice<UInt8>)``.
    public let peer: any Peer
    /// The bytes of the message or the request, or the stream's header (empty in the unframed wire form).
    ///
    /// It is a slice of the block that was read from the socket: its indices do not start at zero, and
    /// keeping a small slice keeps its whole block (at most 320 KiB, or the message's own size).
    /// `Array(payload)` copies it.
    public let payload: ArraySlice<UInt8>
    @usableFromInline package let kind: MessageRun.Kind

    /// Whether this is the opening of a stream. Read it through ``body``, in every wire form.
    @inlinable
    public var stream: Bool { if case .stream = kind { true } else { false } }

    /// The number of the request, which its answer carries; nil when this is no request.
    public var request: UInt32? { if case .request(let number) = kind { number } else { nil } }

    /// Makes an RPC, for transports of your own and for tests.
    public init(peer: any Peer, payload: ArraySlice<UInt8>, stream: Bool = false) {
        self.init(peer: peer, payload: payload, kind: stream ? .stream(0) : .messages)
    }

    /// Makes a request, for transports of your own and for tests. Its peer has ``Peer/reply(to:with:)``.
    public init(peer: any Peer, payload: ArraySlice<UInt8>, request: UInt32) {
        self.init(peer: peer, payload: payload, kind: .request(request))
    }

    @usableFromInline
    init(peer: any Peer, payload: ArraySlice<UInt8>, kind: MessageRun.Kind) {
        self.peer = peer
        self.payload = payload
        self.kind = kind
    }

    /// The sender's address as text, for example `127.0.0.1:51514`.
    public var from: String { peer.remoteAddress.description }
}

// MARK: - Answering a request

extension RPC {
    /// Answers the request. Each request gets one answer, a reply or a refusal, from any task and at any
    /// time: replies need not be in the order of the requests.
    ///
    /// - Throws: ``ParleyError``: `invalidArgument` when this is no request or when it is answered already;
    ///   as ``Peer/send(message:)-(ArraySlice<UInt8>)``, and then it can be answered again.
    public func reply(with message: ArraySlice<UInt8>) async throws(ParleyError) {
        try await peer.reply(to: number(), with: message)
    }

    /// Answers the request; see ``reply(with:)-(ArraySlice<UInt8>)``.
    public func reply(with message: [UInt8]) async throws(ParleyError) { try await reply(with: message[...]) }

    /// Answers the request with UTF-8 text; see ``reply(with:)-(ArraySlice<UInt8>)``.
    public func reply(with message: String) async throws(ParleyError) {
        try await peer.reply(to: number(), with: peer.bytes(of: message))
    }

    /// Refuses to answer the request: the other side's ``Peer/request(_:timeout:)-(ArraySlice<UInt8>,_)``
    /// throws `requestRefused` with this code and reason.
    ///
    /// - Parameters:
    ///   - code: a number of your own; see ``ParleyError/remoteCode``.
    ///   - reason: a sentence for people; it is cut at 1,024 bytes.
    /// - Throws: as ``reply(with:)-(ArraySlice<UInt8>)``.
    public func refuse(code: UInt32 = 0, reason: String) async throws(ParleyError) {
        try await peer.refuse(number(), code: code, reason: reason)
    }

    private func number() throws(ParleyError) -> UInt32 {
        guard let request else {
            throw ParleyError(
                .invalidArgument,
                "\(stream ? "a stream" : "a message") from \(from) is no request, so it has no answer"
            )
        }
        return request
    }
}

extension RPC: CustomStringConvertible {
    /// What it is and from whom, without its bytes, for example `a message of 5 bytes from 127.0.0.1:51514`.
    public var description: String {
        switch kind {
        case .messages: "a message of \(payload.count) bytes from \(from)"
        case .request(let number): "the request \(number) of \(payload.count) bytes from \(from)"
        case .stream: "a stream with a header of \(payload.count) bytes from \(from)"
        }
    }
}
