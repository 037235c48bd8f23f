import Foundation
import Testing

@testable import Parley

/// Files as streams, on sockets and in memory alike.
@Suite(.timeLimit(.minutes(2))) struct FileStreamTests {
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

    @Test(arguments: Kind.allCases)
    func `a file is sent raw in the default wire form, after earlier sends`(kind: Kind) async throws {
        try await withFolder { folder in
            try await withNodes(kind) { nodes in
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
