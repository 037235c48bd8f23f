import Parley

// How `parley get` and `parley ls` ask `parley serve`. Each request has a stream of its own, of the protocol
// that its kind names, and a connection may have many. The asker writes:
//
//     length u32, flags u8 (1: it has parts, see `have`), and each path: length u32, that many bytes
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

    /// What the system lets a command line have.
    static let maxBytes = 2 << 20

    /// Of what is asked for. Those that are not from here are not to be trusted before ``RelativePath`` has
    /// seen them.
    var paths: [[UInt8]]
    /// Whether the asker may have parts of what it asks for.
    var hasParts = false

    var encoded: [UInt8] {
        var body: [UInt8] = [hasParts ? 1 : 0]
        for path in paths {
            body.append(UInt32(path.count))
            body += path
        }
        return UInt32(body.count).bigEndianBytes + body
    }

    init(paths: [[UInt8]], hasParts: Bool = false) {
        self.paths = paths
        self.hasParts = hasParts
    }

    /// Reads what comes behind the length.
    init(decoding body: ArraySlice<UInt8>) throws(Refusal) {
        var reader = ByteReader(body)
        let flags = try reader.byte()
        guard flags <= 1 else { throw Refusal("a request has the unknown flags \(flags)") }
        hasParts = flags == 1
        paths = []
        while !reader.rest.isEmpty { paths.append(Array(try reader.bytes(Int(try reader.uint32())))) }
        guard !paths.isEmpty else { throw Refusal("a request asks for nothing") }
    }

    /// Reads a request from its stream.
    init(from stream: PeerStream) async throws {
        var reader = ByteReader(try await stream.read(exactly: 4))
        let length = Int(try reader.uint32())
        guard (1...Self.maxBytes).contains(length) else {
            throw Refusal("a request of \(length) bytes came, and they have 1 to \(Self.maxBytes)")
        }
        try self.init(decoding: await stream.read(exactly: length))
    }
}
