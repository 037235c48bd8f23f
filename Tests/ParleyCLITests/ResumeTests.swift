import Foundation
import Parley
import Testing

@testable import ParleyCLI

@Suite("What both ends share of a file")
struct BlockHashesTests {
    @Test(
        "A block is a whole number of mebibytes, and there are few enough",
        arguments: [
            (0, 1 << 20), (1 << 20, 1 << 20), (1 << 32, 1 << 20), (1 << 32 + 1, 2 << 20),
            (1 << 40, 256 << 20),
            (1 << 62, 1 << 50),
        ]
    )
    func blocks(fileBytes: Int, blockBytes: Int) {
        #expect(BlockHashes.blockBytes(fileBytes: fileBytes) == blockBytes)
    }

    @Test(
        "It ends at the first block that differs",
        arguments: [
            ([], 0), ([1], 2), ([1, 2], 4), ([1, 2, 3], 5), ([9, 2, 3], 0), ([1, 9, 3], 2),
            ([1, 2, 9], 4),
        ] as [([UInt64], Int)]
    )
    func shared(theirs: [UInt64], halves: Int) async {
        // Two blocks and a half.
        let shared = await BlockHashes.sharedBytes(theirs, fileBytes: 5 << 19) {
            $0 < 3 ? UInt64($0 + 1) : nil
        }
        #expect(shared == halves << 19)
    }

    @Test(
        "The hash is XXH64",
        arguments: [
            ("", 0xEF46_DB37_51D8_E999), ("a", 0xD24E_C4F1_A98C_6E5B), ("abc", 0x44BC_2CF5_AD77_0999),
            ("xxhash", 0x32DD_3895_2C4B_C720),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
        ] as [(String, UInt64)]
    )
    func hash(text: String, hash: UInt64) { #expect(XXHash64.hash(Array(text.utf8)) == hash) }

    @Test("A hash of pieces is that of all of them", arguments: [1, 7, 31, 32, 33, 64, 500, 999])
    func pieces(pieceBytes: Int) {
        let bytes = (0..<999).map { UInt8(truncatingIfNeeded: $0 * $0) }
        var hash = XXHash64()
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            hash.update(Array(bytes[start..<min(bytes.count, start + pieceBytes)]))
        }
        #expect(hash.digest == 0x7304_B99A_E7F6_9FBE)
    }

    @Test("A large block is read in pieces, and its hash is that of all of it")
    func largeBlocks() async throws {
        let directory = try TemporaryDirectory()
        let (fileBytes, blockBytes) = (5 << 30, 2 << 20)
        try directory.makeFile("sparse", byteCount: 3 << 20)
        try #require(truncate(directory.path(of: "sparse"), off_t(fileBytes)) == 0)
        let place = SourcePlace.path(LocalPath(bytes: Array(directory.path(of: "sparse").utf8)))
        let descriptor = try place.open(following: false)
        defer { close(descriptor) }
        let hashes = try await FileBlocks.hashes(of: descriptor, upTo: 4 << 20, fileBytes: fileBytes)
        let first = try readAt(descriptor, 0, upTo: 4 << 20)
        let blocks = [Array(first[..<blockBytes]), Array(first[blockBytes...])]
        #expect(hashes == blocks.map { XXHash64.hash($0) })
        var pieces = 0
        let shared = try await SourceFile(place, following: false).skipShared(hashes) { pieces += 1 }
        #expect(shared == 4 << 20)
        #expect(pieces == 4)
    }

    @Test("Hashing stops when the task is cancelled, and is no fault of the file", arguments: [false, true])
    func cancelled(isSender: Bool) async throws {
        let directory = try TemporaryDirectory()
        try directory.makeFile("file", byteCount: BlockHashes.leastFileBytes)
        let path = directory.path(of: "file")
        let (never, continuation) = AsyncStream.makeStream(of: Void.self)
        let task = Task { () -> (any Error)? in
            // Until the task is cancelled.
            _ = await never.first { _ in true }
            let place = SourcePlace.path(LocalPath(bytes: Array(path.utf8)))
            do {
                if isSender {
                    _ = try await SourceFile(place, following: false).skipShared([1]) {}
                } else {
                    let file = try place.open(following: false)
                    defer { close(file) }
                    let byteCount = BlockHashes.leastFileBytes
                    _ = try await FileBlocks.hashes(of: file, upTo: byteCount, fileBytes: byteCount)
                }
                return nil
            } catch { return error }
        }
        task.cancel()
        let error = await task.value
        continuation.finish()
        #expect(error is CancellationError)
    }

