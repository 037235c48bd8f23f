/// How a connection between libp2p nodes begins, and the names in it.
///
/// ```
/// dialer                         listener
/// /multistream/1.0.0, /noise
///                                /multistream/1.0.0, /noise
/// the handshake of Noise, in which each side offers its forms of streams, for example /yamux/1.0.0
/// /multistream/1.0.0, /yamux/1.0.0                             only if one side has offered none
///                                /multistream/1.0.0, /yamux/1.0.0
/// yamux
/// ```
///
/// Source: <https://github.com/libp2p/specs/blob/master/connections/README.md>,
/// <https://github.com/libp2p/specs/blob/master/connections/inlined-muxer-negotiation.md>.
enum LibP2P {
    static let noise = "/noise"
    static let yamux = "/yamux/1.0.0"

    // Streams that every node answers.
    static let ping = "/ipfs/ping/1.0.0"
    static let identify = "/ipfs/id/1.0.0"
    static let identifyPush = "/ipfs/id/push/1.0.0"

    /// Whether the library itself takes the streams of a protocol.
    static func isBuiltIn(_ name: String) -> Bool { [ping, identify, identifyPush].contains(name) }

    /// The bytes of a ping.
    static let pingBytes = 32

    // What identify says of this node.
    static let protocolVersion = "ipfs/0.1.0"
    static let agentVersion = "parley"

    /// The forms of streams that this side offers in the handshake, the preferred one first.
    static let streamMuxers = [yamux]

    /// Whether the handshake has settled the form of the streams, so that nothing is negotiated about it.
    /// Both sides know both offers and come to the same answer.
    ///
    /// - Parameter offer: what the other side offers in the handshake. There is one form here: it is chosen
    ///   if the other side has it, wherever it stands in the list.
    static func isStreamMuxerSettled(by offer: [String]) -> Bool { offer.contains(yamux) }
}

extension WireForm {
    /// The form of libp2p nodes over TCP: a program written with go-libp2p, py-libp2p or rust-libp2p is a
    /// peer. It needs an identity, ``TransportOptions/security`` of `.noise(identity)`.
    ///
    /// It is ``multiplexed`` with the beginning of libp2p: both sides agree on Noise and on yamux by name.
    /// Streams, with ``Peer/openStream(protocol:)`` and ``Transport/accept(_:_:)``, reach every libp2p node;
    /// messages and requests reach Parley nodes, and throw `unsupported` with others.
    public static let libp2p = libp2p(maxMessageBytes: FramedDecoder.defaultMaxMessageBytes)

    /// The form of libp2p nodes with a limit of your own for messages and stream headers: 0 to
    /// 4,294,967,295.
    public static func libp2p(maxMessageBytes: Int) -> WireForm {
        multiplexed(maxMessageBytes: maxMessageBytes, as: .libp2p)
    }
}
