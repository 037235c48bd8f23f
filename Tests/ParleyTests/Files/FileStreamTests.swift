import Foundation
import Testing

@testable import Parley

/// Files as streams, on sockets and in memory alike.
@Suite(.timeLimit(.minutes(10))) struct FileStreamTests {
    @Test(arguments: Kind.allCases) func `files are sent and received as streams`(kind: Kind) async throws {
        try await withFolder { folder in
            try await withFrames(kind) { server, _, peer in
                let content = patterned(2_000_001)
                try Data(content).write(to: folder.appending(path: "original"))
                let path = folder.appending(path: "original").path
                let parts = [(0, nil), (1_500_000, nil), (100, 1_000), (0, 0)] as [(Int, Int?)]
                let progress = Lock<[Int]>([])
                let sending = Task {
                    for (offset, length) in parts {
                        try await peer.sendStream(
                            contentsOf: path,
                            header: [7],
                            offset: offset,
                            length: length,
                            progress: { sent in progress.withLock { $0.append(sent) } }
                        )
                    }
                    try await peer.send(message: "done")
                }
                for (index, (offset, length)) in parts.enumerated() {
                    let stream = try await server.nextRPC()
                    #expect(stream.payload == [7])
                    let copy = folder.appending(path: "copy\(index)")
                    let count = try await stream.peer.receiveStream(into: copy.path)
                    let expected = content[offset..<(length.map { offset + $0 } ?? content.count)]
                    #expect(count == expected.count)
                    #expect(same(try contents(of: copy), expected))
                }
                #expect(try await server.nextRPC().text == "done")
                try await sending.value
                #expect(progress.withLock { $0.first } == 1 << 20)
                #expect(progress.withLock { $0.contains(2_000_001) })
                #expect(
                    try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 1 + parts.count
                )
            }
        }
    }

    @Test func `a file that is received has bytes of one stream alone`() async throws {
        try await withFolder { folder in
            try await withFrames(.tcp) { server, _, peer in
                let first = try await peer.openStream()
                try await first.write([1, 1])
                let reader = try #require(try await server.nextRPC().peer as? Connection)
                let path = folder.appending(path: "copy").path
                let receiving = Task { try await reader.receiveStream(into: path) }
                try await untilReaderWaits(of: reader, after: 12)
                reader.closeStream()
                try await first.finish()
                let second = try await peer.openStream()
                try await second.write([2, 2])
                try await second.finish()
                #expect(try await error { _ = try await receiving.value }.code == .closed)
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
                // The next stream is still open.
                let next = try await server.nextRPC()
                #expect(try await next.peer.read(exactly: 2) == [2, 2])
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a file is sent raw in the unframed wire form, after earlier sends`(kind: Kind) async throws {
        try await withFolder { folder in
            try await withNodes(kind, .unframed) { nodes in
                let server = try await nodes.listening()
                let peer = try await nodes.make().dial(server.address)
                let content = patterned(1_500_000)
                try Data(content).write(to: folder.appending(path: "original"))
                let path = folder.appending(path: "original").path
                async let sent = peer.sendStream(contentsOf: path)
                let stream = try await server.nextRPC()
                let copy = folder.appending(path: "copy")
                try await stream.peer.receiveStream(into: copy.path, byteCount: content.count)
                #expect(try await sent == content.count)
                #expect(same(try contents(of: copy), content))
            }
        }
    }

    @Test(arguments: Kind.allCases, [WireForm.unframed, .gob()])
    func `a file that the end of its connection cuts off does not pass for whole`(
        kind: Kind,
        form: WireForm
    ) async throws {
        try await withFolder { folder in
            try await withNodes(kind, form) { nodes in
                let server = try await nodes.listening()
                let peer = try await nodes.make().dial(server.address)
                let original = folder.appending(path: "original")
                try Data().write(to: original)
                try FileHandle(forWritingTo: original).truncate(atOffset: 48 << 20)
                let sending = Task { try await peer.sendStream(contentsOf: original.path) }
                let stream = try await server.nextRPC()
                _ = try await stream.peer.read(exactly: 1)
                // Nobody reads on, so most of it is not accepted yet.
                let connection = try #require(peer as? Connection)
                try connection.close(.none)
                let copy = folder.appending(path: "copy")
                let cut = try await error { try await stream.peer.receiveStream(into: copy.path) }
                #expect(cut.code == .connectionReset)
                await #expect(throws: ParleyError.self) { try await sending.value }
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["original"])
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a file that is sent whole and finished before the end is whole, also without an end mark`(
        kind: Kind
    ) async throws {
        try await withFolder { folder in
            try await withNodes(kind, .gob()) { nodes in
                let server = try await nodes.listening()
                let peer = try await nodes.make().dial(server.address)
                let content = patterned(300_000)
                let original = folder.appending(path: "original")
                try Data(content).write(to: original)
                try await peer.sendStream(contentsOf: original.path)
                let connection = try #require(peer as? Connection)
                try connection.close(.none)
                let copy = folder.appending(path: "copy")
                #expect(try await server.nextRPC().peer.receiveStream(into: copy.path) == content.count)
                #expect(same(try contents(of: copy), content))
            }
        }
    }

    @Test(arguments: Kind.allCases) func `file errors name the file and leave no file behind`(kind: Kind)
        async throws
    {
        try await withFolder { folder in
            try await withFrames(kind) { server, _, peer in
                let missing = folder.appending(path: "missing").path
                let notFound = try await error { try await peer.sendStream(contentsOf: missing) }
                #expect(notFound.code == .fileNotFound)
                #expect(notFound.message.contains(missing))
                let directory = try await error { try await peer.sendStream(contentsOf: folder.path) }
                #expect(directory.code == .invalidArgument)
                let file = folder.appending(path: "file")
                try Data([1, 2, 3]).write(to: file)
                let outside = try await error { try await peer.sendStream(contentsOf: file.path, offset: 4) }
                #expect(outside.code == .invalidArgument)

                try await peer.sendStream(contentsOf: file.path)
                let exists = try await error {
                    try await server.nextRPC().peer.receiveStream(into: file.path)
                }
                #expect(exists.code == .fileExists)
                #expect(try contents(of: file) == [1, 2, 3])

                let writer = try await peer.openStream()
                try await writer.write([1])
                await writer.abort(reason: "changed my mind")
                let aborted = try await error {
                    try await server.nextRPC().peer.receiveStream(into: folder.appending(path: "new").path)
                }
                #expect(aborted.code == .streamAborted)
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["file"])
                try await peer.send(message: "in step")
                #expect(try await server.nextRPC().text == "in step")
            }
        }
    }

    /// Whoever works on files traps on a loop's thread.
    @Test(arguments: Kind.allCases, [true, false])
    func `tasks on the loops send and receive files without blocking them`(kind: Kind, isMovedByKernel: Bool)
        async throws
    {
        let form = isMovedByKernel ? WireForm.framed : WireForm { SeenFrames() }
        try await withFolder { folder in
            try await withNodes(kind) { nodes in
                let server = try await nodes.listening { $0.decoder = form }
                let client = nodes.make { $0.decoder = form }
                let peer = try await client.dial(server.address)
                let content = patterned(3_000_001)
                let (original, copy) = (folder.appending(path: "original"), folder.appending(path: "copy"))
                try Data(content).write(to: original)
                let sending = Task(executorPreference: client.eventLoop) {
                    try await peer.sendStream(contentsOf: original.path)
                }
                let receiving = Task(executorPreference: server.eventLoop) {
                    let stream = try await server.nextRPC()
                    return try await stream.peer.receiveStream(into: copy.path, byteCount: content.count)
                }
                #expect(try await sending.value == content.count)
                #expect(try await receiving.value == content.count)
                #expect(same(try contents(of: copy), content))
            }
        }
    }

    @Test(arguments: Kind.allCases) func `a name may be as long as names can be`(kind: Kind) async throws {
        try await withFolder { folder in
            try await withFrames(kind) { server, _, peer in
                try Data([1, 2, 3]).write(to: folder.appending(path: "original"))
                let copy = folder.appending(path: String(repeating: "n", count: 255))
                try await peer.sendStream(contentsOf: folder.appending(path: "original").path)
                try await server.nextRPC().peer.receiveStream(into: copy.path)
                #expect(try contents(of: copy) == [1, 2, 3])
                #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 2)
            }
        }
    }

    /// Their size says nothing: 0, or a whole page.
    @Test(arguments: Kind.allCases, ["/proc/self/limits", "/sys/kernel/mm/transparent_hugepage/enabled"])
    func `a pseudo-file is sent as what it holds`(kind: Kind, path: String) async throws {
        guard FileManager.default.isReadableFile(atPath: path) else { return }
        let file = try File(reading: path)
        let content = try file.read(at: 0, upTo: 1 << 20)
        #expect(try file.version().size != content.count && !content.isEmpty)
        try await withFolder { folder in
            try await withFrames(kind) { server, _, peer in
                let last = content.count - 1
                let parts =
                    [(0, nil), (3, nil), (1, 4), (last, 1), (content.count, nil), (0, 0)] as [(Int, Int?)]
                for (index, (offset, length)) in parts.enumerated() {
                    let expected = content[offset..<(length.map { offset + $0 } ?? content.count)]
                    let sent = try await peer.sendStream(contentsOf: path, offset: offset, length: length)
                    #expect(sent == expected.count)
                    let copy = folder.appending(path: "copy\(index)")
                    let stream = try await server.nextRPC()
                    #expect(try await stream.peer.receiveStream(into: copy.path) == expected.count)
                    #expect(same(try contents(of: copy), expected))
                }
                for (offset, length) in [(content.count + 1, nil), (0, content.count + 1), (last, 2)]
                    as [(Int, Int?)]
                {
                    let outside = try await error {
                        try await peer.sendStream(contentsOf: path, offset: offset, length: length)
                    }
                    #expect(outside.code == .invalidArgument)
                }
                try await peer.send(message: "in step")
                #expect(try await server.nextRPC().text == "in step")
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a part is outside a file also when its numbers are absurd`(kind: Kind) async throws {
        try await withFolder { folder in
            try await withFrames(kind) { _, _, peer in
                let (file, empty) = (folder.appending(path: "file"), folder.appending(path: "empty"))
                try Data([1, 2, 3]).write(to: file)
                try Data().write(to: empty)
                let parts =
                    [(-1, nil), (0, -1), (.max, .max), (.max, nil), (1, .max), (0, 4)] as [(Int, Int?)]
                for path in [file.path, empty.path] {
                    for (offset, length) in parts {
                        let outside = try await error {
                            try await peer.sendStream(contentsOf: path, offset: offset, length: length)
                        }
                        #expect(outside.code == .invalidArgument)
                    }
                }
                #expect(try await peer.sendStream(contentsOf: empty.path) == 0)
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a file is a part of a stream, behind a prefix and between bytes`(kind: Kind) async throws {
        try await withFolder { folder in
            try await withNodes(kind) { nodes in
                let raw = WireForm { DefaultDecoder() }
                let server = try await nodes.listening { $0.decoder = raw }
                let peer = try await nodes.make { $0.decoder = raw }.dial(server.address)
                let content = patterned(1_200_000)
                let path = folder.appending(path: "original").path
                try Data(content).write(to: URL(fileURLWithPath: path))
                // The wire form marks neither a header nor the end: the prefix says how long it is.
                let length = withUnsafeBytes(of: UInt32(content.count).bigEndian) { Array($0) }
                async let sent = peer.sendStream(prefix: length[...], contentsOf: path)
                let stream = try await server.nextRPC()
                #expect(try await Array(stream.peer.read(exactly: 4)) == length)
                #expect(try await same(stream.peer.read(exactly: content.count), content))
                stream.peer.closeStream()
                #expect(try await sent == content.count)

                let progress = Lock<[Int]>([])
                async let written: Void = peer.withStream { writer in
                    try await writer.write([1])
                    let all = try await writer.write(contentsOf: path) { bytes in
                        progress.withLock { $0.append(bytes) }
                    }
                    #expect(all == content.count)
                    #expect(try await writer.write(contentsOf: path, offset: 100, length: 50) == 50)
                    let missing = try await error { try await writer.write(contentsOf: path + "?") }
                    #expect(missing.code == .fileNotFound)
                    try await writer.write([2])
                }
                let second = try await server.nextRPC()
                let expected: [UInt8] = [1] + content + Array(content[100..<150]) + [2]
                #expect(try await same(second.peer.read(exactly: expected.count), expected))
                try await written
                #expect(progress.withLock { $0 } == [1 << 20, content.count])
            }
        }
    }

    @Test(arguments: Kind.allCases)
    func `a file is replaced when asked, and only by a whole one`(kind: Kind) async throws {
        try await withFolder { folder in
            try await withFrames(kind) { server, _, peer in
                let manager = FileManager.default
                let (file, target) = (folder.appending(path: "file"), folder.appending(path: "target"))
                try Data([9, 9]).write(to: file)
                try Data([8]).write(to: target)
                let link = folder.appending(path: "link")
                try manager.createSymbolicLink(at: link, withDestinationURL: target)
                let subfolder = folder.appending(path: "folder")
                try manager.createDirectory(at: subfolder, withIntermediateDirectories: false)

                let broken = try await peer.openStream()
                try await broken.write([1])
                await broken.abort(reason: "changed my mind")
                let aborted = try await error {
                    try await server.nextRPC().peer.receiveStream(into: file.path, replacing: true)
                }
                #expect(aborted.code == .streamAborted)
                #expect(try contents(of: file) == [9, 9])

                for name in ["file", "link", "new"] {
                    try await peer.withStream { try await $0.write([1, 2, 3]) }
                    let path = folder.appending(path: name).path
                    try await server.nextRPC().peer.receiveStream(into: path, replacing: true)
                    #expect(try contents(of: folder.appending(path: name)) == [1, 2, 3])
                }
                #expect(try contents(of: target) == [8], "a link is replaced itself")
                try await peer.withStream { try await $0.write([1]) }
                _ = try await error {
                    try await server.nextRPC().peer.receiveStream(into: subfolder.path, replacing: true)
                }
                let names = try manager.contentsOfDirectory(atPath: folder.path).sorted()
                #expect(names == ["file", "folder", "link", "new", "target"])
            }
        }
    }

    @Test(arguments: Kind.allCases) func `a receiver that is cancelled leaves nothing behind`(kind: Kind)
        async throws
    {
        try await withFolder { folder in
            try await withFrames(kind) { server, _, peer in
                let writer = try await peer.openStream()
                try await writer.write(patterned(100_000))
                let stream = try await server.nextRPC()
                let receiving = Task(executorPreference: server.eventLoop) {
                    try await stream.peer.receiveStream(into: folder.appending(path: "file").path)
                }
                let names = { try FileManager.default.contentsOfDirectory(atPath: folder.path) }
                try await eventually { (try? names().count) == 1 }
                receiving.cancel()
                #expect(try await error { _ = try await receiving.value }.code == .cancelled)
                #expect(try names() == [])
            }
        }
    }
}

/// The framed wire form, but the kernel must not move files past it.
private struct SeenFrames: Decoder {
    private var frames = FramedDecoder()
    let name = "seen"
    let streamForm = StreamForm.delimited

    mutating func decode(_ input: inout ArraySlice<UInt8>) throws(ParleyError) -> DecoderEvent {
        try frames.decode(&input)
    }

    mutating func encode(message: ArraySlice<UInt8>, into output: inout WireBuffer) throws(ParleyError) {
        try frames.encode(message: message, into: &output)
    }

    mutating func encodeStreamOpening(
        header: ArraySlice<UInt8>,
        into output: inout WireBuffer
    ) throws(ParleyError) { try frames.encodeStreamOpening(header: header, into: &output) }

    mutating func encodeStreamBytes(_ bytes: ArraySlice<UInt8>, into output: inout WireBuffer) {
        frames.encodeStreamBytes(bytes, into: &output)
    }

    mutating func encodeStreamEnd(into output: inout WireBuffer) { frames.encodeStreamEnd(into: &output) }
}
