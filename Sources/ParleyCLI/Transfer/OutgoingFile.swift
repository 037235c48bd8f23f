import Parley

/// A file to be sent: of the size that it had when it was opened, and unchanged since.
struct OutgoingFile {
    let path: String
    let name: FileName
    let size: Int
    private let file: File
    private let version: File.Version
    /// All of a pseudo-file (/proc, /sys), which does not say how long it is; nil for any other file.
    private let content: [UInt8]?
    /// No pseudo-file worth sending is longer.
    private static let maxContentBytes = 16 << 20

    init(path: String) throws {
        self.path = path
        do {
            file = try File(reading: path)
            version = try file.version()
            content = try file.isMeasured() ? nil : file.read(at: 0, upTo: Self.maxContentBytes + 1)
            size = content?.count ?? version.size
            guard content == nil || size <= Self.maxContentBytes else {
                throw Refusal(
                    "it does not say how long it is, and is longer than \(Self.maxContentBytes) bytes"
                )
            }
            name = try FileName(checking: path.utf8.split(separator: UInt8(ascii: "/")).last ?? [])
        } catch let error as ParleyError where error.systemCode != nil {
            throw Failure("cannot open \(path): \(error.systemReason)")
        } catch let refusal as Refusal {
            throw Failure("cannot send \(path): \(refusal.reason)")
        }
    }

    /// The next bytes of the file; the last ones only while it is still what was opened. So a receiver never
    /// gets all of a file that was written to meanwhile.
    func read(after offset: Int) throws -> [UInt8] {
        let count = min(filePieceBytes, size - offset)
        if let content { return Array(content[offset..<offset + count]) }
        do {
            let piece = try file.read(at: offset, count: count)
            if offset + count == size { try checkUnchanged() }
            return piece
        } catch let error as ParleyError {
            try checkUnchanged()
            throw Failure("cannot read \(path): \(error.systemReason)")
        }
    }

    /// - Throws: a sentence about how it has changed.
    func checkUnchanged() throws {
        guard content == nil else { return }
        let now = try file.version()
        guard now != version else { return }
        let change =
            switch now.size - size {
            case ..<0: "became shorter (\(now.size) bytes instead of \(size))"
            case 0: "was written to"
            default: "became longer (\(now.size) bytes instead of \(size))"
            }
        throw Failure("\(path) \(change) while it was being sent")
    }
}
