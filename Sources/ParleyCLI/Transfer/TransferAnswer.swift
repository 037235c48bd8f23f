import Parley

/// What the receiver says, on its own stream. A record of the form that the sender's have.
enum TransferAnswer: Equatable {
    /// An entry is not wanted, or cannot be made. Entries count from 0.
    case refused(entry: Int, String)
    /// The hashes of what is there of a large file, see ``BlockHashes``; none when there is nothing.
    case have(entry: Int, [UInt64])
    /// A file was wanted, and something went wrong.
    case failed(entry: Int, String)
    /// The receiver takes nothing more.
    case gaveUp(String)
    /// All has arrived, and what was not refused is stored.
    case stored(entries: Int, byteCount: Int)

    private enum Kind: UInt8 {
        case refused = 0x52
        case have = 0x48
        case failed = 0x46
        case gaveUp = 0x47
        case stored = 0x53
    }

    var encoded: [UInt8] {
        var body: [UInt8] = []
        let kind: Kind
        switch self {
        case .refused(let entry, let reason): (kind, body) = (.refused, Self.body(entry, reason))
        case .failed(let entry, let reason): (kind, body) = (.failed, Self.body(entry, reason))
        case .gaveUp(let reason): (kind, body) = (.gaveUp, Self.body(0, reason))
        case .have(let entry, let hashes):
            kind = .have
            for number in [UInt64(entry)] + hashes { body.append(bigEndian: number) }
        case .stored(let entries, let byteCount):
            kind = .stored
            body.append(bigEndian: UInt64(entries))
            body.append(bigEndian: UInt64(byteCount))
        }
        return [UInt8](record: kind.rawValue, body)
    }

    private static func body(_ entry: Int, _ reason: String) -> [UInt8] {
        var body: [UInt8] = []
        body.append(bigEndian: UInt64(entry))
        return body + TransferReason.bytes(of: reason)
    }

    /// Takes a whole answer off the front; nil when more bytes are needed.
    ///
    /// - Throws: when this is no answer.
    init?(takingFrom bytes: inout [UInt8]) throws(Refusal) {
        var reader = ByteReader(bytes[...])
        guard bytes.count >= 5 else { return nil }
        let kind = Kind(rawValue: try reader.byte())
        let length = Int(try reader.uint32())
        guard let kind, length <= (kind == .have ? BlockHashes.mostBlocks * 8 : TransferReason.maxBytes) + 8
        else {
            throw Refusal("an unknown answer")
        }
        guard reader.rest.count >= length else { return nil }
        reader = ByteReader(try reader.bytes(length))
        let number = try reader.count()
        let reason = kind == .have ? "" : String(printable: reader.rest)
        switch kind {
        case .refused: self = .refused(entry: number, reason)
        case .failed: self = .failed(entry: number, reason)
        case .gaveUp: self = .gaveUp(reason)
        case .have:
            var hashes: [UInt64] = []
            while !reader.rest.isEmpty { hashes.append(try reader.uint64()) }
            self = .have(entry: number, hashes)
        case .stored: self = .stored(entries: number, byteCount: try reader.count())
        }
        bytes.removeFirst(5 + length)
    }

    /// The whole of a message with which a receiver refuses before it has opened a stream. Receivers of other
    /// versions do so too.
    static func refusal(_ reason: String) -> [UInt8] {
        Array("refused ".utf8) + TransferReason.bytes(of: reason)
    }

    /// The reason in such a message; nil when it is none.
    static func reason(inRefusal message: ArraySlice<UInt8>) -> String? {
        let title = Array("refused ".utf8)
        guard message.starts(with: title) else { return nil }
        return String(printable: message.dropFirst(title.count))
    }
}

/// Why something failed, as one side of a transfer tells the other.
enum TransferReason {
    /// Reasons quote what the other side chose; this keeps a record small.
    static let maxBytes = 500

    /// Cut between two characters: the other side escapes all of what is not UTF-8.
    static func bytes(of reason: String) -> [UInt8] { reason.printable.utf8.cut(to: maxBytes) }
}
