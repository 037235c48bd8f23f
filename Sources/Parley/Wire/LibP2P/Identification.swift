/// What a libp2p node says of itself: the message of identify.
///
/// All of it is what the other side claims, except that ``Peer/id`` is proven.
///
/// Source: <https://github.com/libp2p/specs/blob/master/identify/README.md>.
public struct Identification: Sendable, Hashable {
    /// The family of protocols that it belongs to, for example `ipfs/0.1.0`.
    public var protocolVersion = ""
    /// The program, for example `go-libp2p/0.24.2`.
    public var agentVersion = ""
    /// The id of the key that it shows; nil when it shows none, or one that is not Ed25519.
    public var id: PeerID?
    /// Where it listens. Addresses of kinds that ``Multiaddr`` does not know are left out.
    public var listenAddresses: [Multiaddr] = []
    /// The address at which it sees the node that asks.
    public var observedAddress: Multiaddr?
    /// The names of the protocols for which it accepts streams.
    public var protocols: [String] = []

    /// An empty one.
    public init() {}

    /// Takes what a push says. A push may be a part: what it leaves out stays as it was. A list that has at
    /// least one entry replaces the former one. An empty text counts as left out.
    mutating func update(with pushed: Identification) {
        if !pushed.protocolVersion.isEmpty { protocolVersion = pushed.protocolVersion }
        if !pushed.agentVersion.isEmpty { agentVersion = pushed.agentVersion }
        if let pushedID = pushed.id { id = pushedID }
        if !pushed.listenAddresses.isEmpty { listenAddresses = pushed.listenAddresses }
        if let address = pushed.observedAddress { observedAddress = address }
        if !pushed.protocols.isEmpty { protocols = pushed.protocols }
    }
}

// MARK: - On the wire

extension Identification {
    /// The most bytes that are read of an answer, in all its messages.
    static let maxBytes = 64 * 1024
    /// The most protocols, and the most addresses, that are read and written. Further ones are left out.
    static let maxProtocols = 1_024
    static let maxAddresses = 256
    /// The most messages that are written. go-libp2p reads no more.
    static let maxMessages = 9

    private enum Field {
        static let publicKey: UInt32 = 1
        static let listenAddress: UInt32 = 2
        static let name: UInt32 = 3
        static let observedAddress: UInt32 = 4
        static let protocolVersion: UInt32 = 5
        static let agentVersion: UInt32 = 6
    }

    /// The most bytes of a message that is written. rust-libp2p reads no longer one.
    static let maxMessageBytes = 4_096

    /// As messages, each behind its length: one, or more when it is long. What matters most is in the first,
    /// since not everybody reads more than that. Names of protocols for which there is no room are left out.
    var delimited: [UInt8] {
        var fields: [(UInt32, [UInt8])] = []
        if let id { fields.append((Field.publicKey, id.publicKeyProtobuf)) }
        if let observedAddress { fields.append((Field.observedAddress, observedAddress.bytes)) }
        fields.append((Field.protocolVersion, Array(protocolVersion.utf8)))
        fields.append((Field.agentVersion, Array(agentVersion.utf8)))
        for address in listenAddresses.prefix(Self.maxAddresses) {
            fields.append((Field.listenAddress, address.bytes))
        }
        for name in protocols.prefix(Self.maxProtocols) { fields.append((Field.name, Array(name.utf8))) }
        var messages: [[(number: UInt32, bytes: [UInt8])]] = [[]]
        var messageBytes = 0
        for (number, content) in fields {
            var field = ProtobufWriter()
            field.append(number, content)
            if messageBytes + field.bytes.count > Self.maxMessageBytes {
                guard messages.count < Self.maxMessages else { break }
                messages.append([])
                messageBytes = 0
            }
            messages[messages.count - 1].append((number, field.bytes))
            messageBytes += field.bytes.count
        }
        return messages.flatMap { message in
            let content = (Field.publicKey...Field.agentVersion).flatMap { number in
                message.filter { $0.number == number }.flatMap(\.bytes)
            }
            var bytes: [UInt8] = []
            Varint.append(UInt64(content.count), to: &bytes)
            return bytes + content
        }
    }

    /// Reads one or more messages, each behind its length. Together they are one: a list goes on in the next
    /// message, and of other fields the last one counts.
    ///
    /// - Throws: `protocolViolation`.
    init(delimited bytes: ArraySlice<UInt8>) throws(ParleyError) {
        guard bytes.count <= Self.maxBytes else {
            throw Self.violation("has more than \(Self.maxBytes) bytes")
        }
        var rest = bytes
        repeat {
            guard let count = Varint.take(from: &rest), count <= UInt64(rest.count) else {
                throw Self.violation("ends inside a message")
            }
            try read(rest.prefix(Int(count)))
            rest = rest.dropFirst(Int(count))
        } while !rest.isEmpty
    }

    private mutating func read(_ message: ArraySlice<UInt8>) throws(ParleyError) {
        var reader = ProtobufReader(message, malformed: Self.violation("is malformed"))
        while let field = try reader.next() {
            guard case .bytes(let content) = field.content else { continue }
            switch field.number {
            case Field.publicKey: id = PeerID(publicKeyProtobuf: content)
            case Field.listenAddress:
                guard listenAddresses.count < Self.maxAddresses,
                    let address = try? Multiaddr(bytes: content)
                else { continue }
                listenAddresses.append(address)
            case Field.name:
                // Of a name that this side could not propose it has no use.
                guard protocols.count < Self.maxProtocols,
                    let name = String(validating: content, as: UTF8.self), Multistream.isName(name)
                else { continue }
                protocols.append(name)
            case Field.observedAddress: observedAddress = try? Multiaddr(bytes: content)
            case Field.protocolVersion: protocolVersion = String(decoding: content, as: UTF8.self)
            case Field.agentVersion: agentVersion = String(decoding: content, as: UTF8.self)
            default: continue
            }
        }
    }

    private static func violation(_ what: String) -> ParleyError {
        ParleyError(.protocolViolation, "what the other side says of itself \(what)")
    }
}
