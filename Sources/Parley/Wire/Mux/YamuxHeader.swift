/// The header of a yamux frame: 12 bytes, big-endian.
///
/// ```
/// version u8, 0 | type u8 | flags u16 | stream u32 | length u32
///
/// 0  data            `length` bytes follow; only they count against the stream's window
/// 1  window update   the sender may send `length` more bytes; with RST, `length` is the code of the reset
/// 2  ping            SYN asks, ACK answers with the same `length`
/// 3  go away         `length` is the reason: 0 normal, 1 protocol error, 2 internal error
/// ```
///
/// Data and window updates are of a stream and may have flags: SYN opens the stream, ACK acknowledges its
/// opening, FIN ends one direction, RST ends both at once. Pings and go-aways are of stream 0, the session.
///
/// Source: <https://github.com/hashicorp/yamux/blob/master/spec.md>,
/// <https://github.com/libp2p/specs/blob/master/yamux/README.md>.
struct YamuxHeader: Sendable, Equatable {
    enum FrameType: UInt8, Sendable {
        case data = 0
        case windowUpdate = 1
        case ping = 2
        case goAway = 3
    }

    struct Flags: OptionSet, Sendable {
        let rawValue: UInt16

        static let syn = Flags(rawValue: 1)
        static let ack = Flags(rawValue: 2)
        static let fin = Flags(rawValue: 4)
        static let rst = Flags(rawValue: 8)
        static let all: Flags = [.syn, .ack, .fin, .rst]
    }

    static let byteCount = 12
    /// The window of each new stream in each direction. Both sides assume it.
    static let initialWindowBytes: UInt32 = 256 * 1024

    var type: FrameType
    var flags: Flags = []
    /// Zero for the session.
    var stream: UInt32
    var length: UInt32

    init(_ type: FrameType, _ flags: Flags = [], stream: UInt32, length: UInt32) {
        self.type = type
        self.flags = flags
        self.stream = stream
        self.length = length
    }

    /// Parses a header from its three words.
    ///
    /// Unknown flags are refused: nothing is negotiated that could give them a meaning, so such a frame
    /// comes of a fault or of bytes that are not yamux.
    init(words first: UInt32, _ stream: UInt32, _ length: UInt32) throws(MuxViolation) {
        let version = UInt8(truncatingIfNeeded: first >> 24)
        guard version == 0 else { throw .wrongVersion(version) }
        let typeByte = UInt8(truncatingIfNeeded: first >> 16)
        guard let type = FrameType(rawValue: typeByte) else { throw .unknownType(typeByte) }
        let flags = Flags(rawValue: UInt16(truncatingIfNeeded: first))
        guard flags.isSubset(of: .all) else { throw .unknownFlags(flags.rawValue) }
        switch type {
        case .data, .windowUpdate:
            guard stream != 0 else { throw .streamFrameWithoutStream }
        case .ping:
            guard stream == 0 else { throw .sessionFrameOnStream(stream) }
            guard flags == .syn || flags == .ack else { throw .misplacedFlags(type, flags.rawValue) }
        case .goAway:
            guard stream == 0 else { throw .sessionFrameOnStream(stream) }
            guard flags.isEmpty else { throw .misplacedFlags(type, flags.rawValue) }
        }
        self.init(type, flags, stream: stream, length: length)
    }

    func encode(into output: inout WireBuffer) {
        output.append(bigEndian: UInt32(type.rawValue) << 16 | UInt32(flags.rawValue))
        output.append(bigEndian: stream)
        output.append(bigEndian: length)
    }
}

/// The bytes of a header that have arrived so far.
struct PartialYamuxHeader: Sendable {
    private var first: UInt32 = 0
    private var stream: UInt32 = 0
    private var length: UInt32 = 0
    /// The number of bytes.
    private(set) var count: UInt8 = 0

    /// Takes bytes from the front of `input` until the header is whole; nil when there are too few.
    mutating func take(_ input: inout ArraySlice<UInt8>) throws(MuxViolation) -> YamuxHeader? {
        let missing = YamuxHeader.byteCount - Int(count)
        let part = input.prefix(missing)
        for byte in part {
            // The three words are one number of 96 bits that moves to the left.
            first = first << 8 | stream >> 24
            stream = stream << 8 | length >> 24
            length = length << 8 | UInt32(byte)
        }
        input.removeFirst(part.count)
        guard part.count == missing else {
            count &+= UInt8(part.count)
            return nil
        }
        count = 0
        return try YamuxHeader(words: first, stream, length)
    }
}

/// Why a session ends, as a go-away frame says it. The set is open.
struct GoAwayCode: RawRepresentable, Sendable, Hashable {
    let rawValue: UInt32

    static let normal = GoAwayCode(rawValue: 0)
    static let protocolError = GoAwayCode(rawValue: 1)
    static let internalError = GoAwayCode(rawValue: 2)
}
