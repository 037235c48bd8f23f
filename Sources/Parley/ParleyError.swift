/// An error of this library: a stable code, a sentence that names what failed and where, and libuv's own code
/// when the failure came from the system.
///
/// Every error that Parley makes has this type, and so has the reason that ``TransportOptions/onDisconnect``
/// gets. Errors that your own handshake or `onPeer` throws pass through ``Transport/dial(_:)`` unchanged.
public struct ParleyError: Error, Sendable, Hashable {
    // A separate object: errors are rare, and every connection has several fields that may hold one.
    private let content: Content

    /// The sentence of an error.
    private enum Sentence: Sendable {
        case text(String)
        /// This side closed the connection with that address.
        case closedHere(SocketAddress)

        var text: String {
            switch self {
            case .text(let text): text
            case .closedHere(let remote): "this side closed the connection to \(remote)".printable
            }
        }
    }

    private final class Content: Sendable {
        let code: Code
        let sentence: Sentence
        let systemCode: Int32?
        let remoteCode: UInt32?

        init(
            _ code: Code,
            _ sentence: Sentence,
            _ systemCode: Int32? = nil,
            remoteCode: UInt32? = nil
        ) {
            self.remoteCode = remoteCode
            self.code = code
            self.sentence = sentence
            self.systemCode = systemCode
        }
    }

    /// The kind of failure. C programs get the same values.
    public var code: Code { content.code }
    /// One sentence without a full stop: what failed, and where. Control characters are escaped (`\n`,
    /// `\x1b`, `\u{202e}`), since parts of it may be text that a peer chose.
    public var message: String { content.sentence.text }
    /// libuv's (negative) error code, when the failure came from the system.
    /// See <https://docs.libuv.org/en/v1.x/errors.html>.
    public var systemCode: Int32? { content.systemCode }

    /// The number with which the other side refused a request (`requestRefused`) or aborted a stream
    /// (`streamAborted`); nil for other errors.
    public var remoteCode: UInt32? { content.remoteCode }

    /// Makes the error of a request that the other side refused.
    init(requestRefused code: UInt32, reason: String, by peer: String) {
        self.init(.requestRefused, "\(peer) refused the request", code, reason)
    }

    /// Makes the error of a stream that the other side aborted.
    init(streamAborted code: UInt32, reason: String) {
        self.init(.streamAborted, "the remote side aborted the stream", code, reason)
    }

    private init(_ code: Code, _ what: String, _ remoteCode: UInt32, _ reason: String) {
        content = Content(
            code,
            .text("\(what) (code \(remoteCode))\(reason.isEmpty ? "" : ": \(reason)")".printable),
            remoteCode: remoteCode
        )
    }

    /// Makes an error. Transports and decoders of your own use this too.
    ///
    /// - Parameters:
    ///   - code: the kind of failure.
    ///   - message: one sentence without a full stop: what failed, and where. Its control characters are
    ///     escaped.
    ///   - systemCode: libuv's (negative) code; nil when the failure did not come from the system.
    public init(_ code: Code, _ message: String, systemCode: Int32? = nil) {
        content = Content(code, .text(message.printable), systemCode)
    }

    /// Makes the error of a connection that this side closes. Its sentence is made when somebody reads it,
    /// which after most closes nobody does.
    init(closedHere remote: SocketAddress) { content = Content(.closed, .closedHere(remote)) }

    /// Whether code, message and system code are the same.
    public static func == (one: Self, other: Self) -> Bool {
        one.content === other.content
            || one.code == other.code && one.message == other.message && one.systemCode == other.systemCode
    }

    /// Hashes code, message and system code.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(message)
        hasher.combine(systemCode)
    }
}

