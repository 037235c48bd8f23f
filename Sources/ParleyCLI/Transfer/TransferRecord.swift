import Parley

// How `parley send` and `parley receive` hand over files, folders and links. It is a conversation of two byte
// streams, one in each direction, so that it goes over every wire form.
//
// The sender writes, in this order:
//
//     problem ...                  what was asked for and cannot be sent: see `FileRequest.swift`
//     totals                       what is about to come
//     folder | link | file         each entry, a folder before what is in it; behind a file:
//         from                     of a large one, after the receiver's `have`: how much is not sent
//         data | hole ...          the content
//         endOfFile | abandoned
//     end
//
// The receiver writes:
//
//     have                         once for each large file: hashes of what it has of it already
//     refused | failed             for one entry, at any time
//     gaveUp                       for all that is left, at any time; then it closes the connection
//     stored                       after the end
//
// The sender's stream begins with "parley-file 3\n": in its header where the wire form has stream headers,
// as its first bytes elsewhere. A receiver that speaks another version answers with a message "refused
// <reason>".
//
// A record is: kind u8, length u32, and that many bytes. Numbers are big-endian. Paths and links are bytes,
// as file systems have them.

/// What goes over the sender's stream, but for the content of files.
enum TransferRecord: Equatable {
    /// What the title begins with in every version.
    static let name = Array("parley-file ".utf8)
    /// The title, with the version.
    static let title = name + Array("3\n".utf8)
    /// The longest one that is no data.
    static let maxBytes = RelativePath.maxBytes + LinkTarget.maxBytes + 64

    /// Something that the receiver has asked for cannot be sent. It comes before the totals.
    case problem(String)
    case totals(TransferTotals)
    case entry(TransferEntry)
    /// The rest of the record are bytes of the file. Without any it says that the sender is there, and may
    /// come anywhere between two records.
    case data(byteCount: Int)
    /// So many zero bytes.
    case hole(byteCount: Int)
    /// So many bytes at the beginning of the file are the same at the receiver, and are not sent. It is the
    /// answer to `have`, which comes for each file of a known size of at least
    /// ``BlockHashes/leastFileBytes`` that is wanted. The sender waits for it.
    case from(byteCount: Int)
    case endOfFile
    /// The file cannot be sent to its end.
    case abandoned(String)
    case end
}

/// What the sender is about to send, for whoever watches and for limits.
struct TransferTotals: Equatable {
    var files = 0
    var folders = 0
    var links = 0
    /// Nil when it is not known: standard input.
    var byteCount: Int? = 0
    /// Of all of it, if it has one: the name of the only path that was named.
    var name: [UInt8] = []

    var entries: Int { files + folders + links }
}

/// A folder, a file or a link, as the sender describes it.
struct TransferEntry: Equatable {
    enum Kind: Equatable {
        case folder
        /// Nil for a size that is not known.
        case file(byteCount: Int?)
        case link(target: [UInt8])
    }

    let kind: Kind
    /// As it arrived: not to be trusted before ``RelativePath`` has seen it.
    let path: [UInt8]
    /// Nil when the receiver's own are to be used.
    let metadata: Metadata?
}

extension TransferRecord {
    private enum Kind: UInt8 {
        case problem = 0x50
        case totals = 0x54
        case folder = 0x44
        case file = 0x46
        case link = 0x4C
        case data = 0x42
        case hole = 0x48
        case from = 0x52
        case endOfFile = 0x45
        case abandoned = 0x58
        case end = 0x5A
    }

    /// A number that stands for none.
    private static let unknown = UInt64.max

    /// The record; of data only its beginning, which the bytes follow.
    var encoded: [UInt8] {
        var body: [UInt8] = []
        let kind: Kind
        switch self {
        case .problem(let reason):
            kind = .problem
            body = TransferReason.bytes(of: reason)
        case .totals(let totals):
            kind = .totals
            for count in [totals.files, totals.folders, totals.links] {
                body.append(bigEndian: UInt64(count))
            }
            body.append(bigEndian: totals.byteCount.map { UInt64($0) } ?? Self.unknown)
            body += totals.name
        case .entry(let entry): (kind, body) = Self.encode(entry)
        case .data(let byteCount):
            body.append(Kind.data.rawValue)
            body.append(bigEndian: UInt32(byteCount))
            return body
        case .hole(let byteCount):
            kind = .hole
            body.append(bigEndian: UInt64(byteCount))
        case .from(let byteCount):
            kind = .from
            body.append(bigEndian: UInt64(byteCount))
        case .endOfFile: kind = .endOfFile
        case .abandoned(let reason):
            kind = .abandoned
            body = TransferReason.bytes(of: reason)
        case .end: kind = .end
        }
        return [UInt8](record: kind.rawValue, body)
    }

