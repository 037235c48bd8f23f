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

    func skip(_ count: Int) async throws {
        var left = count
        while left > 0 {
            // A hole may be of any length: other tasks go on meanwhile, and a signal ends this.
            try Task.checkCancellation()
            await Task.yield()
            let own = try FileBlocks.read(
                descriptor,
                at: comparedBytes,
                upTo: min(left, FileBlocks.pieceBytes)
            )
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
    /// So much of a file is in memory at a time. Blocks are larger in large files.
    static let pieceBytes = 1 << 20

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
            do {
                let block = try await hash(of: descriptor, at: offset, byteCount: wanted)
                guard let block else { break }
                hashes.append(block)
            } catch let error as SystemError {
                throw Refusal.system("what is there already cannot be read", error)
            }
            offset += wanted
        }
        return hashes
    }

    /// The hash of one block, which is read piece by piece; nil when the file ends in it.
    ///
    /// - Parameter meanwhile: called before each piece.
    /// - Throws: a ``SystemError`` when it cannot be read, `CancellationError` when the task is cancelled;
    ///   what `meanwhile` throws.
    static func hash(
        of descriptor: Int32,
        at offset: Int,
        byteCount: Int,
        _ meanwhile: () async throws -> Void = {}
    ) async throws -> UInt64? {
        var (state, done) = (XXHash64(), 0)
        while done < byteCount {
            try Task.checkCancellation()
            await Task.yield()
            try await meanwhile()
            let piece = try readAt(descriptor, offset + done, upTo: min(pieceBytes, byteCount - done))
            guard !piece.isEmpty else { return nil }
            state.update(piece)
            done += piece.count
        }
        return state.digest
    }
}