    @Test("The sender can say before each block that it is there")
    func alive() async throws {
        let directory = try TemporaryDirectory()
        try directory.makeFile("file", byteCount: 3 << 20)
        let path = LocalPath(bytes: Array(directory.path(of: "file").utf8))
        let place = SourcePlace.path(path)
        let descriptor = try place.open(following: false)
        defer { close(descriptor) }
        let hashes = try await FileBlocks.hashes(of: descriptor, upTo: 3 << 20, fileBytes: 3 << 20)
        let file = try SourceFile(place, following: false)
        var count = 0
        let shared = try await file.skipShared(hashes) { count += 1 }
        #expect(shared == 3 << 20)
        #expect(count == 3)
    }

    @Test(
        "A part is told by the form of its name",
        arguments: [
            (".parley-0000000000001.part", true), (".parley-3w5e11264sgsf.part", true),
            (".parley-photo.jpg-0000000000001-3w5e11264sgsf.part", true),
            (".parley-a-b-0000000000001-0000000000002.part", true),
            (".parley-notes.part", false), (".parley-1.part", false), (".parley-old-1-2.part", false),
            (".parley-0000000000001-1.part", false), (".parley-a-0000000000001.part", false),
            // More than a number has, and digits that none has.
            (".parley-3w5e11264sgsg.part", false), (".parley-000000000000A.part", false),
            (".parley-+000000000001.part", false), (".parley-00000000000001.part", false),
            (".parley-.part", false), (".parley-part", false), ("photo.part", false), ("", false),
        ]
    )
    func parts(name: String, isPart: Bool) { #expect(Resumption.isPart(name.utf8) == isPart) }

    @Test("The name of a part that nobody goes on with is one")
    func temporaryNames() {
        for _ in 0..<100 { #expect(Resumption.isPart(Resumption.temporaryName())) }
        for number in [0, 1, 35, 36, .max] as [UInt64] {
            #expect(PartNumber.isText(PartNumber.text(number).utf8))
        }
    }

    @Test("A part is named for its file, its sender and the file's version")
    func names() throws {
        let path = try RelativePath(checking: "d/photo.jpg".utf8)
        let metadata = Metadata(mode: 0, modified: Timestamp(seconds: 1, nanoseconds: 2))
        let later = Metadata(mode: 0, modified: Timestamp(seconds: 1, nanoseconds: 3))
        let name = Resumption(sender: "anna").partName(of: path, byteCount: 5, metadata)
        #expect(String(decoding: name.bytes, as: UTF8.self).hasPrefix(".parley-photo.jpg-"))
        #expect(Resumption.isPart(name.bytes))
        let others = [
            Resumption(sender: "bob").partName(of: path, byteCount: 5, metadata),
            Resumption(sender: nil).partName(of: path, byteCount: 5, metadata),
            Resumption(sender: "anna").partName(of: path, byteCount: 6, metadata),
            Resumption(sender: "anna").partName(of: path, byteCount: 5, later),
            Resumption(sender: "anna").partName(of: path, byteCount: 5, nil),
        ]
        #expect(!others.contains(name))
        let longest = try RelativePath(checking: String(repeating: "n", count: 255).utf8)
        #expect(Resumption(sender: nil).partName(of: longest, byteCount: 5, nil).bytes.count <= 255)
        #expect(!Resumption.isPart(Array("photo.part".utf8)))
        let cut = try RelativePath(checking: (String(repeating: "n", count: 99) + "ü").utf8)
        let inUTF8 = Resumption(sender: nil).partName(of: cut, byteCount: 5, nil).bytes
        #expect(String(validating: inUTF8, as: UTF8.self)?.contains("ü") == false)
        for other in others { #expect(other.ofAnyVersion != name.ofAnyVersion || other.bytes != name.bytes) }
        #expect(others.map { $0.ofAnyVersion == name.ofAnyVersion } == [false, false, true, true, true])
    }
}

@Suite("The wait for what the receiver has of a file")
struct ReceivedAnswersTests {
    @Test("is interrupted, so that the sender can show that it is there")
    func interrupted() async throws {
        let answers = ReceivedAnswers()
        var count = 0
        let hashes = try await answers.have(of: 1, within: ToolProcess.deadline, each: .milliseconds(1)) {
            count += 1
            if count == 2 { answers.add([7], of: 0) }
            if count == 3 { answers.add([8, 9], of: 1) }
        }
        #expect(hashes == [8, 9])
        #expect(count == 3)
        try answers.checkOpen()
    }

    @Test("ends when the receiver takes too long, and the transfer fails with that")
    func tooLong() async throws {
        let answers = ReceivedAnswers()
        let limit = Duration.milliseconds(20)
        let hashes = try await answers.have(of: 0, within: limit, each: .milliseconds(1)) {}
        #expect(hashes == nil)
        #expect(sentence(of: answers.checkOpen) == "the receiver has not answered for \(limit)")
    }

    @Test("ends when the receiver does not want the file, or has said its last word")
    func unwanted() async throws {
        let answers = ReceivedAnswers()
        answers.add(.refused("it is late"), about: 0)
        let refused = try await answers.have(of: 0, within: .seconds(60), each: .seconds(60)) {}
        #expect(refused == nil)
        try answers.checkOpen()
        answers.end(Failure("the disk is full"))
        let ended = try await answers.have(of: 1, within: .seconds(60), each: .seconds(60)) {}
        #expect(ended == nil)
        #expect(sentence(of: answers.checkOpen) == "the disk is full")
    }

    /// Of the error that it throws.
    private func sentence(of body: () throws -> Void) -> String? {
        do { try body() } catch { return Failure.sentence(of: error) }
        return nil
    }

    @Test("is as long as a slow disk needs to read all of the file")
    func limits() {
        for (byteCount, seconds) in [
            (1 << 20, 300), (10_000_000, 301), (40_000_000_000, 4_300), (.max, 922_337_203_985),
        ] as [(Int, Int)] {
            #expect(TransferSender.hashingTime(of: byteCount) == .seconds(seconds))
        }
    }
}

@Suite("receive --resume", .timeLimit(.minutes(5)))
struct ResumeTests {
    private static let fileBytes = 5 << 20
    private let source: TemporaryDirectory
    private let target: TemporaryDirectory

    init() throws {
        source = try TemporaryDirectory()
        target = try TemporaryDirectory()
    }

    private func receive(_ more: String..., resumes: Bool = true) throws -> ToolProcess {
        try ToolProcess(
            executable: ToolProcess.executable,
            ["receive", "--listen", "127.0.0.1:0", "--into", target.url.path]
                + (resumes ? ["--resume"] : []) + more
        )
    }

    private func send(to address: String) throws -> ToolProcess {
        try ToolProcess("send", source.path(of: "file"), "--to", address)
    }

    /// Sends the first 3 MiB of the file, as far as they are not there already, and goes away.
    ///
    /// - Returns: the hashes of what was there.
    private func breakOff(
        _ receiver: ToolProcess,
        at address: String,
        beforeBeginning: Bool = false
    ) async throws -> [UInt64] {
        let content = try Array(source.contents(of: "file"))
        let sender = try await ScriptedPeer.dialing(receiver, at: address)
        let (stream, hashes) = try await offer(by: sender)
        if !beforeBeginning {
            try await stream.write(.from(byteCount: hashes.count << 20))
            let part = content[(hashes.count << 20)..<(3 << 20)]
            try await stream.write(TransferRecord.data(byteCount: part.count).encoded + part)
        }
        await sender.close()
        withExtendedLifetime(stream) {}
        _ = try await receiver.errors.first(endingWith: "the connection ended inside a stream")
        return hashes
    }

    /// Begins to send the file.
    ///
    /// - Returns: the hashes of what was there.
    private func offer(by sender: ScriptedPeer) async throws -> (any StreamWriter, [UInt64]) {
        let status = try LocalPath(bytes: Array(source.path(of: "file").utf8)).status(following: false)
        let stream = try await sender.begin(byteCount: Self.fileBytes)
        let kind = TransferEntry.Kind.file(byteCount: Self.fileBytes)
        let entry = TransferEntry(kind: kind, path: Array("file".utf8), metadata: Metadata(status))
        try await stream.write(.entry(entry))
        #expect(try await sender.next().stream)
        guard case .have(0, let hashes) = try await sender.nextAnswer() else { throw Failure("no hashes") }
        return (stream, hashes)
    }

    @Test("A file of any announced size may come: no memory is taken for what is not here")
    func huge() async throws {
        let sender = try await ScriptedPeer.dialing(receive())
        let stream = try await sender.begin(byteCount: 1 << 62)
        try await stream.write(.file("file", 1 << 62))
        #expect(try await sender.next().stream)
        #expect(try await sender.nextAnswer() == .have(entry: 0, []))
        withExtendedLifetime(stream) {}
        await sender.close()
    }

    @Test("A hole that counts as stored is compared until the task is cancelled")
    func cancelledHole() async throws {
        try target.makeFile("file", byteCount: 0)
        let byteCount = 1 << 40
        try #require(truncate(target.path(of: "file"), off_t(byteCount)) == 0)
        let root = try OpenFolder(LocalPath(bytes: Array(target.url.path.utf8)))
        let path = try RelativePath(checking: "file".utf8)
        let task = Task { () -> Bool in
            let file = PresentFile(path, in: root, byteCount: byteCount)
            do { try await file?.skip(byteCount) } catch { return error is CancellationError }
            return false
        }
        task.cancel()
        #expect(await task.value)
    }

    @Test("What a sender cannot read to its end is gone on with, too", arguments: [false, true])
    func abandoned(hasBegun: Bool) async throws {
        try source.makeFile("file", byteCount: Self.fileBytes)
        let receiver = try receive()
        let address = try await receiver.listeningAddress()
        #expect(try await breakOff(receiver, at: address) == [])
        let sender = try await ScriptedPeer.dialing(receiver, at: address)
        let (stream, hashes) = try await offer(by: sender)
        #expect(hashes.count == 3)
        if hasBegun { try await stream.write(.from(byteCount: 3 << 20)) }
        try await stream.write(.abandoned("cannot read file: input/output error"))
        try await stream.write(.end)
        guard case .stored(0, _) = try await sender.nextAnswer() else { throw Failure("it is stored") }
        await sender.close()
        #expect(try target.names.count == 1)
        #expect(try await breakOff(receiver, at: address).count == 3)
        #expect(try await send(to: address).exit() == 0)
        #expect(try target.names == ["file"])
        #expect(try target.contents(of: "file") == source.contents(of: "file"))
    }

    @Test(
        "A transfer goes on where it has broken off, also after a restart",
        arguments: [false, true]
    )
    func goesOn(isRestarted: Bool) async throws {
        try source.makeFile("file", byteCount: Self.fileBytes)
        var receiver = try receive()
        var address = try await receiver.listeningAddress()
        #expect(try await breakOff(receiver, at: address) == [])
        #expect(try target.names.count == 1)
        if isRestarted {
            receiver.signal(SIGKILL)
            _ = try await receiver.exit()
            receiver = try receive()
            address = try await receiver.listeningAddress()
        }
        #expect(try await breakOff(receiver, at: address, beforeBeginning: true).count == 3)
        #expect(try await breakOff(receiver, at: address).count == 3)
        let sender = try send(to: address)
        #expect(try await sender.exit() == 0)
        #expect(try target.names == ["file"])
        #expect(try target.contents(of: "file") == source.contents(of: "file"))
        let sent = try await sender.output.rest()
        #expect(sent.last?.hasPrefix("sent file: \(Self.fileBytes) bytes in ") == true)
    }

    @Test("A part that was changed is not trusted, nor is one of an older source")
    func changed() async throws {
        try source.makeFile("file", byteCount: Self.fileBytes)
        let receiver = try receive()
        let address = try await receiver.listeningAddress()
        _ = try await breakOff(receiver, at: address)
        try overwrite(try #require(try target.names.first), at: 1_500_000)
        #expect(try await send(to: address).exit() == 0)
        #expect(try target.contents(of: "file") == source.contents(of: "file"))

        try FileManager.default.removeItem(atPath: target.path(of: "file"))
        _ = try await breakOff(receiver, at: address)
        utimes(
            source.path(of: "file"),
            [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 2, tv_usec: 0)]
        )
        #expect(try await breakOff(receiver, at: address) == [])
        // There is one part of a file, of the last version that came, and none with the file.
        #expect(try target.names.count == 1)
        #expect(try await send(to: address).exit() == 0)
        #expect(try target.names == ["file"])
    }

    private func overwrite(_ name: String, at offset: UInt64) throws {
        let handle = try FileHandle(forUpdating: target.url.appending(path: name))
        try handle.seek(toOffset: offset)
        try handle.write(contentsOf: Data([0, 1, 2, 3]))
        try handle.close()
    }

    @Test("What is there already counts as stored when it is the same", arguments: [10, 3 << 20])
    func present(byteCount: Int) async throws {
        try source.makeFile("file", byteCount: byteCount)
        let receiver = try receive()
        let address = try await receiver.listeningAddress()
        for _ in 0..<2 {
            let sender = try send(to: address)
            #expect(try await sender.exit() == 0)
            #expect(try await sender.errors.rest() == [])
        }
        try overwrite("file", at: 0)
        let sender = try send(to: address)
        #expect(try await sender.exit() == 1)
        #expect(
            try await sender.errors.rest()
                == [
                    "parley: \(address.withoutID) could not store file: \"file\" exists already, and differs"
                ]
        )
        #expect(try target.names == ["file"])
    }

    @Test("A folder that is there already is completed")
    func folder() async throws {
        let manager = FileManager.default
        let inner = source.url.appending(path: "file/d")
        try manager.createDirectory(at: inner, withIntermediateDirectories: true)
        for name in ["file/d/one", "file/d/two"] { try source.makeFile(name, byteCount: 100) }
        let link = source.path(of: "file/link")
        try manager.createSymbolicLink(atPath: link, withDestinationPath: "d/one")
        let receiver = try receive()
        let address = try await receiver.listeningAddress()
        #expect(try await send(to: address).exit() == 0)
        try manager.removeItem(atPath: target.path(of: "file/d/two"))
        let sender = try send(to: address)
        #expect(try await sender.errors.rest() == [])
        #expect(try await sender.exit() == 0)
        #expect(try target.contents(of: "file/d/two") == source.contents(of: "file/d/two"))
    }

    @Test(
        "A folder of somebody else keeps its mode; one of a transfer that has broken off gets it",
        arguments: [(0o700, 0o700), (0o1700, 0o757)] as [(mode_t, mode_t)]
    )
    func modes(before: mode_t, after: mode_t) async throws {
        for root in [source, target] {
            try FileManager.default.createDirectory(
                at: root.url.appending(path: "file/d"),
                withIntermediateDirectories: true
            )
        }
        try source.makeFile("file/d/one", byteCount: 10)
        chmod(source.path(of: "file/d"), 0o757)
        chmod(target.path(of: "file/d"), before)
        let receiver = try receive()
        #expect(try await send(to: try await receiver.listeningAddress()).exit() == 0)
        let folder = LocalPath(bytes: Array(target.path(of: "file/d").utf8))
        #expect(try folder.status(following: false).st_mode & 0o7777 == after)
        #expect(try target.contents(of: "file/d/one") == source.contents(of: "file/d/one"))
    }

    @Test(
        "A folder of a transfer that breaks off has its mode, unless a later one may go on with it",
        arguments: [(false, 0o757), (true, 0o1700)] as [(Bool, mode_t)]
    )
    func left(resumes: Bool, mode: mode_t) throws {
        let root = try OpenFolder(LocalPath(bytes: Array(target.url.path.utf8)))
        let folder = TargetFolder(
            root,
            overwrites: false,
            resumption: resumes ? Resumption(sender: nil) : nil
        )
        let metadata = Metadata(mode: 0o757, modified: Timestamp(seconds: 5, nanoseconds: 0))
        try folder.makeFolder(RelativePath(checking: "d".utf8), metadata)
        folder.leave()
        let status = try LocalPath(bytes: Array(target.path(of: "d").utf8)).status(following: false)
        #expect(status.st_mode & 0o7777 == mode)
    }

    @Test("A folder in which something is missing stays open to its owner", arguments: [false, true])
    func incomplete(hasAll: Bool) throws {
        let root = try OpenFolder(LocalPath(bytes: Array(target.url.path.utf8)))
        let folder = TargetFolder(root, overwrites: false, resumption: Resumption(sender: nil))
        let metadata = Metadata(mode: 0o555, modified: Timestamp(seconds: 5, nanoseconds: 0))
        try folder.makeFolder(RelativePath(checking: "d".utf8), metadata)
        try folder.finish(hasAll: hasAll)
        let status = try LocalPath(bytes: Array(target.path(of: "d").utf8)).status(following: false)
        #expect(status.st_mode & 0o7777 == (hasAll ? 0o555 : 0o755))
        chmod(target.path(of: "d"), 0o755)
    }

    @Test("A set-group-ID folder gives its bit to those in it, and they are completed all the same")
    func setGroupID() throws {
        chmod(target.url.path, 0o2775)
        let root = try OpenFolder(LocalPath(bytes: Array(target.url.path.utf8)))
        let path = try RelativePath(checking: "d".utf8)
        let metadata = Metadata(mode: 0o750, modified: Timestamp(seconds: 5, nanoseconds: 0))
        func mode() throws -> mode_t {
            let path = LocalPath(bytes: Array(target.path(of: "d").utf8))
            return try path.status(following: false).st_mode & 0o7777
        }
        let first = TargetFolder(root, overwrites: false, resumption: Resumption(sender: nil))
        try first.makeFolder(path, metadata)
        first.leave()
        #expect(try mode() == 0o3700)
        let second = TargetFolder(root, overwrites: false, resumption: Resumption(sender: nil))
        try second.makeFolder(path, metadata)
        try second.finish(hasAll: true)
        #expect(try mode() == 0o2750)
    }

    @Test("A transfer without --resume completes what one with it has left", arguments: [true, false])
    func adopted(hasMetadata: Bool) throws {
        let root = try OpenFolder(LocalPath(bytes: Array(target.url.path.utf8)))
        let path = try RelativePath(checking: "d".utf8)
        let other = Metadata(mode: 0o700, modified: Timestamp(seconds: 7, nanoseconds: 0))
        let own = Metadata(mode: 0o751, modified: Timestamp(seconds: 5, nanoseconds: 0))
        func mode(of name: String) throws -> mode_t {
            let path = LocalPath(bytes: Array(target.path(of: name).utf8))
            return try path.status(following: false).st_mode & 0o7777
        }
        let first = TargetFolder(root, overwrites: false, resumption: Resumption(sender: nil))
        try first.makeFolder(path, other)
        first.leave()
        // A transfer that breaks off as well leaves the folder's mark as it is.
        let second = TargetFolder(root, overwrites: false)
        try second.makeFolder(path, own)
        second.leave()
        #expect(try mode(of: "d") == 0o1700)
        let third = TargetFolder(root, overwrites: false)
        try third.makeFolder(path, hasMetadata ? own : nil)
        try third.finish(hasAll: true)
        #expect(mkdir(target.path(of: "new"), 0o777) == 0)
        let new = try mode(of: "new")
        #expect(try mode(of: "d") == (hasMetadata ? 0o751 : new))
        #expect(try target.names == ["d", "new"])
    }

    @Test("A folder that is announced again and again is kept in mind once, as it was announced first")
    func repeated() throws {
        let root = try OpenFolder(LocalPath(bytes: Array(target.url.path.utf8)))
        let folder = TargetFolder(root, overwrites: false, resumption: Resumption(sender: nil))
        let path = try RelativePath(checking: "d".utf8)
        let inner = try RelativePath(checking: "d/e".utf8)
        let closed = Metadata(mode: 0o555, modified: Timestamp(seconds: 5, nanoseconds: 0))
        let other = Metadata(mode: 0o700, modified: Timestamp(seconds: 7, nanoseconds: 0))
        for metadata in [closed, other, other] {
            try folder.makeFolder(path, metadata)
            try folder.makeFolder(inner, metadata)
        }
        #expect(folder.made == [path: closed, inner: closed])
        try folder.finish(hasAll: true)
        for name in ["d", "d/e"] {
            let status = try LocalPath(bytes: Array(target.path(of: name).utf8)).status(following: false)
            #expect(status.st_mode & 0o7777 == 0o555)
            #expect(Timestamp(status).seconds == 5)
        }
        chmod(target.path(of: "d"), 0o755)
    }

    /// Its time may be that of its source, just before it gets its name.
    @Test("A part that a transfer has is never old")
    func locked() throws {
        let text = ".parley-0000000000001.part"
        let name = Array(text.utf8)
        try target.makeFile(text, byteCount: 1)
        chmod(target.path(of: text), 0o600)
        let longAgo = [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 1, tv_usec: 0)]
        utimes(target.path(of: text), longAgo)
        let folder = try OpenFolder(LocalPath(bytes: Array(target.url.path.utf8)))
        let descriptor = try #require(folder.openFile(name, O_RDWR, byteCount: 1...1))
        try #require(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        #expect(folder.removeOldParts() == [name])
        #expect(try target.names == [text])
        close(descriptor)
        #expect(folder.removeOldParts() == [])
        #expect(try target.names == [])
    }

    @Test("Parts of long ago are removed, and nothing else", arguments: [true, false])
    func cleaned(resumes: Bool) async throws {
        try source.makeFile("file", byteCount: 10)
        let numbers = "-0000000000001-3w5e11264sgsf"
        let (old, new) = (".parley-old\(numbers).part", ".parley-new\(numbers).part")
        let killed = ".parley-0000000000001.part"
        // Of somebody's own, though some are called like parts.
        let others = [".parley-notes.part", ".parley-read\(numbers).part", "mine.part"]
        for name in [old, new, killed] + others {
            try target.makeFile(name, byteCount: 1)
            chmod(target.path(of: name), 0o600)
        }
        chmod(target.path(of: others[1]), 0o644)
        let longAgo = [timeval(tv_sec: 1, tv_usec: 0), timeval(tv_sec: 1, tv_usec: 0)]
        for name in [old, killed] + others { utimes(target.path(of: name), longAgo) }
        let receiver = try receive("--once", resumes: resumes)
        #expect(try await send(to: try await receiver.listeningAddress()).exit() == 0)
        #expect(try await receiver.exit() == 0)
        #expect(try target.names == ([new, "file"] + others).sorted())
    }

    @Test("What is called like a part is refused, and what looks like one is stored")
    func likePart() throws {
        let root = try OpenFolder(LocalPath(bytes: Array(target.url.path.utf8)))
        let folder = TargetFolder(root, overwrites: true)
        let path = try RelativePath(checking: ".parley-0000000000001.part".utf8)
        let refusal = Refusal("\"\(path.shown)\" is called as parts of files are here")
        #expect(throws: refusal) { try folder.makeFolder(path, nil) }
        #expect(throws: refusal) { _ = try folder.makeFile(path, nil, byteCount: 1) }
        #expect(throws: refusal) { try folder.makeLink(path, to: Array("file".utf8), nil) }
        let notes = try RelativePath(checking: ".parley-notes.part".utf8)
        try folder.makeFile(notes, nil, byteCount: 0).keep()
        #expect(try target.names == [".parley-notes.part"])
    }

    @Test("A file that comes without a mode has that of new files, and nobody else reads its part")
    func plainMode() async throws {
        func mode(_ name: String) throws -> mode_t {
            try LocalPath(bytes: Array(target.path(of: name).utf8)).status(following: false).st_mode & 0o7777
        }
        close(creat(target.path(of: "new"), 0o666))
        let root = try OpenFolder(LocalPath(bytes: Array(target.url.path.utf8)))
        let folder = TargetFolder(root, overwrites: false)
        let file = try folder.makeFile(RelativePath(checking: "file".utf8), nil, byteCount: nil)
        let part = try #require(try target.names.first { $0 != "new" })
        #expect(try mode(part) == 0o600)
        try file.keep()
        #expect(try mode("file") == mode("new"))

        // Also when it arrives in two transfers.
        let resuming = TargetFolder(root, overwrites: false, resumption: Resumption(sender: nil))
        let path = try RelativePath(checking: "large".utf8)
        let begun = try resuming.makeFile(path, nil, byteCount: BlockHashes.leastFileBytes)
        try await begun.write([1])
        begun.leave()
        try resuming.makeFile(path, nil, byteCount: BlockHashes.leastFileBytes).keep()
        #expect(try target.contents(of: "large") == Data([1]))
        #expect(try mode("large") == mode("new"))
    }
}
