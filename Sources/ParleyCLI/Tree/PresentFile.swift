#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file that is there already. What arrives has to be the same, and then it counts as stored.
final class PresentFile: IncomingContent {
    private let path: RelativePath
    private let descriptor: Int32
    private let byteCount: Int
    private var comparedBytes = 0

    /// Nil when there is no such file of that size.
    init?(_ path: RelativePath, in parent: OpenFolder, byteCount: Int) {
        guard let descriptor = parent.openFile(path.name, O_RDONLY, byteCount: byteCount...byteCount)
        else {
            return nil
        }
        self.path = path
        self.descriptor = descriptor
        self.byteCount = byteCount
    }

    deinit { close(descriptor) }

    func hashes() async throws -> [UInt64] {
        try await FileBlocks.hashes(of: descriptor, upTo: byteCount, fileBytes: byteCount)
    }

    func goOn(from byteCount: Int) { comparedBytes = byteCount }

    func write(_ bytes: ArraySlice<UInt8>) throws {
        let own = try FileBlocks.read(descriptor, at: comparedBytes, upTo: bytes.count)
        guard own.elementsEqual(bytes) else { throw differs }
        comparedBytes += bytes.count
    }

    func skip(_ count: Int) throws {
        var left = count
        while left > 0 {
            let own = try FileBlocks.read(descriptor, at: comparedBytes, upTo: min(left, 1 << 20))
            guard !own.isEmpty, own.allSatisfy({ $0 == 0 }) else { throw differs }
            comparedBytes += own.count
            left -= own.count
        }
    }

    func keep() {}

    func discard() {}

    private var differs: Refusal { Refusal("\"\(path.shown)\" exists already, and differs") }
}

/// Reads parts of open files.
enum FileBlocks {
    static func read(_ descriptor: Int32, at offset: Int, upTo limit: Int) throws(Refusal) -> [UInt8] {
        do throws(SystemError) { return try readAt(descriptor, offset, upTo: limit) } catch {
            throw .system("what is there already cannot be read", error)
        }
    }

    /// The hashes of the blocks in the first `byteCount` bytes. A block that is not whole counts at the end
    /// of the file only.
    ///
    /// - Throws: a ``Refusal`` when they cannot be read, `CancellationError` when the task is cancelled.
    static func hashes(
        of descriptor: Int32,
        upTo byteCount: Int,
        fileBytes: Int
    ) async throws -> [UInt64] {
        let blockBytes = BlockHashes.blockBytes(fileBytes: fileBytes)
        var hashes: [UInt64] = []
        var offset = 0
        while offset < byteCount {
            let wanted = min(blockBytes, fileBytes - offset)
            guard offset + wanted <= byteCount else { break }
            try Task.checkCancellation()
            await Task.yield()
            let block = try read(descriptor, at: offset, upTo: wanted)
            guard block.count == wanted else { break }
            hashes.append(XXHash64.hash(block))
            offset += wanted
        }
        return hashes
    }
}
