/// A wire form and its limit. Both ends of a connection must use the same wire form.
public struct WireForm: Sendable {
    /// Makes a decoder. Nil when the decoder is ``FramedDecoder``.
    private let makeOther: (@Sendable () -> any Decoder)?
    /// The longest message or stream header, in bytes, that is accepted or sent.
    let maxMessageBytes: Int
    /// The greatest `maxMessageBytes` that its lengths can express.
    let greatestMaxMessageBytes: Int
    /// Whether the decoder itself refuses messages longer than `maxMessageBytes`.
    let checksLengths: Bool
    let layers: Layers

    /// What lies between a connection's link and its messages.
    enum Layers: Sendable {
        /// Nothing: a connection has one stream at a time.
        case none
        /// A connection carries many streams beside its messages.
        case multiplexed
        /// As ``multiplexed``, and both sides choose security and streams by name first, as libp2p nodes do.
        case libp2p
    }

    /// Whether a connection carries many streams beside its messages.
    var isMultiplexed: Bool { layers != .none }

    /// A wire form of your own.
    ///
    /// - Parameters:
    ///   - maxMessageBytes: the longest message or stream header. A frame that is longer by more than 64 KiB
    ///     is refused as soon as its length is known.
    ///   - makeDecoder: makes a decoder. It is called twice for each connection, once for reading and once
    ///     for writing, on any thread.
    public init(maxMessageBytes: Int = 16 << 20, _ makeDecoder: @escaping @Sendable () -> any Decoder) {
        self.init(maxMessageBytes: maxMessageBytes, upTo: .max, checksLengths: false, makeDecoder)
    }

    init(
        maxMessageBytes: Int,
        upTo greatest: Int,
        checksLengths: Bool,
        layers: Layers = .none,
        _ makeOther: (@Sendable () -> any Decoder)? = nil
    ) {
        self.layers = layers
        self.maxMessageBytes = maxMessageBytes
        greatestMaxMessageBytes = greatest
        self.checksLengths = checksLengths
        self.makeOther = makeOther
    }

    /// Makes the decoder of one connection.
    func makeDecoder() -> InputDecoder {
        if let makeOther { InputDecoder(makeOther()) } else { InputDecoder(framed) }
    }

    /// Makes the encoder of one connection.
    func makeEncoder() -> Encoder { if let makeOther { Encoder(makeOther()) } else { Encoder(framed) } }

    private var framed: FramedDecoder {
        FramedDecoder(maxMessageBytes: maxMessageBytes, hasStreams: !isMultiplexed)
    }

    /// The reference's wire form, for nodes in Go: a type byte, then the bytes of one read. It has no
    /// lengths, so what is sent close together merges. ``DefaultDecoder`` says what follows from that. Two
    /// Parley nodes use ``framed``.
    public static let unframed = WireForm(
        maxMessageBytes: DefaultDecoder.maxMessageBytes,
        upTo: DefaultDecoder.maxMessageBytes,
        checksLengths: true
    ) { DefaultDecoder() }

    /// The earlier name of ``unframed``.
    @available(*, unavailable, renamed: "unframed", message: "the default is .framed")
    public static var `default`: WireForm { unframed }
}