extension ParleyError {
    /// The kind of an error. The set is open: compare with the constants, and expect new ones.
    public struct Code: RawRepresentable, Sendable, Hashable {
        /// Negative, and never reused.
        public let rawValue: Int32
        /// Wraps a raw value. Unknown values are kept as they are.
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// The address is not of the form `host:port`, or the peer id is malformed.
        public static let invalidAddress = Code(rawValue: -1)
        /// An argument is out of its range.
        public static let invalidArgument = Code(rawValue: -2)
        /// The wire form in use does not support the operation.
        public static let unsupported = Code(rawValue: -3)
        /// The message is longer than the wire form or the options allow.
        public static let messageTooLong = Code(rawValue: -4)
        /// `listenAndAccept` was called on a transport that is listening.
        public static let alreadyListening = Code(rawValue: -5)
        /// Another socket holds the address.
        public static let addressInUse = Code(rawValue: -6)
        /// The address belongs to no interface of this machine.
        public static let addressNotAvailable = Code(rawValue: -7)
        /// The name has no address, or the resolver could not be reached.
        public static let nameNotResolved = Code(rawValue: -8)
        /// Nobody listens on the address.
        public static let connectionRefused = Code(rawValue: -9)
        /// No route leads to the address.
        public static let unreachable = Code(rawValue: -10)
        /// A time-out or a deadline passed.
        public static let timedOut = Code(rawValue: -11)
        /// The task that waited was cancelled.
        public static let cancelled = Code(rawValue: -12)
        /// This side closed the peer or the transport.
        public static let closed = Code(rawValue: -13)
        /// The remote side closed the connection in an orderly way.
        public static let endOfStream = Code(rawValue: -14)
        /// The remote side reset the connection.
        public static let connectionReset = Code(rawValue: -15)
        /// The bytes that arrived do not follow the wire form.
        public static let protocolViolation = Code(rawValue: -16)
        /// The connection or the file ended too early: in the middle of a frame, or before the length that
        /// was announced.
        public static let truncated = Code(rawValue: -17)
        /// The handshake threw.
        public static let handshakeFailed = Code(rawValue: -18)
        /// `onPeer` threw: the application does not want this peer.
        public static let peerRefused = Code(rawValue: -19)
        /// The process or the system has no file descriptors, or no threads, left.
        public static let tooManyOpenFiles = Code(rawValue: -20)
        /// The operating system forbids it.
        public static let permissionDenied = Code(rawValue: -21)
        /// A side aborted its stream before the end.
        public static let streamAborted = Code(rawValue: -22)
        /// A file of that name exists already.
        public static let fileExists = Code(rawValue: -24)
        /// No such file or folder exists.
        public static let fileNotFound = Code(rawValue: -25)
        /// ``Limits/maxPeers`` or ``Limits/maxOutboundPeers`` is reached.
        public static let tooManyPeers = Code(rawValue: -26)
        /// The address, or its network, has as many connections as the limits allow.
        public static let tooManyFromAddress = Code(rawValue: -27)
        /// ``TransportOptions/gate`` does not allow this address.
        public static let notAllowed = Code(rawValue: -28)
        /// The address or the id is banned; see ``Peer/ban(for:)``.
        public static let banned = Code(rawValue: -29)
        /// Nothing arrived and nothing was sent for ``Timeouts/idle``.
        public static let idle = Code(rawValue: -30)
        /// The remote side acknowledged too little of what was sent for ``Timeouts/writeStall``.
        public static let writeStalled = Code(rawValue: -31)
        /// ``Heartbeat/maxMissed`` heartbeats went unanswered.
        public static let heartbeatLost = Code(rawValue: -32)
        /// ``Limits/receiveBufferBytes`` is reached.
        public static let receiveBufferFull = Code(rawValue: -33)
        /// Another connection with the same node is kept instead; see ``DuplicateRule``.
        public static let duplicate = Code(rawValue: -34)
        /// There is no memory for a large buffer.
        public static let outOfMemory = Code(rawValue: -35)
        /// The other side refused a request; see ``RPC/refuse(code:reason:)`` and ``ParleyError/remoteCode``.
        public static let requestRefused = Code(rawValue: -36)
        /// A secured link failed: its handshake, or a message that was changed on its way.
        public static let securityFailed = Code(rawValue: -40)
        /// The file or the bytes do not hold an identity, or others may read the file.
        public static let invalidIdentity = Code(rawValue: -41)
        /// Another node answers than the one that was dialed.
        public static let identityMismatch = Code(rawValue: -42)
        /// ``TransportOptions/security`` does not allow the other side's id.
        public static let identityNotAllowed = Code(rawValue: -43)
        /// Any other failure that the system reported; see ``ParleyError/systemCode``.
        public static let system = Code(rawValue: -23)
        /// C only: no open peer has this number.
        public static let noSuchPeer = Code(rawValue: -64)
        /// C only: the call would block the thread whose work it waits for.
        public static let wouldDeadlock = Code(rawValue: -65)
        /// This process is a forked child of one that had used the library: the library's threads are gone.
        public static let forked = Code(rawValue: -67)
        /// The call may not wait and would have to; see
        /// ``Transport/broadcast(message:)-(ArraySlice<UInt8>)``.
        public static let wouldBlock = Code(rawValue: -66)
    }
}

extension ParleyError.Code: CustomStringConvertible {
    private static let names: [Self: String] = [
        .invalidAddress: "invalidAddress", .invalidArgument: "invalidArgument", .unsupported: "unsupported",
        .messageTooLong: "messageTooLong", .alreadyListening: "alreadyListening",
        .addressInUse: "addressInUse", .addressNotAvailable: "addressNotAvailable",
        .nameNotResolved: "nameNotResolved", .connectionRefused: "connectionRefused",
        .unreachable: "unreachable", .timedOut: "timedOut", .cancelled: "cancelled", .closed: "closed",
        .endOfStream: "endOfStream", .connectionReset: "connectionReset",
        .protocolViolation: "protocolViolation", .truncated: "truncated",
        .handshakeFailed: "handshakeFailed", .peerRefused: "peerRefused",
        .tooManyOpenFiles: "tooManyOpenFiles", .permissionDenied: "permissionDenied",
        .streamAborted: "streamAborted", .fileExists: "fileExists", .fileNotFound: "fileNotFound",
        .system: "system", .tooManyPeers: "tooManyPeers", .tooManyFromAddress: "tooManyFromAddress",
        .notAllowed: "notAllowed", .banned: "banned", .idle: "idle", .writeStalled: "writeStalled",
        .heartbeatLost: "heartbeatLost", .duplicate: "duplicate", .receiveBufferFull: "receiveBufferFull",
        .outOfMemory: "outOfMemory", .requestRefused: "requestRefused",
        .securityFailed: "securityFailed", .invalidIdentity: "invalidIdentity",
        .identityMismatch: "identityMismatch", .identityNotAllowed: "identityNotAllowed",
        .noSuchPeer: "noSuchPeer",
        .wouldDeadlock: "wouldDeadlock",
        .wouldBlock: "wouldBlock", .forked: "forked",
    ]

    /// The constant's name, for logs.
    public var description: String { Self.names[self] ?? "code \(rawValue)" }
}

extension ParleyError: CustomStringConvertible {
    /// The message, followed by the code's name in parentheses.
    public var description: String { "\(message) (\(code))" }
}

extension ParleyError {
    /// The reason of every connection that the other side closes in an orderly way.
    static let remoteClosed = ParleyError(.endOfStream, "the remote side closed the connection")

    static func cancelled(_ what: String) -> ParleyError { ParleyError(.cancelled, "\(what) was cancelled") }
}
