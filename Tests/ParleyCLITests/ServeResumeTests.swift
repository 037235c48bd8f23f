import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("get --resume, and files that change", .timeLimit(.minutes(5)))
struct ServeResumeTests {
    private static let fileBytes = 5 << 20
    private let source: TemporaryDirectory
    private let target: TemporaryDirectory

    init() throws {
        source = try TemporaryDirectory()
        target = try TemporaryDirectory()
    }

    private func get(from address: String) throws -> ToolProcess {
        try ToolProcess("get", address, "file", "--into", target.url.path, "--resume")
    }

    private func serve() throws -> ToolProcess {
        try ToolProcess("serve", source.url.path, "--listen", "127.0.0.1:0")
    }

    /// A server with the tool's identity sends the first 3 MiB of the file, as far as they are not there
    /// already, and goes away.
    ///
    /// - Returns: the number of blocks that were there.
    private func breakOff() async throws -> Int {
        let content = try Array(source.contents(of: "file"))
        let status = try LocalPath(bytes: Array(source.path(of: "file").utf8)).status(following: false)
        let (counts, count) = AsyncStream.makeStream(of: Int.self)
        var options = TransportOptions(listenAddress: "127.0.0.1:0", decoder: .multiplexed)
        options.security = .noise(ToolProcess.identity)
        let transport = TCPTransport(options)
        try transport.accept(FileRequest.Kind.get.rawValue) { stream in
            guard try await FileRequest(from: stream).hasParts else { throw Failure("no --resume") }
            try await stream.write(.totals(TransferTotals(files: 1, byteCount: content.count)))
            let kind = TransferEntry.Kind.file(byteCount: content.count)
            let metadata = Metadata(status)
            let entry = TransferEntry(kind: kind, path: Array("file".utf8), metadata: metadata)
            try await stream.write(.entry(entry))
            var heard: [UInt8] = []
            var answer: TransferAnswer?
            while answer == nil {
                guard let bytes = try await stream.read(upTo: 4_096) else { return }
                heard += bytes
                answer = try TransferAnswer(takingFrom: &heard)
            }
            guard case .have(0, let hashes) = answer else { throw Failure("no hashes") }
            try await stream.write(.from(byteCount: hashes.count << 20))
            let part = content[(hashes.count << 20)..<(3 << 20)]
            try await stream.write(TransferRecord.data(byteCount: part.count).encoded + part)
            count.yield(hashes.count)
        }
        try await transport.listenAndAccept()
        let getter = try get(from: transport.address)
        #expect(try await getter.exit() == 1)
        #expect(try await getter.errors.rest().first?.contains(" broke off after ") == true)
        await transport.close()
        return await counts.first { _ in true } ?? -1
    }

    @Test("What has broken off goes on where it was")
    func goesOn() async throws {
        try source.makeFile("file", byteCount: Self.fileBytes)
        #expect(try await breakOff() == 0)
        #expect(try target.names.first?.hasPrefix(".parley-file-") == true)
        #expect(try await breakOff() == 3)
        let server = try serve()
        let address = try await server.listeningAddress()
        let getter = try get(from: address)
        #expect(try await getter.errors.rest() == [])
        #expect(try await getter.exit() == 0)
        #expect(try target.names == ["file"])
        #expect(try target.contents(of: "file") == source.contents(of: "file"))
        // It is there and the same.
        #expect(try await get(from: address).exit() == 0)
    }

    @Test("A file that has changed at the server begins anew")
    func changed() async throws {
        try source.makeFile("file", byteCount: Self.fileBytes)
        #expect(try await breakOff() == 0)
        utimes(
            source.path(of: "file"),
            [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 2, tv_usec: 0)]
        )
        #expect(try await breakOff() == 0)
        // A part whose bytes are not those of the file is not trusted either.
        let part = try #require(try target.names.first { $0.hasPrefix(".parley-") })
        let handle = try FileHandle(forUpdating: target.url.appending(path: part))
        try handle.write(contentsOf: Data([0, 1, 2, 3]))
        try handle.close()
        let server = try serve()
        #expect(try await get(from: try await server.listeningAddress()).exit() == 0)
        #expect(try target.contents(of: "file") == source.contents(of: "file"))
    }

    @Test(
        "A file that is written to while it is sent fails for the getter, and the line says how",
        arguments: [
            (1_000_000, "became shorter (1000000 bytes instead of 20000000)"), (nil, "was written to"),
        ] as [(Int?, String)]
    )
    func changesMeanwhile(newByteCount: Int?, change: String) async throws {
        try source.makeFile("file", byteCount: 20_000_000)
        let server = try serve()
        var options = TransportOptions(decoder: .multiplexed)
        options.security = .noise(ToolProcess.identity)
        // The window stays small, so that the server cannot be done before the file changes.
        options.limits.streamBytesPerPeer = 1 << 20
        let transport = TCPTransport(options)
        let peer = try await transport.dial(server.listeningAddress())
        let stream = try await peer.openStream(protocol: FileRequest.Kind.get.rawValue)
        try await stream.write(FileRequest(paths: [Array("file".utf8)]).encoded)
        var decoder = TransferRecordDecoder()
        var items: [TransferRecord] = []
        var isChanged = false
        while items.last != .end, let bytes = try await stream.read(upTo: 65_536) {
            try await decoder.feed(bytes) { item in
                if case .record(let record) = item { items.append(record) }
            }
            guard !isChanged else { continue }
            isChanged = true
            let path = source.path(of: "file")
            if let newByteCount {
                #expect(truncate(path, off_t(newByteCount)) == 0)
            } else {
                utimes(path, [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 2, tv_usec: 0)])
            }
        }
        #expect(items.suffix(2) == [.abandoned("file \(change) while it was being sent"), .end])
        await transport.close()
    }
}
