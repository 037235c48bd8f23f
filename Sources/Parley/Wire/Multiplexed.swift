/// The names and wire forms inside ``WireForm/multiplexed``.
///
/// ```
/// the connection       yamux 1.0.0: /yamux/1.0.0 of libp2p
/// each stream          multistream-select for its name, then the protocol's own bytes
///
/// /parley/framed/1     messages and requests in the framed wire form; each side opens one for what it sends
/// /parley/stream/1     length u32, big-endian | header | bytes: a stream with a header of the application's
/// any other name       bytes of the application's protocol, both ways
/// ```
enum Multiplexed {
    /// The stream of one side's messages, requests and answers.
    static let messages = "/parley/framed/1"
    /// A stream whose opening is an RPC.
    static let stream = "/parley/stream/1"
    /// The bytes of the length before a stream's header.
    static let lengthBytes = 4

    /// The longest header for which a new stream has room, unless the node's send budget is used up. It
    /// leaves a little of the room to the proposal of the name, which may not be sent yet.
    static let longestHeaderAtOnce = MuxLimits().maxUnsentBytes - 1_024

    /// Whether an application may use the name.
    static func isFree(_ name: String) -> Bool { name != messages && name != stream }

    /// The length before a stream's header, which follows it.
    static func prefix(ofHeader count: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: count).bigEndian) { Array($0) }
    }

    /// What a stream with a header begins with.
    static func opening(_ header: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        (prefix(ofHeader: header.count) + header)[...]
    }
}

extension WireForm {
    /// Many streams at once beside the messages, each with its own flow control: no stream holds up another
    /// one, or a message. For two Parley nodes that both use it.
    ///
    /// Messages and requests have the framed form, on a stream of their own. ``Peer/openStream(protocol:)``
    /// opens a two-way stream with a name, and ``Transport/accept(_:_:)`` takes it. The RPC of a stream that
    /// ``Peer/openStream(header:)`` opened is read through ``RPC/body``. The streams are yamux
    /// (<https://github.com/hashicorp/yamux/blob/master/spec.md>), their names multistream-select.
    public static let multiplexed = multiplexed(maxMessageBytes: FramedDecoder.defaultMaxMessageBytes)

    /// The multiplexed wire form with a limit of your own for messages and stream headers: 0 to
    /// 4,294,967,295.
    public static func multiplexed(maxMessageBytes: Int) -> WireForm {
        multiplexed(maxMessageBytes: maxMessageBytes, as: .multiplexed)
    }

    static func multiplexed(maxMessageBytes: Int, as layers: Layers) -> WireForm {
        WireForm(
            maxMessageBytes: maxMessageBytes,
            upTo: Int(UInt32.max),
            checksLengths: true,
            layers: layers
        )
    }
}
