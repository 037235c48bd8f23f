import Parley

// How `parley get` and `parley ls` ask `parley serve`. Each request has a stream of its own, of the protocol
// that its kind names, and a connection may have many. The asker writes:
//
//     length u32, flags u8, the range, the tag, and each path: length u32, that many bytes
//
// The flags: 1, the asker has parts (see `have`); 2, there is a range; 4, there is a tag.
// The range: first u64, count u64. With a count of 2^64-1 it goes to the end of the file. With a first of
// 2^64-1 it is the last `count` bytes.
// The tag: length u8, that many bytes.
// With a range or a tag there is one path, that of a file. With parts there is no range. There are at most
// 1,024 paths, and 256 KiB behind the length.
//
// An empty path is the folder that is served. The answer to `get` is a transfer on the same stream, as in
// `TransferRecord.swift`: the server is its sender. Before its totals come the problems: what was asked for
// and cannot be sent. Where the asker has no parts, it says no `have`, and no `from` comes.
//
// The answer to `ls` is the problems, the totals, the entries with their names alone, and the end.

/// What somebody asks of a node that serves files.
struct FileRequest: Equatable {
    enum Kind: String, CaseIterable {
        case get = "/parley/get/1"
        case list = "/parley/ls/1"
    }

    /// Each path costs the server a look, and a sentence where nothing is.
    static let maxPaths = 1_024
    /// What the other side may send ahead of a reader anyway: a request that waits holds no more.
    static let maxBytes = 256 << 10
    /// Of the number that is in front of a request.
    private static let lengthBytes = 4
    /// A number that stands for none.
    private static let none = UInt64.max

    private enum Flag {
        static let parts: UInt8 = 1
        static let range: UInt8 = 2
        static let tag: UInt8 = 4
    }

    /// Of what is asked for. Those that are not from here are not to be trusted before ``RelativePath`` has
    /// seen them.
    var paths: [[UInt8]]
    /// Whether the asker may have parts of what it asks for.
    var hasParts = false
    /// What is wanted of the only path; nil for all of everything.
    var part: FilePart?

    var encoded: [UInt8] {
        var body: [UInt8] = [0]
        if hasParts { body[0] |= Flag.parts }
        if let range = part?.range {
            body[0] |= Flag.range
            let (first, count): (UInt64, UInt64) =
                switch range {
                case .from(let first, let count): (UInt64(first), count.map { UInt64($0) } ?? Self.none)
                case .last(let count): (Self.none, UInt64(count))
                }
            body.append(bigEndian: first)
            body.append(bigEndian: count)
        }
        if let tag = part?.tag {
            body[0] |= Flag.tag
            let bytes = tag.text.utf8.prefix(Int(UInt8.max))
            body.append(UInt8(bytes.count))
            body += bytes
        }
        for path in paths {
            body.append(bigEndian: UInt32(path.count))
            body += path
        }
        var request: [UInt8] = []
        request.append(bigEndian: UInt32(body.count))
        return request + body
    }

    init(paths: [[UInt8]], hasParts: Bool = false, part: FilePart? = nil) {
        self.paths = paths
        self.hasParts = hasParts
        self.part = part
    }

    /// What the entries of the answer are called, or what they lie in: the last names of the paths. Nil when
    /// it is everything that is served, whose names the asker does not know.
    var names: Set<[UInt8]>? {
        guard !paths.contains(where: \.isEmpty) else { return nil }
        return Set(paths.compactMap { $0.split(separator: slash).last.map { Array($0) } })
    }

    /// Makes sure that a server takes it, before anything is sent.
    ///
    /// - Throws: which bound it exceeds.
    func checkBounds() throws(Failure) {
        guard paths.count <= Self.maxPaths else {
            throw Failure("\(paths.count) paths are too many: a request has at most \(Self.maxPaths)")
        }
        let byteCount = encoded.count - Self.lengthBytes
        guard byteCount <= Self.maxBytes else {
            throw Failure(
                "the paths are too long: a request has at most \(Self.maxBytes) bytes, and this one "
                    + "\(byteCount)"
            )
        }
    }

    /// Reads what comes behind the length.
    init(decoding body: ArraySlice<UInt8>) throws(Refusal) {
        var reader = ByteReader(body)
        let flags = try reader.byte()
        guard flags & ~(Flag.parts | Flag.range | Flag.tag) == 0 else {
            throw Refusal("a request has the unknown flags \(flags)")
        }
        hasParts = flags & Flag.parts != 0
        let range = flags & Flag.range == 0 ? nil : try reader.range()
        let tag = flags & Flag.tag == 0 ? nil : try reader.tag()
        if range != nil || tag != nil { part = FilePart(range: range, tag: tag) }
        paths = []
        while !reader.rest.isEmpty {
            guard paths.count < Self.maxPaths else {
                throw Refusal("a request has at most \(Self.maxPaths) paths, and more came")
            }
            paths.append(Array(try reader.bytes(Int(try reader.uint32()))))
        }
        guard !paths.isEmpty else { throw Refusal("a request asks for nothing") }
        // Each costs the work of all that lies in it.
        guard Set(paths).count == paths.count else { throw Refusal("a request asks for a path twice") }
        guard part == nil || paths.count == 1 else { throw Refusal("a range or tag is of one file alone") }
        guard range == nil || !hasParts else { throw Refusal("a range of what is partly there is asked for") }
    }

    /// Reads a request from its stream.
    init(from stream: PeerStream) async throws {
        var reader = ByteReader(try await stream.read(exactly: Self.lengthBytes))
        let length = Int(try reader.uint32())
        guard (1...Self.maxBytes).contains(length) else {
            throw Refusal("a request of \(length) bytes came, and they have 1 to \(Self.maxBytes)")
        }
        try self.init(decoding: await stream.read(exactly: length))
    }
}

extension ByteReader {
    fileprivate mutating func range() throws(Refusal) -> ByteRange {
        let (first, count) = (try countOrUnknown(), try countOrUnknown())
        switch (first, count) {
        case (let first?, let count) where count != 0: return .from(first, count: count)
        case (nil, let count?) where count != 0: return .last(count)
        default: throw Refusal("a request has a range of nothing")
        }
    }

    fileprivate mutating func tag() throws(Refusal) -> FileTag {
        FileTag(text: String(printable: try bytes(Int(try byte()))))
    }
}
