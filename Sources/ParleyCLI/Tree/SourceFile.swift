import CFiles
import Parley

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A file that is being sent: of the size that it had when it was opened, and unchanged since.
final class SourceFile: SourceContent {
    /// How many bytes are sent.
    let count: Int
    private let size: Int
    /// Where the next byte is read.
    private var offset: Int
    /// Where the bytes end that are sent.
    private let end: Int
    private let place: SourcePlace
    private let descriptor: Int32
    private let opened: Metadata
    private let mayHaveHoles: Bool
    /// All of a pseudo-file (/proc, /sys), which does not say how long it is; nil for any other file.
    private let content: [UInt8]?
    /// No pseudo-file worth sending is longer.
    private static let maxContentBytes = 16 << 20

    /// - Parameter part: which bytes of it are sent; nil for all.
    init(_ place: SourcePlace, following: Bool, _ part: FilePart? = nil) throws {
        do throws(SystemError) { descriptor = try place.open(following: following) } catch {
            throw Failure("cannot open \(place.shown): \(error.reason)")
        }
        self.place = place
        do {
            let status = try Self.status(of: descriptor)
            guard FileKind(of: status) == .regular else {
                throw Failure("cannot send \(place.shown): it is \(FileKind(of: status))")
            }
            opened = Metadata(status)
            content =
                try Self.isMeasured(descriptor, status)
                ? nil : Self.readToEnd(descriptor)
            size = content?.count ?? Int(status.st_size)
            let bytes: Range<Int>
            do throws(Failure) {
                bytes = try part?.bytes(of: size, modified: opened.modified) ?? 0..<size
            } catch {
                throw Failure("\(place.shown): \(error.sentence)")
            }
            (offset, end) = (bytes.lowerBound, bytes.upperBound)
            count = bytes.count
            mayHaveHoles = content == nil && Int(status.st_blocks) * 512 < size
        } catch {
            close(descriptor)
            guard let error = error as? SystemError else { throw error }
            throw Failure("cannot read \(place.shown): \(error.reason)")
        }
        guard content == nil || size <= Self.maxContentBytes else {
            throw Failure(
                "cannot send \(place.shown): it does not say how long it is, and is longer than "
                    + "\(Self.maxContentBytes) bytes"
            )
        }
    }

    deinit { close(descriptor) }

    /// Reads a pseudo-file, at most a piece more than is sent. In pieces: the kernel has no room for a read
    /// of many MiB of some of them (/proc/sys).
    private static func readToEnd(_ descriptor: Int32) throws(SystemError) -> [UInt8] {
        let pieceBytes = 65_536
        var content: [UInt8] = []
        while content.count <= maxContentBytes {
            let piece = try readAt(descriptor, content.count, upTo: pieceBytes)
            content += piece
            if piece.count < pieceBytes { break }
        }
        return content
    }

    var byteCount: Int? { count }

    var metadata: Metadata? { opened }

    /// The last piece comes only while the file is still what was opened, so a receiver never gets all of a
    /// file that was written to meanwhile.
    func next(upTo limit: Int) throws -> SourcePiece? {
        let piece = try piece(after: offset, upTo: limit)
        offset += piece?.byteCount ?? 0
        return piece
    }

    /// - Throws: a ``Failure`` when it cannot be read, or has changed; `CancellationError` when the task is
    ///   cancelled; what `meanwhile` throws.
    func skipShared(_ hashes: [UInt64], _ meanwhile: () async throws -> Void) async throws -> Int {
        guard content == nil else { return 0 }
        let blockBytes = BlockHashes.blockBytes(fileBytes: size)
        do {
            offset = try await BlockHashes.sharedBytes(hashes, fileBytes: size) { block in
                let begin = block * blockBytes
                guard begin < size else { return nil }
                let count = min(blockBytes, size - begin)
                return try await FileBlocks.hash(of: descriptor, at: begin, byteCount: count, meanwhile)
            }
        } catch let error as SystemError {
            throw Failure("cannot read \(place.shown): \(error.reason)")
        }
        if offset == size { try checkUnchanged() }
        return offset
    }

    private func piece(after offset: Int, upTo limit: Int) throws -> SourcePiece? {
        guard offset < end else { return nil }
        if let content { return SourcePiece(content[offset..<min(end, offset + limit)]) }
        if let length = hole(at: offset) {
            if offset + length == end { try checkUnchanged() }
            return .hole(length)
        }
        let count = min(limit, end - offset)
        let head = TransferRecord.data(byteCount: count).encoded
        let piece: SourcePiece
        do throws(SystemError) {
            piece = .data(try readAt(descriptor, offset, upTo: count, behind: head))
        } catch {
            throw Failure("cannot read \(place.shown): \(error.reason)")
        }
        if piece.byteCount < count || offset + count == end { try checkUnchanged() }
        guard piece.byteCount == count else { throw Failure("cannot read \(place.shown): it ends too early") }
        return piece
    }

    /// - Throws: a sentence about how it has changed.
    func checkUnchanged() throws {
        guard content == nil else { return }
        let now = try Self.status(of: descriptor)
        guard now.st_size != size || Timestamp(now) != opened.modified else { return }
        let change =
            switch Int(now.st_size) - size {
            case ..<0: "became shorter (\(Int(now.st_size).inBytes) instead of \(size))"
            case 0: "was written to"
            default: "became longer (\(Int(now.st_size).inBytes) instead of \(size))"
            }
        throw Failure("\(place.shown) \(change) while it was being sent")
    }

    /// The length of the hole here; nil where there is none.
    private func hole(at offset: Int) -> Int? {
        guard mayHaveHoles else { return nil }
        let data = lseek(descriptor, off_t(offset), cfiles_SEEK_DATA)
        // ENXIO: nothing but a hole until the end.
        if data < 0 { return errno == ENXIO ? end - offset : nil }
        let length = min(Int(data), end) - offset
        return length > 0 ? length : nil
    }

    private static func status(of descriptor: Int32) throws(SystemError) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .last }
        return status
    }

    /// Whether the file has the size that it names. Pseudo-files name none, or a whole page.
    private static func isMeasured(_ descriptor: Int32, _ status: stat) throws(SystemError) -> Bool {
        // Only files with content have blocks.
        guard status.st_blocks == 0 else { return true }
        let size = Int(status.st_size)
        if size > 0, try readAt(descriptor, size - 1, upTo: 1).isEmpty { return false }
        return try readAt(descriptor, size, upTo: 1).isEmpty
    }
}
