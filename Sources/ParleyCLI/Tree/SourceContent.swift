/// The content of an entry while it is sent.
protocol SourceContent {
    /// Nil when it is not known before the end.
    var byteCount: Int? { get }
    /// Leaves out the blocks at the beginning that the receiver has, by their hashes. Returns their bytes.
    func skipShared(_ hashes: [UInt64]) throws -> Int
    /// The next piece; nil at the end.
    func next(upTo limit: Int) async throws -> SourcePiece?
}

extension SourceContent {
    func skipShared(_ hashes: [UInt64]) -> Int { 0 }
}

/// What comes next of a content.
enum SourcePiece: Equatable {
    /// None at all when nothing came for a while.
    case bytes([UInt8])
    /// So many zero bytes that take no place on the disk.
    case hole(Int)

    var byteCount: Int {
        switch self {
        case .bytes(let bytes): bytes.count
        case .hole(let count): count
        }
    }
}

extension SourceEntry {
    /// Opens a file, or standard input.
    func open() throws -> any SourceContent {
        kind == .standardInput ? StandardInputContent() : try SourceFile(place, following: isFollowed, part)
    }
}

/// Standard input, to its end.
final class StandardInputContent: SourceContent {
    let byteCount: Int? = nil
    private let blocks = StandardInput.blocks(withEmptyOnesEach: TransferSender.silenceInterval)

    func next(upTo limit: Int) async throws -> SourcePiece? {
        blocks.allowNext()
        let block = await blocks.next()
        try Task.checkCancellation()
        guard let block else { return nil }
        do throws(SystemError) { return .bytes(try block.get()) } catch {
            throw Failure("cannot read standard input: \(error.reason)")
        }
    }
}
