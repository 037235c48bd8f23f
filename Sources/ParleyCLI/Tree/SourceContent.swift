/// The content of an entry while it is sent.
protocol SourceContent {
    /// Nil when it is not known before the end.
    var byteCount: Int? { get }
    /// As they were when it was opened; nil for what has none.
    var metadata: Metadata? { get }
    /// Leaves out the blocks at the beginning that the receiver has, by their hashes. Reads all of them,
    /// which may take minutes.
    ///
    /// - Parameter meanwhile: called before each piece that is read, of 1 MiB at most.
    /// - Returns: the bytes of these blocks.
    func skipShared(_ hashes: [UInt64], _ meanwhile: () async throws -> Void) async throws -> Int
    /// The next piece; nil at the end.
    func next(upTo limit: Int) async throws -> SourcePiece?
}

extension SourceContent {
    func skipShared(_ hashes: [UInt64], _ meanwhile: () async throws -> Void) -> Int { 0 }
}

/// What comes next of a content.
enum SourcePiece: Equatable {
    /// A whole record of data, so that it is sent as it was read. It has no bytes when nothing came for a
    /// while.
    case data([UInt8])
    /// So many zero bytes that take no place on the disk.
    case hole(Int)

    /// Makes a record of bytes.
    init(_ bytes: some Collection<UInt8>) {
        self = .data(TransferRecord.data(byteCount: bytes.count).encoded + bytes)
    }

    var byteCount: Int {
        switch self {
        case .data(let record): record.count - TransferRecord.headBytes
        case .hole(let count): count
        }
    }
}

extension SourceEntry {
    /// Opens a file, or standard input.
    func open() async throws -> any SourceContent {
        if kind == .standardInput { return StandardInputContent() }
        // Whoever names a path here has nobody else to hold up.
        guard case .served = place else { return try SourceFile(place, following: isFollowed, part) }
        let handed = Handed(self)
        let file = try await FileThreads.opens.run { _ throws -> Handed<SourceFile> in
            let entry = handed.value
            return Handed(try SourceFile(entry.place, following: entry.isFollowed, entry.part))
        }
        return file.value
    }
}

/// Standard input, to its end.
final class StandardInputContent: SourceContent {
    let byteCount: Int? = nil
    let metadata: Metadata? = nil
    private let blocks = StandardInput.blocks(withEmptyOnesEach: TransferSender.silenceInterval)

    func next(upTo limit: Int) async throws -> SourcePiece? {
        blocks.allowNext()
        let block = await blocks.next()
        try Task.checkCancellation()
        guard let block else { return nil }
        do throws(SystemError) { return SourcePiece(try block.get()) } catch {
            throw Failure("cannot read standard input: \(error.reason)")
        }
    }
}