    private static func encode(_ entry: TransferEntry) -> (Kind, [UInt8]) {
        var body: [UInt8] = [entry.metadata == nil ? 0 : 1]
        if let metadata = entry.metadata {
            body.append(bigEndian: metadata.mode)
            body.append(bigEndian: UInt64(bitPattern: metadata.modified.seconds))
            body.append(bigEndian: metadata.modified.nanoseconds)
        }
        switch entry.kind {
        case .folder: return (.folder, body + entry.path)
        case .file(let byteCount):
            body.append(bigEndian: byteCount.map { UInt64($0) } ?? unknown)
            return (.file, body + entry.path)
        case .link(let target):
            body.append(bigEndian: UInt32(entry.path.count))
            return (.link, body + entry.path + target)
        }
    }

    /// The kind and the length of a record.
    static let headBytes = 5

    /// The length of what comes behind the beginning of a record and belongs to it; nil for data, whose bytes
    /// are not collected.
    ///
    /// - Throws: for a length or a kind that no record has.
    static func bodyLength(_ head: ArraySlice<UInt8>) throws(Refusal) -> Int? {
        var reader = ByteReader(head)
        let (kind, length) = (try reader.byte(), Int(try reader.uint32()))
        if kind == Kind.data.rawValue { return nil }
        guard Kind(rawValue: kind) != nil else { throw Refusal("a record of the unknown kind \(kind) came") }
        guard length <= maxBytes else {
            throw Refusal("a record of \(length) bytes came, more than \(maxBytes)")
        }
        return length
    }

    /// Reads a whole record; of data only its beginning.
    init(decoding record: ArraySlice<UInt8>) throws(Refusal) {
        var reader = ByteReader(record)
        let (kind, length) = (Kind(rawValue: try reader.byte()), Int(try reader.uint32()))
        switch kind {
        case .problem: self = .problem(String(printable: reader.rest.prefix(TransferReason.maxBytes)))
        case .totals:
            var totals = TransferTotals()
            totals.files = try reader.count()
            totals.folders = try reader.count()
            totals.links = try reader.count()
            totals.byteCount = try reader.countOrUnknown()
            totals.name = Array(reader.rest.prefix(RelativePath.maxNameBytes))
            guard totals.files <= mostEntries, totals.folders <= mostEntries, totals.links <= mostEntries
            else {
                throw Refusal("more than \(mostEntries) entries are announced")
            }
            self = .totals(totals)
        case .folder:
            let metadata = try reader.metadata()
            self = .entry(TransferEntry(kind: .folder, path: Array(reader.rest), metadata: metadata))
        case .file:
            let metadata = try reader.metadata()
            let kind = TransferEntry.Kind.file(byteCount: try reader.countOrUnknown())
            self = .entry(TransferEntry(kind: kind, path: Array(reader.rest), metadata: metadata))
        case .link:
            let metadata = try reader.metadata()
            let path = try reader.bytes(Int(try reader.uint32()))
            let kind = TransferEntry.Kind.link(target: Array(reader.rest))
            self = .entry(TransferEntry(kind: kind, path: Array(path), metadata: metadata))
        case .data: self = .data(byteCount: length)
        case .hole: self = .hole(byteCount: try reader.count())
        case .from: self = .from(byteCount: try reader.count())
        case .endOfFile: self = .endOfFile
        case .abandoned: self = .abandoned(String(printable: reader.rest.prefix(TransferReason.maxBytes)))
        case .end: self = .end
        case nil: throw Refusal("a record of an unknown kind came")
        }
    }
}

/// So many that their sum is a number.
private let mostEntries = 1 << 48
